//! Planted violations of the determinism rules: one for each entry of `clippy.toml`. Compiled only by `.ci/determinism`, which
//! demands that clippy refuses every entry by its name.

pub fn methods() {
    let _ = std::time::Instant::now;
    let _ = std::time::SystemTime::now;
    let _ = std::time::SystemTime::elapsed;
    let _ = std::env::var::<&str>;
    let _ = std::env::var_os::<&str>;
    let _ = std::env::args;
    let _ = std::thread::spawn::<fn(), ()>;
    let _ = std::thread::sleep;
    let _ = std::thread::current;
    let _ = std::process::id;
    let _ = f64::exp;
    let _ = f64::ln;
    let _ = f64::powf;
    let _ = f64::sin;
    let _ = f64::cos;
}

pub type Map = std::collections::HashMap<u8, u8>;
pub type Set = std::collections::HashSet<u8>;
pub type State = std::hash::RandomState;
