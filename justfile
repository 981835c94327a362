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
    cargo bench -p alphaengine-live --bench live

# The long tests of live trading at full length: 200 kills, and 24 simulated hours at 60x (about half an hour).
soak:
    ALPHAENGINE_KILLS=200 ALPHAENGINE_SOAK_MINUTES=24 cargo test --release --locked --test live_kills --test live_soak -- --nocapture

# Real clients that nobody here wrote, against our own exchange.
clients:
    .ci/clients

# The fault campaign of CI: every planted mistake is found, and so many seeds of the correct build are clean.
chaos seeds="500":
    SEEDS={{seeds}} .ci/chaos

# Whatever reads foreign bytes, fuzzed for so many seconds in all (docs/shields.md).
fuzz seconds="60" *targets:
    .ci/fuzz {{seconds}} {{targets}}

# Which lines and regions of core its own tests run.
coverage *args:
    .ci/coverage {{args}}

# A sixteenth of the mutants of the files that guard money and orders; hours on two cores.
mutants *args:
    .ci/mutants {{args}}

backtest *args:
    cargo run --release -- backtest {{args}}
