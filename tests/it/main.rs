//! The end-to-end tests: the real binary, told as a story. One file a theme.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "the helpers of tests, which fail the test")]

mod author;
mod billed;
mod billing;
mod config;
mod conflate;
mod credentials;
mod crowd;
mod deliver;
mod demo;
mod drain;
mod exodus;
mod faults;
mod handshake;
mod kinds;
mod limits;
mod liveness;
mod pages;
mod platform;
mod presets;
mod receipts;
mod resume;
mod selection;
mod slow;
mod snapshot;
mod storm;
mod story;
mod subscribe;
mod tenants;
mod upstream;

use serde_json::{Value, json};

/// A server that is fed by `POST /publish`, without a mapping.
const PUSH: &str = r#"
[[source]]
name = "in"
kind = "push"
"#;

/// Events `0..count` as a publisher writes them; `topic` makes the topic of each.
fn numbered(count: usize, topic: impl Fn(usize) -> String) -> Vec<Value> {
    (0..count).map(|i| json!({"topic": topic(i), "data": {"i": i}})).collect()
}

/// The `seq` of a message.
fn seq(message: &Value) -> u64 {
    message["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {message}"))
}

/// The `seq` of a cursor such as `9f…:1042`.
fn cursor_seq(cursor: &Value) -> u64 {
    let seq = cursor.as_str().and_then(|cursor| cursor.split(':').nth(1)?.parse().ok());
    seq.unwrap_or_else(|| panic!("not a cursor: {cursor}"))
}
