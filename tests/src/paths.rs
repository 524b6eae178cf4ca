//! Where things are on this machine.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the harness lies in the root of the workspace").to_owned()
}

/// The folder for everything that is built or installed.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The recorded feeds, which are kept beside the repository and are not part of it.
pub fn feeds() -> PathBuf {
    root().join("../shared/feeds")
}
