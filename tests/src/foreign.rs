//! Clients that nobody here wrote: Python's `websockets` and Node's `ws`, each behind the same small command line
//! (`tests/clients/`), which prints what happens to it, one JSON value a line.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    paths,
    process::{Process, Signal},
    secrets,
    skip::is_ci,
    wait::PATIENCE,
};

/// Whose client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The library `websockets`, on asyncio.
    Python,
    /// The library `ws`.
    Node,
}

/// A running client.
pub struct Collector {
    process: Process,
}

/// What a client saw, once it has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// Every message, in the order of arrival.
    pub messages: Vec<Value>,
    /// How it ended.
    pub ending: Ending,
}

/// How a client's connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By a Close frame of the server.
    Closed {
        /// Its code; 1006 if the connection was lost without one.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// By the client, for this reason of its command line.
    Left(String),
    /// By an HTTP answer instead of an upgrade.
    Refused {
        /// Its status.
        status: u16,
    },
}

impl Language {
    /// Itself, if it is installed; else what is lacking.
    ///
    /// # Panics
    /// Under CI, if it is not installed.
    pub fn installed(self) -> Result<Self, String> {
        let needed = match self {
            Self::Python => python(),
            Self::Node => node_packages().join("ws"),
        };
        if needed.exists() {
            return Ok(self);
        }
        let lacking = format!("needs the {self:?} client: `cargo xtask test-e2e` installs it");
        assert!(!is_ci(), "{lacking}");
        Err(lacking)
    }

    /// Connects to `url`. The options are those of `tests/clients/python/collect.py`, and the same in each language.
    pub fn collect(self, url: &str, options: &[&str]) -> Collector {
        let mut command = match self {
            Self::Python => script("collect.py"),
            Self::Node => node_script("collect.mjs"),
        };
        command.arg(url).args(options);
        Collector { process: Process::start(&format!("{self:?} client"), &mut command) }
    }
}

/// A Python program of `tests/clients/python/`, run by the environment that has its libraries.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(paths::root().join("tests/clients/python").join(name));
    command
}

/// A Node program of `tests/clients/node/`, with the packages that are installed for it.
pub fn node_script(name: &str) -> Command {
    let mut command = Command::new("node");
    // Node looks for packages from the script's folder upwards, where there are none.
    command.env("NODE_PATH", node_packages()).arg(paths::root().join("tests/clients/node").join(name));
    command
}

/// Runs a program to its end; the JSON values that it prints, one a line.
///
/// # Panics
/// If it fails.
pub async fn values(command: &mut Command) -> Vec<Value> {
    let mut process = Process::start("program", command);
    let status = process.exit_within(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    process.stdout().iter().map(|line| parse(line)).collect()
}

impl Collector {
    /// Waits for the first message with this `op`.
    pub async fn message(&mut self, op: &str) -> Value {
        let found = |line: &str| {
            let message = parse(line).get_mut("message")?.take();
            (message.get("op")?.as_str() == Some(op)).then_some(message)
        };
        self.process.line(&format!("message `{op}`"), PATIENCE, found).await
    }

    /// The messages so far.
    pub fn messages(&self) -> Vec<Value> {
        self.process.stdout().iter().filter_map(|line| Some(parse(line).get_mut("message")?.take())).collect()
    }

    /// Sends its process a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, and tells what it saw.
    pub async fn finish(mut self, deadline: Duration) -> Collected {
        let status = self.process.exit_within(deadline).await;
        self.process.stdout().iter().for_each(|line| secrets::search("what a client was told", line));
        let lines: Vec<_> = self.process.stdout().iter().map(|line| parse(line)).collect();
        let ending = lines.last().and_then(Ending::read);
        let ending = ending.unwrap_or_else(|| panic!("a client that did not say how it ended ({status})"));
        Collected { messages: self.messages(), ending }
    }
}

impl Collected {
    /// What a page says of one of its sockets.
    pub(crate) fn read(told: &Value) -> Self {
        let messages = told.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
        let ending = Ending::read(told).unwrap_or_else(|| panic!("a socket that did not say how it ended: {told}"));
        Self { messages, ending }
    }

    /// The messages of this `op`.
    pub fn of(&self, op: &str) -> Vec<&Value> {
        self.messages.iter().filter(|message| message.get("op").and_then(Value::as_str) == Some(op)).collect()
    }

    /// The events.
    pub fn events(&self) -> Vec<&Value> {
        self.of("event")
    }
}

impl Ending {
    fn read(line: &Value) -> Option<Self> {
        let number = |of: &Value, field: &str| u16::try_from(of.get(field)?.as_u64()?).ok();
        if let Some(closed) = line.get("closed") {
            let reason = closed.get("reason")?.as_str()?.to_owned();
            Some(Self::Closed { code: number(closed, "code")?, reason })
        } else if let Some(refused) = line.get("refused") {
            Some(Self::Refused { status: number(refused, "status")? })
        } else {
            Some(Self::Left(line.get("left")?.as_str()?.to_owned()))
        }
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
}

fn python() -> PathBuf {
    paths::target().join("venv/bin/python")
}

/// Where Node's packages are installed.
pub fn node_packages() -> PathBuf {
    paths::target().join("clients/node/node_modules")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FakeUpstream, PATIENCE, eventually,
        fake_upstream::{Cut, Speed},
        feeds::Capture,
        language,
    };

    const MESSAGES: [&str; 3] =
        [r#"{"op":"welcome"}"#, r#"{"op":"event","seq":1,"data":0.1000}"#, r#"{"op":"event","seq":2,"data":[]}"#];

    async fn leaves_when_told(language: Language) {
        let upstream = FakeUpstream::start(Capture::of(MESSAGES), Speed::Max).await;
        upstream.release();
        let collected = language.collect(&upstream.url(), &["--events", "1"]).finish(PATIENCE).await;
        assert_eq!(collected.ending, Ending::Left("events".to_owned()));
        assert_eq!(collected.messages.len(), 2);
        assert_eq!(collected.events()[0]["seq"], 1);
    }

    async fn tells_how_it_was_closed(language: Language) {
        let upstream = FakeUpstream::start(Capture::of(MESSAGES), Speed::Max).await;
        let mut client = language.collect(&upstream.url(), &["--send", r#"{"op":"ping"}"#]);
        upstream.release();
        client.message("event").await;
        eventually("what was sent", PATIENCE, async || {
            if upstream.received().is_empty() { Err("nothing".to_owned()) } else { Ok(()) }
        })
        .await;
        upstream.cut(Cut::Reset);
        let collected = client.finish(PATIENCE).await;
        assert_eq!(collected.ending, Ending::Closed { code: 1006, reason: String::new() });
        assert_eq!(upstream.received(), [r#"{"op":"ping"}"#]);
    }

    #[tokio::test]
    async fn the_python_client_leaves_when_told() {
        leaves_when_told(language!(Language::Python)).await;
    }

    #[tokio::test]
    async fn the_python_client_tells_how_it_was_closed() {
        tells_how_it_was_closed(language!(Language::Python)).await;
    }

    #[tokio::test]
    async fn the_node_client_leaves_when_told() {
        leaves_when_told(language!(Language::Node)).await;
    }

    #[tokio::test]
    async fn the_node_client_tells_how_it_was_closed() {
        tells_how_it_was_closed(language!(Language::Node)).await;
    }
}
