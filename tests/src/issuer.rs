//! Somebody who signs tokens: mints them with Node's `crypto`, and publishes the keys over HTTP.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{paths, process::Process, secrets, wait::PATIENCE};

/// Tokens by name, and the public keys that they are checked with.
#[derive(Debug)]
pub struct Minted {
    /// Each is planted as a secret.
    pub tokens: BTreeMap<String, String>,
    /// Public keys in PEM form, by key.
    pub pems: BTreeMap<String, String>,
    /// The same as JWK.
    pub jwks: BTreeMap<String, Value>,
}

/// A token to be minted: see `tests/clients/node/mint.mjs`.
pub fn order(name: &str, key: &str, claims: &Value) -> Value {
    json!({"name": name, "key": key, "claims": claims})
}

/// Seconds since 1970, as tokens count.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Mints what is ordered.
///
/// # Panics
/// If Node is not there, or cannot.
pub async fn mint(orders: &[Value]) -> Minted {
    let mut node = Command::new("node");
    node.arg(paths::root().join("tests/clients/node/mint.mjs")).arg(Value::from(orders).to_string());
    let mut process = Process::start("mint", &mut node);
    let line = process.line("what was minted", PATIENCE, |line| serde_json::from_str::<Value>(line).ok()).await;
    let texts = |field: &str| {
        let fields = line.get(field).and_then(Value::as_object).into_iter().flatten();
        fields
            .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let tokens = texts("tokens");
    for token in tokens.values() {
        secrets::plant(token);
    }
    let jwks = line.get("jwks").and_then(Value::as_object).cloned().unwrap_or_default();
    Minted { tokens, pems: texts("pems"), jwks: jwks.into_iter().collect() }
}

/// Publishes a set of keys, at `/keys`.
pub struct Issuer {
    addr: SocketAddr,
    set: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    /// Publishes these keys.
    pub async fn start<'a>(keys: impl IntoIterator<Item = &'a Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let (set, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let serve = {
            let (set, asked) = (Arc::clone(&set), Arc::clone(&asked));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    asked.fetch_add(1, Relaxed);
                    let set = set.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    // Whoever hangs up gets no answer.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, set)).await;
                }
            }
        };
        #[expect(clippy::disallowed_methods, reason = "aborted when dropped")]
        let task = tokio::spawn(serve);
        let issuer = Self { addr, set, asked, task };
        issuer.publish(keys);
        issuer
    }

    /// Publishes these keys, and no others.
    pub fn publish<'a>(&self, keys: impl IntoIterator<Item = &'a Value>) {
        let keys: Vec<_> = keys.into_iter().cloned().collect();
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = Some(json!({"keys": keys}).to_string());
    }

    /// Answers 500 from now on.
    pub fn fail(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.addr)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, set: Option<String>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (status, body) = set.map_or(("500 Internal Server Error", String::new()), |set| ("200 OK", set));
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Longer than a server takes to ask for keys again.
pub const KEYS_PAUSE: Duration = Duration::from_secs(5);
