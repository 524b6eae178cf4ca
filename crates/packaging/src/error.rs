//! Why no folder is made.

use std::{io, path::PathBuf};

/// See the file's description.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has described it.
    #[error("there is no Actor `{name}` in deploy/actors; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {why}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {why}", file.display())]
    Unwritable {
        /// Which.
        file: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// What its author wrote is not what it should be.
    #[error("{}:\n  {}", folder.display(), faults.join("\n  "))]
    Invalid {
        /// The Actor's own folder.
        folder: PathBuf,
        /// All that is wrong with it.
        faults: Vec<String>,
    },
    /// There is something where the folder would be.
    #[error("{} is there and is no Actor's folder that was made here: choose another --out, or remove it", .0.display())]
    InTheWay(PathBuf),
    /// A part of the repository is not as this expects.
    #[error("{}: {why}", file.display())]
    Form {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The program would not run in the image.
    #[error(
        "{} needs glibc {needed}, and the image has {has}: build it where there is no newer one, or leave the building to the platform (without --prebuilt)",
        program.display()
    )]
    TooNew {
        /// The program.
        program: PathBuf,
        /// The newest version that it needs something of.
        needed: String,
        /// What the image has.
        has: String,
    },
    /// A program that is needed has failed.
    #[error("`{what}` failed: {why}")]
    Failed {
        /// Which.
        what: &'static str,
        /// What it said.
        why: String,
    },
}
