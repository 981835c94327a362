# What CI runs, by hand. `just` lists the recipes.

default:
    @just --list

# Everything that must pass before a commit lands.
check: fmt clippy determinism test doc

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Clippy's disallowed lists, proven on planted violations.
determinism:
    .ci/determinism

test:
    cargo test --locked

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Licences, sources and duplicate versions (needs cargo-deny).
deny:
    cargo deny check bans licenses sources

# The speed figures of docs/benchmarks.md.
bench:
    cargo bench --bench engine

backtest *args:
    cargo run --release -- backtest {{args}}
