//! Somebody who signs tokens: mints them with Node's `crypto`, and publishes the keys over HTTP.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{Site, paths, process::Process, secrets, wait::PATIENCE};

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
pub struct Issuer(Site);

impl Issuer {
    /// Publishes these keys.
    pub async fn start<'a>(keys: impl IntoIterator<Item = &'a Value>) -> Self {
        Self(Site::start("application/json", &set(keys)).await)
    }

    /// Publishes these keys, and no others.
    pub fn publish<'a>(&self, keys: impl IntoIterator<Item = &'a Value>) {
        self.0.show(Some(set(keys)));
    }

    /// Answers 500 from now on.
    pub fn fail(&self) {
        self.0.show(None);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.0.asked()
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.0.addr())
    }
}

/// A JWK set (RFC 7517 §5).
fn set<'a>(keys: impl IntoIterator<Item = &'a Value>) -> String {
    let keys: Vec<_> = keys.into_iter().cloned().collect();
    json!({"keys": keys}).to_string()
}

/// Longer than a server takes to ask for keys again.
pub const KEYS_PAUSE: Duration = Duration::from_secs(5);
