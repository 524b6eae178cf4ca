//! What can be said of the code without running it: its format, its lints, its layers, its generated documents.

use std::process::ExitCode;

use crate::{
    docs, layers,
    process::succeeds,
    report::{Report, say},
    workspace::Workspace,
};

/// `cargo xtask check`.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    add(workspace, &mut report)?;
    Ok(report.close())
}

/// Every check, also after one that failed: a person wants to see all of it at once.
pub(crate) fn add(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    report.check("fmt", succeeds(workspace.cargo().args(["fmt", "--all", "--check"]))?);
    // The fuzz targets are a workspace of their own.
    let targets = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    report.check("fmt of the fuzz targets", succeeds(workspace.cargo().args(targets))?);
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.check("clippy", succeeds(workspace.cargo().args(clippy))?);
    for (step, faults) in [("layers", layers::faults(&workspace.imports()?)), ("docs", docs::drift(workspace)?)] {
        for fault in &faults {
            say(&format!("{step}: {fault}"));
        }
        report.check(step, faults.is_empty());
    }
    Ok(())
}
