//! The soak: what is built. What is done to the server, and what counts as growth, is in `tests/src/bin/soak/`.

use std::process::ExitCode;

use crate::{process::succeeds, test_e2e, workspace::Workspace};

/// `cargo xtask soak --minutes N`. As in development: what overflows, or breaks an assertion, is to show.
pub(crate) fn run(workspace: &Workspace, minutes: f64) -> anyhow::Result<ExitCode> {
    let build = ["build", "--quiet", "--package", "standpipe-server", "--bin", "standpipe"];
    if !succeeds(workspace.cargo().args(build))? {
        return Ok(ExitCode::FAILURE);
    }
    let mut soak = workspace.cargo();
    soak.args(["run", "--quiet", "--package", test_e2e::PACKAGE, "--bin", "soak", "--"]).arg(minutes.to_string());
    soak.env("STANDPIPE_BIN", workspace.target.join("debug/standpipe"));
    Ok(if succeeds(&mut soak)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
