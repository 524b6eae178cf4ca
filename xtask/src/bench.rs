//! The benchmarks of the whole server: what is built and installed for them, and with which profile. What is measured is
//! in `bench/`, and in `tests/src/bin` where a scenario has a program of its own.

use std::{path::PathBuf, process::ExitCode};

use crate::{flags::Bench, process::succeeds, setup, test_e2e, workspace::Workspace};

/// The scenarios that have a program of their own.
const PROGRAMS: [&str; 3] = ["console", "follow", "upstream"];

/// `cargo xtask bench [SCENARIO]`. Both ends are built as they are released: a slow client would be measured in the
/// server.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> anyhow::Result<ExitCode> {
    let mut build = workspace.cargo();
    build.args(["build", "--quiet", "--release", "--package", "standpipe-server", "--bin", "standpipe"]);
    build.args(["--package", "standpipe-bench", "--bins"]);
    if !succeeds(&mut build)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--quiet", "--release", "--package"]);
    let program = PROGRAMS.into_iter().find(|name| bench.scenario.as_deref() == Some(name));
    if let Some(program) = program {
        cargo.args([test_e2e::PACKAGE, "--bin", program]);
        cargo.env("STANDPIPE_BIN", workspace.target.join("release/standpipe"));
    } else {
        let servers = servers(workspace)?;
        cargo.args(["standpipe-bench", "--bin", "bench", "--"]).args(bench.scenario.as_deref());
        for (flag, value) in [("--seconds", bench.seconds), ("--rounds", bench.rounds)] {
            if let Some(value) = value {
                cargo.args([flag, &value.to_string()]);
            }
        }
        if let Some(only) = &bench.only {
            cargo.args(["--only", only]);
        }
        if bench.billed {
            cargo.arg("--billed");
        }
        cargo.env("STANDPIPE_BENCH_SERVERS", servers);
    }
    Ok(if succeeds(&mut cargo)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder of the servers in JavaScript, with the packages that they need.
fn servers(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = workspace.target.join("bench-servers");
    setup::node(&workspace.root.join("bench/servers"), &folder, &["bun.js", "node.js"])?;
    Ok(folder)
}
