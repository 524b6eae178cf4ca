//! The benchmarks of the whole server: what is built, and with which profile. What is measured is in `tests/src/bin/`.

use std::process::ExitCode;

use crate::{process::succeeds, test_e2e, workspace::Workspace};

/// `cargo xtask bench NAME`. Both ends are built as they are released: a slow client would be measured in the server.
pub(crate) fn run(workspace: &Workspace, name: &str) -> anyhow::Result<ExitCode> {
    let build = ["build", "--quiet", "--release", "--package", "standpipe-server", "--bin", "standpipe"];
    if !succeeds(workspace.cargo().args(build))? {
        return Ok(ExitCode::FAILURE);
    }
    let mut bench = workspace.cargo();
    bench.args(["run", "--quiet", "--release", "--package", test_e2e::PACKAGE, "--bin", name]);
    bench.env("STANDPIPE_BIN", workspace.target.join("release/standpipe"));
    Ok(if succeeds(&mut bench)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
