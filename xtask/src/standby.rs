//! The local Standby platform over a program or an Actor's folder: what is built. What it does is in `crates/standby`.

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;

use crate::{process::succeeds, workspace::Workspace};

/// What is run where nothing is said: the demonstration, on the port that it is given.
const DEMONSTRATION: [&str; 4] = ["--", "demo", "--listen", "127.0.0.1:${ACTOR_WEB_SERVER_PORT}"];

/// `cargo xtask standby [ACTOR] [OPTIONS] [-- ARGUMENTS]`.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut standby = workspace.cargo();
    standby.args(["run", "--quiet", "--package", "standpipe-standby", "--bin", "standby", "--"]);
    if let Some(actor) = arguments.first().filter(|first| !first.starts_with('-')) {
        // Paths are the caller's; cargo runs in the root.
        let here = env::current_dir().context("there is no current folder")?;
        standby.arg(found(&here, Path::new(actor))).args(arguments.get(1..).unwrap_or_default());
    } else {
        let build = ["build", "--quiet", "--package", "standpipe-server", "--bin", "standpipe"];
        if !succeeds(workspace.cargo().args(build))? {
            return Ok(ExitCode::FAILURE);
        }
        standby.arg(workspace.server()).args(arguments);
        if !arguments.iter().any(|argument| argument == "--") {
            standby.args(DEMONSTRATION);
        }
    }
    Ok(if succeeds(&mut standby)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a person means by it: a file or a folder from where they are, else a program that is looked for as any.
fn found(here: &Path, actor: &Path) -> PathBuf {
    let from_here = here.join(actor);
    if from_here.exists() { from_here } else { actor.to_owned() }
}
