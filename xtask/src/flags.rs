//! The commands and their arguments, as a person types them. What they do is in the module of each.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One task.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compares the graph of the crates with the table of who may import whom.
    Layers,
    /// Writes the tables of the documents that are made from code.
    Docs,
    /// Format, lints, layers, and whether the generated tables are up to date.
    Check,
    /// Everything: set-up, checks, unit, property and end-to-end tests; ends with one line of counts.
    Test,
    /// The end-to-end tests, or those whose name contains a text.
    TestE2e {
        /// Part of a test's name, such as `drain` or `resume::`.
        filter: Option<String>,
    },
    /// Makes the folder of an Actor of `deploy/actors`, to be pushed to Apify.
    Actor(Actor),
    /// The benchmarks of the whole server, beside other servers; prints tables in Markdown.
    Bench(Bench),
    /// Whether anything grows: churn, faults and slow clients for minutes or hours.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
    },
    /// Looks for inputs that break what a parser or the index promises, guided by coverage.
    Fuzz {
        /// One target; without it, each in turn.
        target: Option<String>,
        /// For how long, each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Runs an Actor as Apify Standby does, on this machine: a program or an Actor's folder, or the server's demonstration.
    Standby {
        /// The program or the folder, options, and the program's arguments after `--`. `--help` tells them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The same as `test`, under the rules of CI: what this machine lacks is a failure.
    Ci,
}

/// Which Actor, and in which form.
#[derive(Debug, Args)]
pub(crate) struct Actor {
    /// Its name: that of its folder in `deploy/actors`.
    pub(crate) name: String,
    /// The folder that is made, or made anew; `target/actors/NAME` if not said.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// With the server as a program, built here, instead of the sources that the platform builds it from.
    #[arg(long)]
    pub(crate) prebuilt: bool,
}

/// What is measured, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// One scenario, such as `broadcast`, or `console`, `follow` or `upstream`, which have programs of their own; without it, all but these.
    pub(crate) scenario: Option<String>,
    /// How long is measured in each run, in seconds; 20 if not said.
    #[arg(long)]
    pub(crate) seconds: Option<u32>,
    /// How often each server is measured; 3 if not said.
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Only servers whose names begin with one of these, such as `standpipe,bun`.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Standpipe also as it charges for what was received, in the scenarios about deliveries.
    #[arg(long)]
    pub(crate) billed: bool,
}
