//! Actors under the local Standby platform: what callers get, which run serves them, and how runs end.

mod actors;
mod faulty;
mod image;
mod packaging;
mod passing;
mod runs;
mod sdks;
mod shows;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use standpipe_standby::{Actor, Deployment, Platform, Pricing, Settings, Timing};
use standpipe_tests::{
    PATIENCE, eventually,
    foreign::script,
    http::{self, Request, Response},
    server::{standpipe, write_config},
    within,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An Actor that is deployed, and a caller of it.
struct Standby {
    platform: Platform,
    deployment: Deployment,
    /// Of the caller `alice`.
    token: String,
    /// What the Actor was made from.
    folder: TempDir,
}

/// The Python Actor, in `mode`.
fn python(mode: &str) -> Actor {
    program(script("actor.py").arg(mode))
}

/// A program as an Actor.
fn program(command: &Command) -> Actor {
    let text = |text: &OsStr| text.to_str().expect("a text").to_owned();
    let environment = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?))));
    Actor {
        program: command.get_program().into(),
        arguments: command.get_args().map(Into::into).collect(),
        environment: environment.collect(),
        ..actor()
    }
}

/// The server as an Actor, with this configuration.
fn server(config: &str, settings: Settings) -> (TempDir, Actor) {
    let (folder, config) = write_config(config);
    let (program, arguments) = (standpipe().get_program().into(), ["serve".into(), "--config".into(), config.into()]);
    let actor = Actor { program, arguments: arguments.into(), folder: folder.path().to_owned(), settings, ..actor() };
    (folder, actor)
}

/// What all of these Actors have in common.
fn actor() -> Actor {
    Actor {
        name: "somebody/something".to_owned(),
        program: PathBuf::new(),
        arguments: Vec::new(),
        folder: PathBuf::from("/"),
        environment: Vec::new(),
        pricing: Pricing::PerEvent(BTreeMap::from([("event-delivered".to_owned(), "0.0003".to_owned())])),
        max_total_charge_usd: None,
        input: None,
        settings: Settings::PLATFORM,
    }
}

impl Standby {
    async fn deploy(actor: Actor, timing: Timing) -> Self {
        Self::deploy_from(actor, timing, TempDir::new().expect("a temporary folder")).await
    }

    async fn deploy_from(actor: Actor, timing: Timing, folder: TempDir) -> Self {
        let platform = Platform::start_with(timing).await.expect("a free port");
        let deployment = platform.deploy(actor).await.expect("a free port");
        let token = platform.caller("alice").expect("randomness");
        Self { platform, deployment, token, folder }
    }

    /// What the Actor was made from.
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A `GET` by `alice`, with her token in a header.
    async fn get(&self, path: &str) -> Response {
        self.get_as(&self.token, path).await
    }

    async fn get_as(&self, token: &str, path: &str) -> Response {
        let bearer = format!("Bearer {token}");
        let headers = &[("Authorization", bearer.as_str())];
        http::send(self.deployment.address(), Request { path, headers, ..Request::default() }).await
    }

    /// The platform's object of a run.
    fn run(&self, run: &str) -> Value {
        let state = self.platform.state();
        let runs = state["runs"].as_array().expect("a list of runs");
        runs.iter().find(|known| known["run"]["id"] == run).unwrap_or_else(|| panic!("no run {run}: {state}"))["run"]
            .clone()
    }

    /// Waits until a run has this status.
    async fn until(&self, run: &str, status: &str) -> Value {
        eventually(&format!("the run is {status}"), 3 * PATIENCE, async || match self.run(run) {
            object if object["status"] == status => Ok(object),
            object => Err(format!("{object}\n{}", self.platform.log(run).join("\n"))),
        })
        .await
    }

    /// Waits until the Actor has these many runs.
    async fn until_runs(&self, count: usize) -> Vec<String> {
        eventually("the number of runs", 3 * PATIENCE, async || match self.deployment.runs() {
            runs if runs.len() == count => Ok(runs),
            runs => Err(format!("{runs:?}")),
        })
        .await
    }

    /// Waits until a run has these many requests.
    async fn until_open(&self, run: &str, count: usize) {
        eventually("the number of open requests", PATIENCE, async || match self.deployment.open(run) {
            open if open == count => Ok(()),
            open => Err(open),
        })
        .await;
    }

    /// Waits until it is known how much memory a run has.
    async fn until_measured(&self, run: &str) {
        eventually("what it takes of memory", PATIENCE, async || {
            let object = self.run(run);
            let is_known = object["stats"]["memCurrentBytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20);
            if is_known { Ok(()) } else { Err(object) }
        })
        .await;
    }

    /// A request by `alice` that stays open, of whose answer `text` has come.
    async fn listen(&self, path: &str, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.deployment.address()).await.expect("a platform that listens");
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", self.token);
        stream.write_all(head.as_bytes()).await.expect("an open connection");
        until(&mut stream, text).await;
        stream
    }

    /// Where a run that is ready listens itself.
    async fn address(&self, run: &str) -> SocketAddr {
        eventually("the run is ready", 3 * PATIENCE, async || {
            let object = self.run(run);
            let url = object["containerUrl"].as_str().and_then(|url| url.strip_prefix("http://")?.parse().ok());
            url.ok_or_else(|| self.platform.log(run).join("\n"))
        })
        .await
    }

    /// Ends all of it, and looks for what was left behind.
    async fn end(self) {
        let groups: Vec<_> = self.runs_ever().iter().filter_map(|run| self.platform.group(run)).collect();
        self.platform.stop().await;
        for group in groups {
            until_gone(group).await;
        }
    }

    fn runs_ever(&self) -> Vec<String> {
        let state = self.platform.state();
        let runs = state["runs"].as_array().expect("a list of runs");
        runs.iter().filter_map(|run| run["run"]["id"].as_str().map(str::to_owned)).collect()
    }
}

/// Reads until `text` has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&bytes).contains(text) {
            assert_ne!(stream.read_buf(&mut bytes).await.expect("an open connection"), 0, "the end came first");
        }
    };
    within(text, PATIENCE, read).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until a group has no processes.
async fn until_gone(group: i32) {
    eventually("nothing is left behind", PATIENCE, async || match members(group) {
        left if left.is_empty() => Ok(()),
        left => Err(left.concat()),
    })
    .await;
}

/// Processes of a group that are not only waiting to be buried.
fn members(group: i32) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
            let is_alive = fields.next().is_some_and(|state| state != "Z" && state != "X");
            is_alive && fields.nth(1).is_some_and(|of| of == group.to_string())
        })
        .collect()
}

/// The platform's times, so many times as fast, but with patience for a busy machine where nothing is to go wrong.
fn fast(factor: f64) -> Timing {
    let Timing { start, hold, first_response, probe_patience, .. } = Timing::PLATFORM;
    Timing { start, hold, first_response, probe_patience, ..Timing::PLATFORM.faster(factor) }
}

/// The type of a platform's error.
fn error(response: &Response) -> (u16, String) {
    (response.status, response.json()["error"]["type"].as_str().unwrap_or_default().to_owned())
}

/// Soon, but not so soon that a busy machine takes it for idleness.
const IDLE: Duration = Duration::from_secs(1);
