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
    /// What is to be run is made when the image is built, and was not made here.
    #[error(
        "{} is not there: the image has it from a stage of its Dockerfile{}; do that in the folder, or say what to run behind `--`",
        program.display(),
        how.as_ref().map(|how| format!(", which made it by `{how}`")).unwrap_or_default()
    )]
    NotBuilt {
        /// Where it would be.
        program: PathBuf,
        /// The stage's last command.
        how: Option<String>,
    },
    /// It is not said what is to be run.
    #[error("{} has neither CMD nor ENTRYPOINT: say what to run", file.display())]
    NoCommand {
        /// The Dockerfile.
        file: PathBuf,
    },
}
