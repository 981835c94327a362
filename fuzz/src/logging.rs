//! Of the logs, only what takes secrets out of a text.

#[path = "../../live/src/logging/redact.rs"]
mod redact;
pub use redact::redact;
