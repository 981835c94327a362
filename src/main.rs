//! The `alphaengine` command with the built-in strategies.

fn main() -> std::process::ExitCode {
    alphaengine::run(alphaengine::Strategies::builtin())
}
