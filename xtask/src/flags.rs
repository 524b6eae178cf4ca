//! The commands and their arguments, as a person types them. What they do is in the module of each.

use clap::{Parser, Subcommand, ValueEnum};

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
    /// A benchmark of the whole server.
    Bench {
        /// Which one.
        name: Bench,
    },
    /// Looks for inputs that break what a parser or the index promises, guided by coverage.
    Fuzz {
        /// One target; without it, each in turn.
        target: Option<String>,
        /// For how long, each target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// The same as `test`, under the rules of CI: what this machine lacks is a failure.
    Ci,
}

/// The benchmarks of the whole server.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Bench {
    /// Following authors by a filter, beside following each by a topic.
    Follow,
}

impl Bench {
    /// The program that measures.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Follow => "follow",
        }
    }
}
