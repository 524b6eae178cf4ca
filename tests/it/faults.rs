//! What happens outside of the server, and what peers do that no client should: it is survived, told, and forgotten.

use std::{io, net::SocketAddr};

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Peer, Server, eventually,
    foreign::Language,
    language,
    peer::{self, Frame},
    process::Signal,
    within,
};

use crate::{PUSH, numbered};

const QUICK: &str = r#"
[limits]
command_rate = "none"

[client]
max_queue_bytes = "64KiB"
max_queue_age = "2s"
ping_interval = "1s"
pong_timeout = "1s"
heartbeat = "500ms"
write_timeout = "1s"
"#;

/// Events `from..to`, each with an id that its source gave it.
fn named(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(|i| json!({"topic": "t", "id": format!("e{i}"), "data": {"i": i}})).collect()
}

#[tokio::test]
async fn after_a_kill_clients_are_told_that_the_log_is_another_or_go_on_behind_an_event_that_it_has() {
    let mut killed = Server::start(PUSH).await;
    let addr: SocketAddr = killed.addr();
    killed.publish(&named(0, 100)).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Peer::open(addr, "/ws?topics=t&after=earliest").await;
        let epoch = client.until("welcome").await["epoch"].as_str().expect("an epoch").to_owned();
        while client.until("event").await["id"] != "e99" {}
        clients.push((client, epoch));
    }
    killed.signal(Signal::KILL);
    assert!(!killed.exit_within(PATIENCE).await.success());
    // The next run has the same port, and its source tells some of the past again.
    let server = Server::start(&format!("[server]\nlisten = \"{addr}\"\n{PUSH}")).await;
    server.publish(&named(90, 120)).await;
    for (i, (mut client, epoch)) in clients.into_iter().enumerate() {
        within("the end", PATIENCE, async { while client.next().await != Frame::Lost {} }).await;
        let knows_the_id = i.is_multiple_of(2);
        let cursor = if knows_the_id { format!("{epoch}:100:e99") } else { format!("{epoch}:100") };
        let mut client = Peer::open(addr, &format!("/ws?topics=t&after={cursor}")).await;
        assert_ne!(client.until("welcome").await["epoch"], epoch);
        client.until("subscribed").await;
        if !knows_the_id {
            let gap = client.until("gap").await;
            assert_eq!(gap, json!({"op": "gap", "from": null, "to": null, "matched": null, "reason": "epoch_changed"}));
        }
        let first = client.until("event").await;
        assert_eq!(first["id"], if knows_the_id { "e100" } else { "e90" }, "after {cursor}");
    }
}

#[tokio::test]
async fn a_stopped_client_is_given_up_and_told_when_it_goes_on() {
    let language = language!(Language::Python);
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let mut stopped = language.collect(&server.url("/ws?topics=%3E"), &[]);
    stopped.message("subscribed").await;
    stopped.signal(Signal::STOP);
    server.publish(&numbered(10, |_| "t".into())).await;
    server.until_active(0, PATIENCE).await;
    stopped.signal(Signal::CONT);
    let collected = stopped.finish(PATIENCE).await;
    assert_eq!(collected.events().len(), 10, "what was sent before is read");
    let goodbye = collected.messages.last().expect("messages");
    assert_eq!((&goodbye["op"], &goodbye["code"], &goodbye["confirmed"]), (&json!("goodbye"), &json!(4100), &json!(0)));
    assert_eq!(goodbye["delivered"], 10);
}

#[tokio::test]
async fn a_client_that_only_sends_is_closed_and_costs_no_more_than_its_queue() {
    let server = Server::start(&format!("{QUICK}{PUSH}")).await;
    let mut deaf = Peer::try_open(server.addr(), "/ws?topics=t", Some(4 * 1024)).await.expect("the server accepts");
    deaf.until("subscribed").await;
    let ping = peer::frame(1, json!({"op": "ping", "id": "x".repeat(250)}).to_string().as_bytes()).repeat(20);
    let mut most = 0;
    let sending = async {
        loop {
            if let Err(error) = deaf.say_raw(&ping).await {
                break error.kind();
            }
            most = most.max(server.queue_bytes().await);
        }
    };
    let error = within("the end", PATIENCE, sending).await;
    assert!(matches!(error, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error:?}");
    assert!(most <= 2 * 64 * 1024, "{most} bytes waited for it");
    server.until_active(0, PATIENCE).await;
    let closed = server.metrics().await.value("standpipe_connections_closed_total", &[("reason", "SLOW_CONSUMER")]);
    assert_eq!(closed, Some(1.0));
}

#[tokio::test]
async fn ten_thousand_changes_of_a_selection_are_all_answered_while_others_get_their_events() {
    const ROUNDS: usize = 100;
    const CHANGES: usize = 50;
    let server = Server::start(&format!("[limits]\ncommand_rate = \"none\"\n{PUSH}")).await;
    let mut restless = Peer::open(server.addr(), "/ws").await;
    let mut other = Peer::open(server.addr(), "/ws?topics=t").await;
    other.until("subscribed").await;
    for round in 0..ROUNDS {
        let mut commands = Vec::new();
        for i in 0..CHANGES {
            let topics = [format!("a.{i}.*")];
            let filter = json!({"n": {"gte": round}, "$key": {"in": ["a", "b", format!("k{i}")]}});
            let subscribe = json!({"op": "subscribe", "topics": topics, "filter": filter});
            let unsubscribe = json!({"op": "unsubscribe", "topics": topics});
            commands.extend([subscribe, unsubscribe].map(|command| peer::frame(1, command.to_string().as_bytes())));
        }
        restless.say_raw(&commands.concat()).await.expect("an open connection");
        server.publish(&numbered(1, |_| "t".into())).await;
        other.until("event").await;
        for _ in 0..CHANGES {
            restless.until("subscribed").await;
            restless.until("unsubscribed").await;
        }
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_selection_entries"), 1, "that of the other");
    assert_eq!(metrics.count("standpipe_selection_subscriptions"), 1);
}

#[tokio::test]
async fn noise_on_the_port_is_thrown_out_and_leaves_nothing() {
    let server = Server::start(&format!("{QUICK}first_step = \"1s\"\n{PUSH}")).await;
    let before = server.metrics().await.count("standpipe_process_tasks");
    let mut others = Vec::new();
    for bytes in [
        &b""[..],
        b"\xFF\x00\xC3\x28 nothing that anybody speaks",
        &peer::frame(1, b"{\"op\":"),
        &peer::frame(1, &vec![b'['; 60_000]),
        &peer::frame(3, b"reserved"),
        &peer::frame(1, b"cut short")[..8],
        &peer::frame(0, b"a continuation of nothing"),
        &peer::frame(8, b"\x03"),
    ] {
        let mut socket = Peer::open(server.addr(), "/ws").await;
        socket.say_raw(bytes).await.expect("a new connection takes it");
        others.push(socket);
    }
    for mut socket in others {
        let ended = async { while socket.next().await != Frame::Lost {} };
        within("the end", PATIENCE, ended).await;
    }
    server.until_active(0, PATIENCE).await;
    eventually("no task is left", PATIENCE, async || {
        let tasks = server.metrics().await.count("standpipe_process_tasks");
        if tasks <= before { Ok(()) } else { Err(format!("{tasks}, {before} before")) }
    })
    .await;
    assert_eq!(server.metrics().await.count("standpipe_process_panics_total"), 0);
}
