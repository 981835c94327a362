//! Sets `cfg(shared_data)` where the recordings for tests are, so that tests without them show as ignored.

#![allow(clippy::disallowed_methods, reason = "a build script is configured by its environment")]

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=ALPHAENGINE_SHARED_DATA");
    let root =
        std::env::var_os("ALPHAENGINE_SHARED_DATA").map_or_else(|| PathBuf::from("../../shared/data"), PathBuf::from);
    if root.is_dir() {
        println!("cargo::rustc-cfg=shared_data");
    }
}
