//! The end-to-end tests: the real binary, built here, and the package that runs it.

use std::process::ExitCode;

use crate::{
    clients,
    process::{succeeds, watch},
    report::Report,
    setup,
    skips::Skips,
    test,
    workspace::Workspace,
};

/// The package that holds them.
pub(crate) const PACKAGE: &str = "standpipe-tests";

/// `cargo xtask test-e2e [FILTER]`.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let skips = Skips::begin(workspace)?;
    test::note_lacking(setup::run(workspace)?, &mut report);
    add(workspace, filter, &skips, &mut report)?;
    report.skipped(skips.end()?);
    Ok(report.close())
}

/// Builds the server and runs the tests whose name contains `filter`.
pub(crate) fn add(
    workspace: &Workspace,
    filter: Option<&str>,
    skips: &Skips,
    report: &mut Report,
) -> anyhow::Result<()> {
    let build = ["build", "--quiet", "--package", "standpipe-server", "--bin", "standpipe"];
    if !succeeds(workspace.cargo().args(build))? {
        report.check("build of the server", false);
        return Ok(());
    }
    let mut runner = test::runner(workspace);
    runner.args(["--package", PACKAGE]).args(filter);
    runner.env("STANDPIPE_BIN", workspace.server());
    report.tests("end-to-end tests", &watch(skips.offer(&mut runner))?);
    if filter.is_none() { clients::add(workspace, report) } else { Ok(()) }
}
