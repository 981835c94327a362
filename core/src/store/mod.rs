//! The event store: schema, append, dedup, hash chain, recovery, integrity.
