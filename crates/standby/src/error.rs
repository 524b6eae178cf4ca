//! What can be wrong with what is to be deployed. All of it is its author's to put right.

use std::{io, path::PathBuf};

/// See the file's description.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {why}", file.display())]
    Form {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not said what is to be run.
    #[error("{} has neither CMD nor ENTRYPOINT: say what to run", file.display())]
    NoCommand {
        /// The Dockerfile.
        file: PathBuf,
    },
}
