//! The end-to-end tests: the real binary, told as a story. One file a theme.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "the helpers of tests, which fail the test")]

mod author;
mod billed;
mod billing;
mod clients;
mod clock;
mod config;
mod conflate;
mod console;
mod contract;
mod credentials;
mod crowd;
mod deliver;
mod demand;
mod demo;
mod drain;
mod events;
mod examples;
mod exodus;
mod faults;
mod gaps;
mod group;
mod guide;
mod handshake;
mod kinds;
mod limits;
mod liveness;
mod operations;
mod pages;
mod partial;
mod platform;
mod presets;
mod publish;
mod receipts;
mod resume;
mod selection;
mod slow;
mod snapshot;
mod standby;
mod storm;
mod story;
mod subscribe;
mod tenants;
mod upstream;

use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, Socket, eventually,
    fake_upstream::{Cut, Speed},
    feeds::Capture,
};

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

/// Waits until `/sources` tells of the source of this name what it should.
async fn until_source(server: &Server, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, PATIENCE, async || {
        let answer = server.get("/sources").await.json();
        let sources = answer["sources"].as_array().unwrap_or_else(|| panic!("no list of sources: {answer}"));
        match sources.iter().find(|source| source["name"] == name) {
            Some(source) if is_so(source) => Ok(source.clone()),
            Some(source) => Err(source.to_string()),
            None => panic!("no source {name}: {answer}"),
        }
    })
    .await
}

/// A feed of these frames that moves on by itself, a server with a source of this name that follows it, and a client of
/// these topics. `rest` is what the source's configuration says besides.
async fn on_cue(
    name: &str,
    frames: impl IntoIterator<Item = impl Into<String>>,
    rest: &str,
    topics: &str,
) -> (FakeUpstream, Server, Socket) {
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::OnCue).await;
    let url = upstream.url();
    let server =
        Server::start(&format!("[[source]]\nname = '{name}'\nkind = 'websocket'\nurl = '{url}'\n{rest}")).await;
    let mut client = Socket::open(server.addr(), &format!("/ws?topics={topics}")).await;
    client.until("subscribed").await;
    until_followed(&upstream).await;
    (upstream, server, client)
}

/// Waits until somebody has the feed of an upstream that moves on by itself.
async fn until_followed(upstream: &FakeUpstream) {
    eventually("a follower", PATIENCE, async || match upstream.followed() {
        0 => Err("nobody is there"),
        _ => Ok(()),
    })
    .await;
}

/// Cuts the connection of an upstream that moves on by itself, and waits for the next one. What is done `meanwhile`
/// happens while there is none.
async fn reconnect_by(upstream: &FakeUpstream, how: Cut, meanwhile: impl FnOnce()) {
    upstream.shut();
    upstream.cut(how);
    eventually("nobody is there", PATIENCE, async || match upstream.followed() {
        0 => Ok(()),
        followed => Err(followed),
    })
    .await;
    meanwhile();
    upstream.reopen();
    until_followed(upstream).await;
}
