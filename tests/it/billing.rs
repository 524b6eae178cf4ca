//! What is proven is charged, once, and nothing else: with the file of charges, through drains, deaths, caps and full disks.

mod deaths;
mod disk;

use std::{fs, path::Path};

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Server, Socket,
    load::{Load, Seen},
    process::Signal,
    wait::eventually,
};
use tempfile::TempDir;

use crate::{PUSH, numbered};

/// Where charges are kept, over several processes.
pub(crate) struct Till(TempDir);

impl Till {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    /// A configuration that charges here; `more` are further lines of `[billing]`.
    pub(crate) fn config(&self, more: &str) -> String {
        let folder = self.0.path().display();
        format!(
            "[billing]\nsink = \"file\"\nfile = \"{folder}/charges.jsonl\"\njournal = \"{folder}/journal.jsonl\"\n{more}\n\n\
             [client]\nreceipt_interval = \"100ms\"\nping_interval = \"1s\"\npong_timeout = \"1s\"\n\n\
             [drain]\nwindow = \"100ms\"\ndeadline = \"8s\"\n{PUSH}"
        )
    }

    /// How many deliveries are charged, in all or by the name.
    pub(crate) fn charged(&self, name: Option<&str>) -> u64 {
        charged(&self.0.path().join("charges.jsonl"), name)
    }
}

fn charged(file: &Path, name: Option<&str>) -> u64 {
    let text = fs::read_to_string(file).expect("the file of charges");
    // A last line may be torn, and is no charge.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a charge"));
    let counted = lines.filter(|line| name.is_none_or(|name| line["event"] == name));
    counted.map(|line| line["count"].as_u64().expect("a count")).sum()
}

pub(crate) async fn drain(mut server: Server) {
    server.signal(Signal::TERM);
    let status = server.exit_within(PATIENCE).await;
    assert!(status.success(), "{:?}", server.log());
}

/// Reads until `n` events have come.
pub(crate) async fn events(client: &mut Socket, n: usize) {
    for _ in 0..n {
        client.until("event").await;
    }
}

/// Reads, and so answers pings, until this many deliveries are charged.
pub(crate) async fn read_until_charged(client: &mut Socket, till: &Till, charges: u64) {
    client.reading(until_charged(till, charges)).await;
}

pub(crate) async fn until_charged(till: &Till, charges: u64) {
    eventually("what was proven is charged", PATIENCE, async || match till.charged(None) {
        charged if charged == charges => Ok(()),
        charged => Err(format!("{charged} of {charges}")),
    })
    .await;
}

#[tokio::test]
async fn what_was_delivered_is_charged_as_what_its_topic_says_and_told() {
    let till = Till::new();
    let names = r#"event = [{ topics = "dear.>", name = "premium" }, { topics = "cheap.*", name = "basic" }]"#;
    let server = Server::start(&till.config(names)).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=%3E").await;
    client.until("subscribed").await;
    let topics = ["dear.a.b", "cheap.a", "free.a", "cheap.b"];
    server.publish(&numbered(8, |i| topics[i % 4].to_owned())).await;
    events(&mut client, 8).await;
    read_until_charged(&mut client, &till, 6).await;
    assert_eq!((till.charged(Some("premium")), till.charged(Some("basic"))), (2, 4));
    let connections = server.connections().await;
    assert_eq!((&connections[0]["billed"], &connections[0]["ledger"]["confirmed"]), (&json!(6), &json!(8)));
    // The numbers are of a moment ago.
    let metrics = eventually("the numbers", PATIENCE, async || {
        let metrics = server.metrics().await;
        if metrics.count("standpipe_ledger_charged_total") == 6 { Ok(metrics) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(metrics.value("standpipe_ledger_charged_total", &[("event", "basic")]), Some(4.0));
    assert_eq!((metrics.count("standpipe_ledger_unsettled"), metrics.count("standpipe_ledger_stalled")), (0, 0));
    drain(server).await;
    assert_eq!(till.charged(None), 6);
}

#[tokio::test]
async fn a_cap_of_a_dollar_is_used_to_the_last_event_though_some_clients_are_dead() {
    let till = Till::new();
    let cap = "prices = { \"event-delivered\" = \"0.0003\" }\ncap = \"1.00\"";
    let server = Server::start(&till.config(cap)).await;
    let mut dead = Vec::new();
    for _ in 0..3 {
        let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
        client.until("subscribed").await;
        dead.push(client);
    }
    let live = Load::connect((0..7).map(|_| (server.addr(), "/ws?topics=a".to_owned()))).await;
    // For ten clients 6,000 deliveries: 3,333 can be paid.
    server.publish(&numbered(600, |_| "a".to_owned())).await;
    until_charged(&till, 3333).await;
    let has_all = |seen: &Seen| seen.events.len() == 600;
    live.until("who lives is told that it is over, or has all", |_, seen| seen.closed == Some(4010) || has_all(seen))
        .await;
    let seen = live.seen();
    assert!(seen.iter().any(|seen| !has_all(seen)));
    let received: usize = seen.iter().map(|seen| seen.events.len()).sum();
    assert!(received >= 3333, "no dead client was charged: {received}");
    drain(server).await;
    assert_eq!(till.charged(None), 3333);
}
