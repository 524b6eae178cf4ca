//! The test command: everything that a change has to pass, from a fresh clone to one line of counts.

use std::{env, process::ExitCode};

use crate::{
    check, fuzz,
    process::{watch, works},
    report::Report,
    setup,
    skips::Skips,
    test_e2e,
    workspace::Workspace,
};

/// `cargo xtask test`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let skips = Skips::begin(workspace)?;
    note_lacking(setup::run(workspace)?, &mut report);
    check::add(workspace, &mut report)?;

    let unit: &[&str] = &["--workspace", "--exclude", test_e2e::PACKAGE];
    report.tests("unit and property tests", &watch(skips.offer(runner(workspace).args(unit)))?);
    // nextest leaves the examples in the documentation to cargo.
    if has_nextest() {
        let mut examples = workspace.cargo();
        report.tests("documentation examples", &watch(examples.args(["test", "--quiet", "--doc"]).args(unit))?);
    }
    note_lacking(fuzz::add(workspace, &mut report)?, &mut report);
    test_e2e::add(workspace, None, &skips, &mut report)?;

    report.skipped(skips.end()?);
    Ok(report.close())
}

/// The test runner, without arguments that select: nextest if it is installed, else cargo's own.
pub(crate) fn runner(workspace: &Workspace) -> std::process::Command {
    let mut cargo = workspace.cargo();
    if has_nextest() {
        cargo.args(["nextest", "run", "--no-fail-fast", "--color", "never"]);
    } else {
        cargo.args(["test", "--no-fail-fast", "--color", "never"]);
    }
    cargo
}

/// What this machine lacks is told as skipped, unless it is CI, which has to have it.
pub(crate) fn note_lacking(lacking: Vec<String>, report: &mut Report) {
    for what in lacking {
        if is_ci() {
            report.check(&what, false);
        } else {
            report.left_out(what);
        }
    }
}

fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

fn has_nextest() -> bool {
    works("cargo", &["nextest", "--version"])
}
