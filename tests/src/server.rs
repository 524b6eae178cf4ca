//! The real binary: started with a configuration file on a free port, asked over HTTP, ended by its own process id.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::{self, Request, Response},
    metrics::Metrics,
    paths,
    process::{Process, Signal},
    secrets,
    wait::{PATIENCE, eventually},
};

/// A running server. It is killed when dropped.
pub struct Server {
    process: Process,
    addr: SocketAddr,
    folder: TempDir,
}

/// The program, without arguments.
pub fn standpipe() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(BUILT.get_or_init(|| env::var_os("STANDPIPE_BIN").map_or_else(build, PathBuf::from)))
}

/// Writes a configuration as a user would, into a folder of its own.
pub fn write_config(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("standpipe.toml");
    fs::write(&file, text).expect("a temporary file can be written");
    (folder, file)
}

/// Publishes events to the push source of a server, one a line. Their places in the log, in the same order.
///
/// # Panics
/// If one is not accepted.
pub async fn publish(addr: SocketAddr, events: &[Value]) -> Vec<u64> {
    let body = events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let headers = &[("Content-Type", "application/x-ndjson")];
    let response = http::send(addr, Request { method: "POST", path: "/publish", headers, body: &body }).await;
    let answer = response.json();
    let results = answer.get("results").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let places: Vec<_> = results.iter().filter_map(|result| result.get("seq")?.as_u64()).collect();
    assert_eq!(places.len(), events.len(), "every event is accepted: {response:?}");
    places
}

impl Server {
    /// Serves this configuration, on a free port unless it has a `[server]` section that says otherwise.
    pub async fn start(config: &str) -> Self {
        Self::start_in(config, &[]).await
    }

    /// The same, with these variables in its environment.
    pub async fn start_in(config: &str, environment: &[(&str, &str)]) -> Self {
        let listen = if config.contains("[server]") { "" } else { "[server]\nlisten = \"127.0.0.1:0\"\n\n" };
        let (folder, file) = write_config(&format!("{listen}{config}"));
        let mut command = standpipe();
        command.arg("serve").arg("--config").arg(file).envs(environment.iter().copied());
        Self::run(command, folder).await
    }

    /// Serves the demonstration.
    pub async fn demo() -> Self {
        let mut command = standpipe();
        command.args(["demo", "--listen", "127.0.0.1:0"]);
        Self::run(command, tempfile::tempdir().expect("a temporary folder")).await
    }

