//! A real browser: pages are opened in Chromium, without a window, and what they may do and see is told
//! (`tests/clients/node/browse.mjs`); or one among the examples is opened, and what it shows is told (`show.mjs`).
//!
//! Each name in `.example` means this machine for it, so that a page may be anybody's, and an address anybody's name.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    foreign::{Collected, node_packages, node_script},
    process::Process,
    secrets,
    skip::is_ci,
    wait::PATIENCE,
};

/// What the program is called, here and there.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// How long all visits of one test may take together.
const DEADLINE: Duration = Duration::from_secs(120);

/// An installed browser.
#[derive(Debug, Clone)]
pub struct Browser(PathBuf);

/// A page to be opened, and what is done from within it, one after the other.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Visit {
    /// Its URL.
    pub page: String,
    /// First these.
    pub sockets: Vec<Opening>,
    /// Then these.
    pub requests: Vec<Asking>,
}

/// A WebSocket to be opened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Opening {
    /// Where.
    pub url: String,
    /// What is offered.
    pub subprotocols: Vec<String>,
    /// The page closes it after a message with this `op`.
    pub until: &'static str,
}

/// A request to be made.
#[derive(Debug, Clone, Serialize)]
pub struct Asking {
    /// Of what.
    pub url: String,
    /// How.
    pub method: &'static str,
    /// `cors`, or `no-cors` for a page that does not care to see the answer.
    pub mode: &'static str,
}

/// A page among the examples that is open.
pub struct Shown {
    process: Process,
}

/// What a page saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Of each socket.
    pub sockets: Vec<Collected>,
    /// Of each request, its status and body. The status is 0 for what a page is not shown.
    pub answers: Vec<(u64, String)>,
}

impl Browser {
    /// The one of this machine; else what is lacking.
    ///
    /// # Panics
    /// Under CI, if there is none.
    pub fn installed() -> Result<Self, String> {
        let folders = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
        let places = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let found = places.into_iter().find(|place| place.is_file());
        if let Some(executable) = found.filter(|_| node_packages().join("playwright-core").exists()) {
            return Ok(Self(executable));
        }
        let lacking = "needs Chromium, and the Node packages that `cargo xtask test-e2e` installs".to_owned();
        assert!(!is_ci(), "{lacking}");
        Err(lacking)
    }

    /// The program.
    pub fn executable(&self) -> &Path {
        &self.0
    }

    /// Opens pages, one after the other. The browser is a new one, and each page is in a profile of its own.
    pub async fn visit(&self, visits: &[Visit]) -> Vec<Seen> {
        let order = json!({ "executable": self.0, "visits": visits });
        let mut process = Process::start("browser", node_script("browse.mjs").arg(order.to_string()));
        let status = process.exit_within(DEADLINE).await;
        assert!(status.success(), "the browser: {status}");
        let lines = process.stdout();
        for line in &lines {
            secrets::search("what a page was told", line);
        }
        assert_eq!(lines.len(), visits.len(), "one line for each visit");
        lines.iter().map(|line| Seen::read(line)).collect()
    }

    /// Opens a page among the examples, with this behind its `?`. It stays open until it is dropped.
    pub fn show(&self, page: &str, query: &str) -> Shown {
        let order = json!({ "executable": self.0, "page": page, "query": query });
        Shown { process: Process::listening(page, node_script("show.mjs").arg(order.to_string())) }
    }
}

impl Shown {
    /// Every line that it has shown so far, those before a reload included.
    pub fn lines(&self) -> Vec<String> {
        let read = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.process.stdout().iter().map(read).collect()
    }

    /// Waits for a line that begins like this.
    pub async fn line(&mut self, start: &str) -> String {
        let fits = |line: &str| serde_json::from_str(line).ok().filter(|line: &String| line.starts_with(start));
        self.process.line(start, DEADLINE, fits).await
    }

    /// Loads it anew, as a user would.
    pub fn reload(&mut self) {
        self.process.tell("reload");
    }

    /// Closes it, and waits until the browser is gone.
    ///
    /// # Panics
    /// If anything was thrown in it.
    pub async fn close(&mut self) {
        self.process.told_all();
        let status = self.process.exit_within(PATIENCE).await;
        assert!(status.success(), "{status}");
    }
}

impl Visit {
    /// A page that only opens this socket, and stays until it is closed.
    pub fn of_socket(page: impl Into<String>, url: impl Into<String>) -> Self {
        Self { page: page.into(), sockets: vec![Opening { url: url.into(), ..Opening::default() }], ..Self::default() }
    }
}

impl Seen {
    fn read(line: &str) -> Self {
        let seen: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        let list = |field: &str| seen.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        let answer = |answer: &Value| {
            let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
            (answer.get("status").and_then(Value::as_u64).unwrap_or_default(), body.to_owned())
        };
        Self {
            sockets: list("sockets").iter().map(Collected::read).collect(),
            answers: list("answers").iter().map(answer).collect(),
        }
    }
}
