//! A real Prometheus with the rules of `deploy`, which watches a server and is asked what it thinks.
//!
//! It runs by copies of the files there, in which nothing is different but addresses and times: what is to hold for minutes
//! holds for a second, and it looks four times a second.

use std::{collections::BTreeSet, fmt::Write as _, fs, net::SocketAddr, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    http::{self, Request},
    paths,
    process::Process,
    wait::{PATIENCE, eventually},
};

/// A running Prometheus.
pub struct Prometheus {
    addr: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// Whether it is installed.
pub fn is_installed() -> bool {
    ["prometheus", "promtool"].iter().all(|program| Command::new(program).arg("--version").output().is_ok())
}

impl Prometheus {
    /// Has it watch a server.
    pub async fn watch(server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let deploy = paths::root().join("deploy/prometheus");
        let read = |name: &str| fs::read_to_string(deploy.join(name)).expect("a file of deploy/prometheus");
        let config = read("prometheus.yml").replace("15s", "250ms").replace("localhost:8080", &server.to_string());
        let rules = read("rules.yml");
        let hold =
            |line: &str| if line.trim_start().starts_with("for: ") { "        for: 1s" } else { line }.to_owned();
        let rules: Vec<_> = rules.lines().map(hold).collect();
        for (name, text) in [("prometheus.yml", config), ("rules.yml", rules.join("\n"))] {
            fs::write(folder.path().join(name), text).expect("a temporary file can be written");
        }
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|door| door.local_addr());
        let addr = free.expect("a free port");
        let mut command = Command::new("prometheus");
        command.current_dir(folder.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.args(["--log.level=warn", &format!("--web.listen-address={addr}")]);
        let process = Process::start("prometheus", &mut command);
        eventually("Prometheus", PATIENCE, async || {
            tokio::net::TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
            match http::get(addr, "/-/ready").await.status {
                200 => Ok(()),
                status => Err(format!("it answers {status}")),
            }
        })
        .await;
        Self { addr, _process: process, _folder: folder }
    }

    /// What a query gives now: a list of samples.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let body = format!("query={}", encoded(query));
        let answer = self.ask("POST", "/api/v1/query", &body).await;
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        result.unwrap_or_else(|| panic!("{query}: {answer}")).clone()
    }

    /// Waits until a query gives something.
    pub async fn until(&self, query: &str) {
        eventually(query, 3 * PATIENCE, async || {
            let samples = self.query(query).await;
            if samples.is_empty() { Err(format!("nothing; firing: {:?}", self.firing().await)) } else { Ok(()) }
        })
        .await;
    }

    /// Waits until an alert of this name fires.
    pub async fn until_fires(&self, alert: &str) {
        self.until(&format!("ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}")).await;
    }

    /// The names of the alerts that fire.
    pub async fn firing(&self) -> BTreeSet<String> {
        names(&self.query("ALERTS{alertstate=\"firing\"}").await)
    }

    /// The names of the alerts that have fired at any time.
    pub async fn have_fired(&self) -> BTreeSet<String> {
        names(&self.query("max_over_time(ALERTS{alertstate=\"firing\"}[1h])").await)
    }

    /// All alerts that hold, with what they say.
    pub async fn alerts(&self) -> Value {
        self.ask("GET", "/api/v1/alerts", "").await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        // A long answer has no length: it ends with its connection.
        let headers = &[("Content-Type", "application/x-www-form-urlencoded"), ("Connection", "close")];
        http::send(self.addr, Request { method, path, headers, body }).await.json()
    }
}

fn names(samples: &[Value]) -> BTreeSet<String> {
    let names = samples.iter().filter_map(|sample| sample.pointer("/metric/alertname")?.as_str());
    names.map(str::to_owned).collect()
}

/// As a form's value.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
