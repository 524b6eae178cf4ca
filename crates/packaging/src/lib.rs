//! Actors to push: what the folder of one is, made of `deploy/actors`. A tool, not part of the server.
//!
//! What differs from Actor to Actor stands in the folder of each ([`described`] reads and checks it); what is the same for all of them
//! is in `deploy/actors/_shared` (`shared` makes files of it). The server comes with it as sources (`sources`) or as a program
//! (`program`). `folder` writes all of that, and nothing else decides where a file is.

mod described;
mod error;
mod folder;
mod prices;
mod program;
mod shared;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub use described::{Described, describe};
pub use error::Error;
pub use folder::{Packed, Push};

use folder::Folder;

/// Where Actors are described.
const ACTORS: &str = "deploy/actors";

/// In which form the server is in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its sources, and as few others as it is built from. The platform builds it.
    Source,
    /// The program, built here.
    Prebuilt,
}

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The root of the repository.
    pub root: &'a Path,
    /// The Actor's name, that of its folder in `deploy/actors`.
    pub name: &'a str,
    /// The folder that is made. If there is one, it has to be one that was made here.
    pub out: &'a Path,
    /// See there.
    pub form: Form,
    /// The server, as it was built here: it checks the Actor's configuration, and is what a [`Form::Prebuilt`] contains.
    pub server: &'a Path,
}

/// Makes the folder of an Actor.
///
/// # Errors
/// If there is no such Actor, if something of it is missing or not what it should be (all of that at once), if another folder is in
/// the way, or if a file cannot be read or written. Of what was at `out`, nothing is lost but by the last.
pub fn pack(order: &Order<'_>) -> Result<Packed, Error> {
    let Order { root, name, out, form, server } = *order;
    let described = describe(root, name)?;
    check(&described, server)?;
    let mut folder = Folder::default();
    shared::add(&mut folder, root, &described, form)?;
    match form {
        Form::Source => sources::add(&mut folder, root)?,
        Form::Prebuilt => program::add(&mut folder, server)?,
    }
    folder.write(out)?;
    if form == Form::Source {
        sources::lock(out)?;
    }
    folder::measured(out)
}

/// What a run has of the platform, as far as a configuration cannot be checked without. Nobody is asked there.
const OF_A_RUN: [(&str, &str); 4] = [
    ("APIFY_IS_AT_HOME", "1"),
    ("ACTOR_RUN_ID", "checked0000000000"),
    ("APIFY_TOKEN", "none"),
    ("APIFY_API_BASE_URL", "https://api.apify.com"),
];

/// Has the server check the configuration, with the variables that it will have. A secret may be any text.
fn check(described: &Described, server: &Path) -> Result<(), Error> {
    let file = described.folder.join("actor.toml");
    let variables = described.environment.iter().map(|(name, value)| (name, value.trim_start_matches('@')));
    let mut command = Command::new(server);
    command.arg("check").arg("--config").arg(&file).envs(variables).envs(OF_A_RUN);
    let output = command.output().map_err(|why| Error::Unreadable { file: server.to_owned(), why })?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    let faults = String::from_utf8_lossy(&told).trim().lines().map(str::to_owned).collect();
    Err(Error::Invalid { folder: described.folder.clone(), faults })
}

fn text(file: PathBuf) -> Result<String, Error> {
    fs::read_to_string(&file).map_err(|why| Error::Unreadable { file, why })
}
