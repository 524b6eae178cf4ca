//! The project's own tasks, run as `cargo xtask COMMAND`: what the documents call "the test command" and its parts.
//!
//! This file decides which command runs which module, and what the exit code is. One file per command; what several of
//! them need is in [`workspace`], [`process`], [`report`] and [`skips`].

mod actor;
mod bench;
mod check;
mod ci;
mod clients;
mod docs;
mod flags;
mod fuzz;
mod layers;
mod process;
mod report;
mod setup;
mod skips;
mod soak;
mod standby;
mod test;
mod test_e2e;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    flags::{Command, Flags},
    workspace::Workspace,
};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            report::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let workspace = Workspace::find()?;
    match flags.command {
        Command::Layers => layers::run(&workspace),
        Command::Docs => docs::run(&workspace),
        Command::Check => check::run(&workspace),
        Command::Test => test::run(&workspace),
        Command::TestE2e { filter } => test_e2e::run(&workspace, filter.as_deref()),
        Command::Actor(actor) => actor::run(&workspace, &actor),
        Command::Bench(bench) => bench::run(&workspace, &bench),
        Command::Soak { minutes } => soak::run(&workspace, minutes),
        Command::Standby { arguments } => standby::run(&workspace, &arguments),
        Command::Fuzz { target, seconds } => fuzz::run(&workspace, target.as_deref(), seconds),
        Command::Ci => ci::run(&workspace),
    }
}