    async fn run(mut command: Command, folder: TempDir) -> Self {
        command.current_dir(folder.path()).env("RUST_BACKTRACE", "1");
        command.env("STANDPIPE__SERVER__AUDIT_INTERVAL", "500ms");
        let mut process = Process::start("standpipe", &mut command);
        let listening = |line: &str| line.strip_prefix("listening on http://")?.trim_end_matches('/').parse().ok();
        let addr = process.line("the line with its address", PATIENCE, listening).await;
        Self { process, addr, folder }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of a WebSocket path such as `/ws?topics=a`.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.addr)
    }

    /// The folder that it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A `GET`.
    pub async fn get(&self, path: &str) -> Response {
        http::get(self.addr, path).await
    }

    /// Any request.
    pub async fn request(&self, request: Request<'_>) -> Response {
        http::send(self.addr, request).await
    }

    /// What `/metrics` tells now.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(&self.get("/metrics").await.body)
    }

    /// How many client connections it has, by its metrics.
    pub async fn active(&self) -> usize {
        let active = self.metrics().await.count("standpipe_connections_active");
        usize::try_from(active).expect("a number of connections")
    }

    /// How much waits for its clients, in bytes.
    pub async fn queue_bytes(&self) -> usize {
        let queued = self.metrics().await.count("standpipe_connections_queue_bytes");
        usize::try_from(queued).expect("a size in memory")
    }

    /// Waits until it has this many client connections.
    pub async fn until_active(&self, count: usize, deadline: Duration) {
        eventually("the number of connections", deadline, async || match self.active().await {
            active if active == count => Ok(()),
            active => Err(format!("{active} are active")),
        })
        .await;
    }

    /// Waits until this many clients have subscribed to something.
    pub async fn until_subscribed(&self, count: usize) {
        eventually("every client is there", PATIENCE, async || {
            let subscribed = self.metrics().await.count("standpipe_connections_subscribed");
            if subscribed == count as u64 { Ok(()) } else { Err(format!("{subscribed} are subscribed")) }
        })
        .await;
    }

    /// Waits until a metric that counts is as it should be.
    pub async fn until_counted(&self, name: &str, fits: impl Fn(u64) -> bool) {
        eventually(name, 3 * PATIENCE, async || match self.metrics().await.count(name) {
            count if fits(count) => Ok(()),
            count => Err(format!("it is {count}")),
        })
        .await;
    }

    /// Waits until it has forgotten all of its clients, and returns its books.
    ///
    /// # Panics
    /// If that takes longer than `deadline`, or if the books do not balance then.
    pub async fn until_nobody_left(&self, deadline: Duration) -> Metrics {
        const LEFT: [&str; 5] = [
            "connections_active",
            "connections_subscribed",
            "connections_queue_bytes",
            "selection_subscriptions",
            "ledger_in_flight",
        ];
        let metrics = eventually("nobody is left", deadline, async || {
            let metrics = self.metrics().await;
            let left = LEFT.map(|name| (name, metrics.count(&format!("standpipe_{name}"))));
            if left.iter().all(|(_, left)| *left == 0) { Ok(metrics) } else { Err(format!("{left:?}")) }
        })
        .await;
        assert_eq!(metrics.count("standpipe_ledger_difference"), 0);
        self.audited().await;
        metrics
    }

    /// Waits until its parts have been compared with each other once more, from the beginning to the end.
    ///
    /// # Panics
    /// If they did not agree.
    pub async fn audited(&self) {
        let audits = async || self.metrics().await.count("standpipe_audit_total");
        let before = audits().await;
        eventually("two audits more", PATIENCE, async || {
            let more = audits().await - before;
            if more >= 2 { Ok(()) } else { Err(format!("{more} so far")) }
        })
        .await;
        let metrics = self.metrics().await;
        let found: Vec<_> = ["connections", "subscriptions", "tasks", "sockets", "ledger"]
            .into_iter()
            .map(|of| (of, metrics.value("standpipe_audit_difference", &[("of", of)])))
            .collect();
        assert!(found.iter().all(|(_, difference)| *difference == Some(0.0)), "{found:?}");
    }

    /// What `/connections` lists.
    pub async fn connections(&self) -> Vec<Value> {
        let answer = self.get("/connections").await.json();
        let list = answer.get("connections").and_then(Value::as_array);
        list.unwrap_or_else(|| panic!("no list of connections: {answer}")).clone()
    }

    /// Publishes events to the push source, one a line. Their places in the log, in the same order.
    ///
    /// # Panics
    /// If one is not accepted.
    pub async fn publish(&self, events: &[Value]) -> Vec<u64> {
        publish(self.addr, events).await
    }

    /// What it wrote after its first line, to both outputs.
    pub fn log(&self) -> Vec<String> {
        self.process.stdout().into_iter().skip(1).chain(self.process.stderr()).collect()
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub async fn exit_within(&mut self, deadline: Duration) -> ExitStatus {
        self.process.exit_within(deadline).await
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that has failed already is not to abort.
        if !std::thread::panicking() {
            self.log().iter().for_each(|line| secrets::search("the server's output", line));
        }
    }
}

/// Builds the program, for a run of the tests that nobody built it for.
fn build() -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "standpipe-server", "--bin", "standpipe"]).current_dir(paths::root());
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the server does not build");
    paths::target().join("debug/standpipe")
}
