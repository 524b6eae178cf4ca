//! The table of docs/delivery.md, "is it billed?", as it is carried out: each row against a server that charges to a file.

use std::fs;

use serde_json::{Value, json};
use standpipe_tests::{
    EventStream, PATIENCE, Peer, Server, Socket, eventually, paths,
    peer::{Answers, Frame},
};

use crate::{
    billing::{Till, drain, events, read_until_charged, until_charged},
    numbered, seq,
};

#[tokio::test]
async fn the_table_of_what_is_billed_is_what_happens() {
    let document = fs::read_to_string(paths::root().join("docs/delivery.md")).expect("the document");
    let says = |how: &str| {
        let row = document.lines().find_map(|line| line.strip_prefix(&format!("| {how} |")));
        let row = row.unwrap_or_else(|| panic!("no row `{how}`"));
        row.trim_start().starts_with("yes")
    };
    let (billed, delivered) = live().await;
    assert_eq!((says("live"), billed), (true, delivered));
    for (how, query, is_billed) in [
        ("replayed, on a connection that begins with `after`", "/ws?topics=a&after=earliest", true),
        ("as part of a snapshot", "/ws?topics=a&snapshot=1", false),
    ] {
        assert_eq!((says(how), from_the_past(query).await), (is_billed, if is_billed { 5 } else { 0 }), "{how}");
    }
    assert_eq!((says("replayed, in a bracket"), bracket().await), (true, 5));
    assert_eq!(
        (says("delivered again, to a client that shows the token of its last connection"), again(true).await),
        (false, 5)
    );
    assert_eq!((says("delivered again, to anybody else"), again(false).await), (true, 10));
    assert_eq!(
        (says("not proven when the connection ended, and behind it resumed with its token"), resumed().await),
        (true, 3)
    );
    assert_eq!(
        (says("read from the log because its client had fallen behind"), caught_up().await),
        (true, BEHIND as u64)
    );
    assert_eq!((says("conflated: a newer event of its key took its place"), conflated().await), (false, 0));
    assert_eq!((says("written, and not proven when the connection ended"), unproven().await), (false, 0));
    assert_eq!((says("told as a gap"), gap().await), (false, 2));
    for (rule, is_billed) in [("give", false), ("bill", true)] {
        let how = format!("in an event stream, with `sse = \"{rule}\"`");
        assert_eq!((says(&how), in_a_stream(rule).await), (is_billed, if is_billed { 5 } else { 0 }), "{how}");
    }
}

/// Five events as they happen: how many were billed, how many delivered.
async fn live() -> (u64, u64) {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    events(&mut client, 5).await;
    read_until_charged(&mut client, &till, 5).await;
    drain(server).await;
    (till.charged(None), 5)
}

/// Five events come to who cannot prove it.
async fn in_a_stream(rule: &str) -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config(&format!("sse = \"{rule}\""))).await;
    let mut stream = EventStream::open(server.addr(), "/events?topics=a").await;
    stream.until("subscribed").await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    for _ in 0..5 {
        stream.until("event").await;
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_ledger_confirmed_total"), 0, "nothing is confirmed, whatever is billed");
    drop(stream);
    server.until_nobody_left(PATIENCE).await;
    drain(server).await;
    till.charged(None)
}

#[tokio::test]
async fn who_cannot_prove_what_it_gets_may_be_refused() {
    let till = Till::new();
    let server = Server::start(&till.config("sse = \"refuse\"")).await;
    let refused = EventStream::try_open(server.addr(), "/events?topics=a", &[]).await.err().expect("refused");
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("NOT_AVAILABLE")));
    assert!(refused.body.contains("/ws"), "{}", refused.body);
    Socket::open(server.addr(), "/ws?topics=a").await.until("subscribed").await;
}

/// Five events of five keys were before; this connection gets them by `query`.
async fn from_the_past(query: &str) -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    let events: Vec<_> = (0..5).map(|i| json!({"topic": "a", "key": i.to_string(), "data": {"i": i}})).collect();
    server.publish(&events).await;
    let mut client = Socket::open(server.addr(), query).await;
    for _ in 0..5 {
        let op = if query.contains("snapshot") { "snapshot" } else { "event" };
        client.until(op).await;
    }
    until_confirmed(&server, &mut client, 5).await;
    drain(server).await;
    till.charged(None)
}

/// Reads until the server knows this many frames to be received.
async fn until_confirmed(server: &Server, client: &mut Socket, frames: u64) {
    client.reading(server.until_counted("standpipe_ledger_confirmed_total", |confirmed| confirmed >= frames)).await;
}

async fn bracket() -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=b").await;
    client.until("subscribed").await;
    client.send(&json!({"op": "subscribe", "topics": ["a"], "after": "earliest"})).await;
    client.until("replayed").await;
    read_until_charged(&mut client, &till, 5).await;
    drain(server).await;
    till.charged(None)
}

