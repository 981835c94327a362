//! Sets `cfg(shared_data)` where the recordings that some tests read are at hand, so that they are ignored elsewhere.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=ALPHAENGINE_SHARED_DATA");
    let named = std::env::var_os("ALPHAENGINE_SHARED_DATA").map(PathBuf::from);
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let folder = named.unwrap_or_else(|| manifest.join("../../shared/data"));
    if folder.is_dir() {
        println!("cargo:rustc-cfg=shared_data");
    }
}
