//! Our own clients, each behind the same program: options in one argument, commands on standard input, and what the
//! application sees on standard output, one JSON object a line.
//!
//! What the programs understand and tell is written at the top of each: `tests/clients/node/follow.mjs` and `browser_follow.mjs`,
//! `tests/clients/python/follow.py`, `tests/src/bin/rust_follow.rs`.

use std::{path::Path, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    browser::Browser,
    foreign::{self, Language},
    paths,
    process::Process,
    wait::PATIENCE,
};

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ours {
    /// `clients/js`, in Node.
    JavaScript,
    /// The same, in a page of a real browser.
    Page,
    /// `clients/python`.
    Python,
    /// `crates/client`.
    Rust,
}

/// A client at work, and its application.
pub struct Follower {
    process: Process,
}

impl Ours {
    /// Itself, if what it needs is installed; else what is lacking.
    ///
    /// # Panics
    /// Under CI, if it is not.
    pub fn installed(self) -> Result<Self, String> {
        match self {
            Self::JavaScript => Language::Node.installed().map(|_| self),
            Self::Page => Browser::installed().map(|_| self),
            Self::Python => Language::Python.installed().map(|_| self),
            Self::Rust => Ok(self),
        }
    }

    /// Starts a client with these options. `rust` is the program of the Rust client, which is built with the tests.
    pub fn follow(self, rust: &Path, options: &Value) -> Follower {
        let mut options = options.clone();
        let mut command = match self {
            Self::JavaScript => node("follow.mjs"),
            Self::Page => {
                let browser = Browser::installed().unwrap_or_else(|lacking| panic!("{lacking}"));
                if let Value::Object(options) = &mut options {
                    options.insert("executable".to_owned(), browser.executable().display().to_string().into());
                }
                node("browser_follow.mjs")
            }
            Self::Python => foreign::script("follow.py"),
            Self::Rust => Command::new(rust),
        };
        Follower { process: Process::listening(&format!("{self:?} client"), command.arg(options.to_string())) }
    }
}

impl Follower {
    /// Gives it a command.
    pub fn tell(&mut self, command: &Value) {
        self.process.tell(&command.to_string());
    }

    /// What its application has seen so far.
    pub fn updates(&self) -> Vec<Value> {
        self.process.stdout().iter().map(|line| read(line)).collect()
    }

    /// Waits for an update that fits, among all so far and those that come.
    pub async fn update(&mut self, what: &str, within: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        self.process.line(what, within, |line| Some(read(line)).filter(|update| fits(update))).await
    }

    /// Tells it that there is nothing more to do, if it has not ended, and waits for its end. All that its application saw.
    ///
    /// # Panics
    /// If it failed.
    pub async fn close(&mut self) -> Vec<Value> {
        self.process.told_all();
        let status = self.process.exit_within(PATIENCE).await;
        assert!(status.success(), "{status}");
        self.updates()
    }
}

/// A program of ours in Node, with the JavaScript client as it was built.
fn node(program: &str) -> Command {
    let mut node = foreign::node_script(program);
    node.env("STANDPIPE_JS", paths::target().join("clients/js"));
    node
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