async fn again(with_token: bool) -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    let (mut path, mut confirmed) = ("/ws?topics=a&after=earliest".to_owned(), 0);
    for _ in 0..2 {
        let mut client = Socket::open(server.addr(), &path).await;
        let token = client.message().await["resume"].as_str().expect("a token").to_owned();
        events(&mut client, 5).await;
        confirmed += 5;
        until_confirmed(&server, &mut client, confirmed).await;
        if with_token {
            path = format!("/ws?topics=a&after=earliest&resume={token}");
        }
    }
    drain(server).await;
    till.charged(None)
}

/// Five events come to a client that proves nothing; then it goes on behind the third.
async fn resumed() -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    let mut client = Peer::open(server.addr(), "/ws?topics=a").await;
    client.answer(Answers::Never);
    let welcome = client.until("welcome").await;
    client.until("subscribed").await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    let mut seqs = Vec::new();
    for _ in 0..5 {
        seqs.push(seq(&client.until("event").await));
    }
    client.reset();
    server.until_nobody_left(PATIENCE).await;
    let [epoch, token] = ["epoch", "resume"].map(|field| welcome[field].as_str().expect("a text"));
    let path = format!("/ws?topics=b&after={epoch}:{}&resume={token}", seqs[2]);
    Socket::open(server.addr(), &path).await.until("subscribed").await;
    until_charged(&till, 3).await;
    drain(server).await;
    till.charged(None)
}

/// A client has a small queue, and may take its time to read it.
fn patient(till: &Till) -> String {
    let config = till.config("");
    let (billing, client) = config.split_once("[client]").expect("a section for clients");
    let (_, rest) = client.split_once("[drain]").expect("a section behind it");
    let client = "receipt_interval = \"100ms\"\nmax_queue_bytes = \"64KiB\"\nmax_queue_age = \"60s\"";
    format!("{billing}[client]\n{client}\n\n[drain]{rest}")
}

/// More than waits for a client: events of 1 KiB.
const BEHIND: usize = 400;

fn large(count: usize, key: impl Fn(usize) -> String) -> Vec<Value> {
    (0..count).map(|i| json!({"topic": "a", "key": key(i), "data": {"i": i, "x": "x".repeat(1024)}})).collect()
}

/// A client that reads nothing until all is published, more than its queue holds.
async fn slow_reader(server: &Server, query: &str, events: &[Value]) -> Peer {
    let path = format!("/ws?topics=a&{query}");
    let mut client = Peer::try_open(server.addr(), &path, Some(4 * 1024)).await.expect("the server accepts");
    client.until("subscribed").await;
    for some in events.chunks(50) {
        server.publish(some).await;
    }
    client
}

async fn caught_up() -> u64 {
    let till = Till::new();
    let server = Server::start(&patient(&till)).await;
    let mut client = slow_reader(&server, "overflow=catch_up", &large(BEHIND, |i| i.to_string())).await;
    for _ in 0..BEHIND {
        client.until("event").await;
    }
    assert!(server.metrics().await.count("standpipe_fanout_pulled_total") > 0, "it had fallen behind");
    read_on(&mut client, until_charged(&till, BEHIND as u64)).await;
    drain(server).await;
    till.charged(None)
}

/// How many more are charged than were delivered, where one takes the place of the other.
async fn conflated() -> u64 {
    let till = Till::new();
    let server = Server::start(&patient(&till)).await;
    let mut client = slow_reader(&server, "conflate=1", &large(BEHIND, |_| "k".to_owned())).await;
    let mut delivered = 1;
    while client.until("event").await["data"]["i"] != BEHIND - 1 {
        delivered += 1;
    }
    assert!(delivered < BEHIND as u64, "some were conflated");
    read_on(&mut client, until_charged(&till, delivered)).await;
    drain(server).await;
    till.charged(None) - delivered
}

/// Reads, and so answers pings, while something is awaited.
async fn read_on(client: &mut Peer, awaited: impl Future<Output = ()>) {
    let reading = async { while client.next().await != Frame::Lost {} };
    tokio::select! {
        biased;
        () = reading => panic!("the connection ended"),
        () = awaited => {}
    }
}

async fn unproven() -> u64 {
    let till = Till::new();
    let server = Server::start(&till.config("")).await;
    // It does not read, and so answers no ping.
    let mut deaf = Socket::open(server.addr(), "/ws?topics=a").await;
    deaf.until("subscribed").await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    eventually("they are written", PATIENCE, async || {
        let written = server.metrics().await.count("standpipe_ledger_written_total");
        if written == 5 { Ok(()) } else { Err(format!("{written} are written")) }
    })
    .await;
    deaf.abort();
    server.until_nobody_left(PATIENCE).await;
    drain(server).await;
    till.charged(None)
}

async fn gap() -> u64 {
    let till = Till::new();
    let server = Server::start(&format!("{}\n[log]\nmax_events = 2\n", till.config(""))).await;
    server.publish(&numbered(5, |_| "a".to_owned())).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
    let epoch = client.message().await["epoch"].as_str().expect("an epoch").to_owned();
    drop(client);
    let mut client = Socket::open(server.addr(), &format!("/ws?topics=a&after={epoch}:0")).await;
    client.until("gap").await;
    events(&mut client, 2).await;
    read_until_charged(&mut client, &till, 2).await;
    drain(server).await;
    till.charged(None)
}
