//! What a storm of clients writes into the log.

use serde_json::Value;
use standpipe_tests::{
    PATIENCE, Server, Wild, eventually,
    http::{self, Request},
    process::Signal,
};

use crate::PUSH;

/// The place that tells how a client's connection ended.
const END: &str = "standpipe_fanout::shard";

/// Many more in a second than a place in the code may write lines.
const STORM: usize = 600;

/// Clients that come and go at once, and handshakes that are none.
async fn storm(server: &Server) {
    let (mut open, secret) = (Vec::new(), "a-text-that-only-this-client-knows");
    for i in 0..STORM {
        let mut client = Wild::connect([127, 0, 0, 1], server.addr()).await.expect("a connection");
        let path = if i % 2 == 0 { format!("/ws?topics=a&access_token={secret}") } else { "/ws?topcis=a".to_owned() };
        client.handshake(&path, "").await;
        open.push(client);
        if open.len() > 50 {
            open.clear();
        }
    }
    drop(open);
    let bad = Request { path: "/ws?filter=%7B", ..Request::default() };
    http::send(server.addr(), bad).await;
    server.publish(&[serde_json::json!({"topic": "a", "data": "a-text-of-an-event"})]).await;
}

fn lines_of<'a>(log: &'a [Value], place: &'a str) -> impl Iterator<Item = &'a Value> {
    log.iter().filter(move |line| line["target"] == place)
}

#[tokio::test]
async fn a_storm_of_clients_is_no_storm_of_lines_and_what_is_left_out_is_counted() {
    let mut server = Server::start(&format!("[limits]\nmax_refusal_delay = \"none\"\n{PUSH}")).await;
    storm(&server).await;
    let opened = eventually("everybody has gone", PATIENCE, async || {
        let metrics = server.metrics().await;
        match metrics.count("standpipe_connections_active") {
            0 => Ok(metrics.count("standpipe_connections_opened_total")),
            active => Err(active),
        }
    })
    .await;
    server.signal(Signal::TERM);
    assert!(server.exit_within(PATIENCE).await.success());
    let log: Vec<Value> = server.log().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let ends: Vec<_> = lines_of(&log, END).collect();
    for end in &ends {
        for field in
            ["connection", "peer", "reason", "code", "lasted_ms", "matched", "written", "confirmed", "unconfirmed"]
        {
            assert!(!end[field].is_null(), "{end}");
        }
    }
    let told = log.iter().filter(|line| line["place"] == END);
    let left_out: u64 = told.map(|line| line["left_out"].as_u64().expect("a number")).sum();
    assert_eq!(ends.len() as u64 + left_out, opened, "each end is a line, or is counted");
    assert!(opened > 200, "{opened}");
}

#[tokio::test]
async fn clients_write_how_they_ended_and_nothing_else_whatever_they_do() {
    let mut server = Server::start(&format!("[limits]\nmax_refusal_delay = \"none\"\n{PUSH}")).await;
    let before = server.log().len();
    storm(&server).await;
    server.until_active(0, PATIENCE).await;
    let read = |line: &String| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let log: Vec<_> = server.log().iter().skip(before).map(read).collect();
    let is_of_an_end = |line: &Value| line["target"] == END || line["place"] == END;
    assert!(!log.is_empty() && log.iter().all(is_of_an_end), "{log:?}");
    server.signal(Signal::TERM);
    assert!(server.exit_within(PATIENCE).await.success());
    let text = server.log().join("\n");
    assert!(!text.contains("only-this-client-knows") && !text.contains("a-text-of-an-event"), "{text}");
    assert!(text.contains("stopped"), "{text}");
}
