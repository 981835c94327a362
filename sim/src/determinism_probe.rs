//! Planted violations of the determinism rules, one of each kind. Compiled only by `.ci/determinism`, which demands that
//! clippy refuses every line marked as a probe.

pub fn clock() -> std::time::Instant {
    std::time::Instant::now() // PROBE
}

pub fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now() // PROBE
}

pub fn environment() -> Option<std::ffi::OsString> {
    std::env::var_os("HOME") // PROBE
}

pub fn thread() {
    drop(std::thread::spawn(|| ())); // PROBE
}

pub fn platform_dependent(x: f64) -> f64 {
    x.exp() // PROBE
}

pub fn unordered(map: &std::collections::HashMap<u8, u8>) -> usize {
    // PROBE
    map.len()
}
