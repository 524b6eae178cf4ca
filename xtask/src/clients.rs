//! The tests of the clients in other languages, each by the tools of its own language, against the server built here.
//!
//! What they need was installed by [`crate::setup`]; what this machine lacks was told there.

use std::process::Command;

use crate::{
    process::{succeeds, watch},
    report::Report,
    workspace::Workspace,
};

/// Checks and tests every client whose tools are installed.
pub(crate) fn add(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    python(workspace, report)?;
    javascript(workspace, report)
}

fn python(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let program = workspace.target.join("venv/bin/python");
    if !program.exists() {
        return Ok(());
    }
    let python = |module: &str| {
        let mut python = Command::new(&program);
        python.args(["-m", module]).current_dir(workspace.root.join("clients/python"));
        python
    };
    report.check("types of the Python client", succeeds(&mut python("mypy"))?);
    report.check("lints of the Python client", succeeds(python("ruff").args(["check", "."]))?);
    report.check("format of the Python client", succeeds(python("ruff").args(["format", "--check", "."]))?);
    let outcome = watch(python("pytest").env("STANDPIPE_BIN", workspace.server()))?;
    report.tests("tests of the Python client", &outcome);
    for skip in outcome.lines.iter().filter_map(|line| line.strip_prefix("SKIPPED ")) {
        report.left_out(format!("tests of the Python client: {skip}"));
    }
    Ok(())
}

fn javascript(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let folder = workspace.javascript();
    if !folder.join("node_modules").exists() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.arg("test").current_dir(folder).env("STANDPIPE_BIN", workspace.server());
    npm.env("STANDPIPE_REPOSITORY", &workspace.root);
    report.tests("tests of the JavaScript client", &watch(&mut npm)?);
    Ok(())
}
