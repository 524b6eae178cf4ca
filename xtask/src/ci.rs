//! The test command under the rules of CI.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::Context;

use crate::workspace::Workspace;

/// `cargo xtask ci`: this program again, with `CI=true` for itself and everything that it starts.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("cannot find this program")?;
    let status = Command::new(program).arg("test").env("CI", "true").current_dir(&workspace.root).status();
    Ok(if status.context("cannot run the test command")?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
