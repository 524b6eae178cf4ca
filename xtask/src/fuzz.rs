//! Fuzzing, guided by coverage, with the stable compiler.
//!
//! libFuzzer needs code that counts which of its edges are taken. What puts the counters in is a pass of LLVM that
//! `-Cpasses` runs, and that is stable; only the sanitizers would need nightly, and code without `unsafe` has little use
//! for them. The targets are in `fuzz/`, a workspace of its own. New inputs are kept in `target/fuzz/corpus`, what broke
//! a target in `target/fuzz/artifacts`: a fixed fault leaves its input in `fuzz/seeds`, which every run begins with.

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, ensure};

use crate::{
    process::{succeeds, works},
    report::Report,
    workspace::Workspace,
};

const TARGETS: [&str; 7] = ["index", "parsers", "patterns", "commands", "decoding", "map", "tokens"];

/// How long each target is run within the test command.
const SHORT: u32 = 4;

/// The pass, and what it counts: edges, with a counter each, and the operands of comparisons.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// `cargo xtask fuzz [TARGET] [--seconds N]`.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: u32) -> anyhow::Result<ExitCode> {
    if let Some(target) = target {
        ensure!(TARGETS.contains(&target), "there is no target `{target}`, but {}", TARGETS.join(", "));
    }
    if let Some(lacking) = lacking() {
        anyhow::bail!("{lacking}");
    }
    let mut report = Report::default();
    let targets = TARGETS.into_iter().filter(|name| target.is_none_or(|target| target == *name));
    all(workspace, targets, seconds, &mut report)?;
    Ok(report.close())
}

/// A short run of each target; tells what this machine lacks for it, as `name: reason`.
pub(crate) fn add(workspace: &Workspace, report: &mut Report) -> anyhow::Result<Vec<String>> {
    if let Some(lacking) = lacking() {
        return Ok(vec![lacking]);
    }
    all(workspace, TARGETS.into_iter(), SHORT, report)?;
    Ok(Vec::new())
}

fn lacking() -> Option<String> {
    let compiles = works("c++", &["--version"]);
    (!compiles).then(|| "fuzzing: `c++`, which builds libFuzzer, is not installed".to_owned())
}

fn all(
    workspace: &Workspace,
    targets: impl Iterator<Item = &'static str>,
    seconds: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some(built) = build(workspace)? else {
        report.check("build of the fuzz targets", false);
        return Ok(());
    };
    for target in targets {
        let success = one(workspace, &built.join(target), target, seconds)?;
        report.check(&format!("fuzzing of {target}"), success);
    }
    Ok(())
}

/// Builds all targets; tells the folder they are in, unless they do not build.
fn build(workspace: &Workspace) -> anyhow::Result<Option<PathBuf>> {
    // Naming the host as the target keeps the flags from what runs while building.
    let host = host()?;
    let folder = workspace.target.join("fuzz");
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--quiet", "--bins", "--manifest-path", "fuzz/Cargo.toml", "--target", &host, "--target-dir"]);
    cargo.arg(&folder).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    Ok(succeeds(&mut cargo)?.then(|| folder.join(host).join("debug")))
}

/// What rustc calls this machine.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run `rustc -vV`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` tells no host")?;
    Ok(host.to_owned())
}

fn one(workspace: &Workspace, program: &PathBuf, target: &str, seconds: u32) -> anyhow::Result<bool> {
    let folder = workspace.target.join("fuzz");
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|name| folder.join(name).join(target));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut fuzzer = Command::new(program);
    fuzzer.current_dir(&workspace.root);
    // An input that takes longer than five seconds is a fault of its own.
    fuzzer.args(["-timeout=5", "-max_len=4096", "-verbosity=0", "-print_funcs=0", "-print_final_stats=1"]);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    let words = workspace.root.join("fuzz").join(format!("{target}.dict"));
    if words.exists() {
        fuzzer.arg(format!("-dict={}", words.display()));
    }
    // New inputs go to the first folder.
    fuzzer.arg(corpus);
    let seeds = workspace.root.join("fuzz/seeds").join(target);
    if seeds.exists() {
        fuzzer.arg(seeds);
    }
    succeeds(&mut fuzzer)
}
