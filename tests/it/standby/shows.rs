//! The server itself as an Actor: how many sockets a run takes, what a replacement costs its clients, and what a proxy hides.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use standpipe_standby::{Link, Orphans, Pongs, Settings, Tenancy, Timing};
use standpipe_tests::{PATIENCE, Peer, Socket, eventually, http, metrics::Metrics, server::publish, socket::Received};

use super::{IDLE, Standby, fast, server};
use crate::PUSH;

/// What each of these runs charges: on its own disk, as each run of the platform has one.
const CONFIG: &str = r#"
[billing]
sink = "apify"

[client]
receipt_interval = "100ms"

[drain]
window = "100ms"
deadline = "5s"
"#;

/// The server as an Actor, with these settings.
async fn deploy(settings: Settings, timing: Timing) -> Standby {
    deploy_with(CONFIG, settings, timing).await
}

async fn deploy_with(config: &str, settings: Settings, timing: Timing) -> Standby {
    let (folder, actor) = server(&format!("{config}{PUSH}"), settings);
    Standby::deploy_from(actor, timing, folder).await
}

/// A client of `alice`, subscribed to everything.
async fn subscribe(standby: &Standby, more: &str) -> Socket {
    let mut client = Socket::open(standby.deployment.address(), &path(standby, more)).await;
    client.until("subscribed").await;
    client
}

fn path(standby: &Standby, more: &str) -> String {
    format!("/ws?topics=%3E&token={}{more}", standby.token)
}

/// Events as one feed gives them to every run: the same ids, whichever run gets them.
fn feed(numbers: std::ops::Range<u64>) -> Vec<Value> {
    numbers.map(|i| json!({"topic": "a", "id": format!("e{i}"), "data": {"i": i}})).collect()
}

async fn metrics(run: SocketAddr) -> Metrics {
    Metrics::read(&http::get(run, "/metrics").await.body)
}

async fn until_charged(standby: &Standby, count: u64) {
    eventually("what was proven is charged", 3 * PATIENCE, async || {
        match standby.platform.charged_to_caller("alice") {
            charged if charged == count => Ok(()),
            charged => Err(format!("{charged} of {count}")),
        }
    })
    .await;
}

#[tokio::test]
async fn the_fourth_socket_starts_a_second_run_the_fifth_reaches_it_and_only_idle_runs_end() {
    let settings = Settings { idle_timeout: IDLE, ..Settings::PLATFORM };
    let standby = deploy(settings, fast(10.0)).await;
    let mut clients = Vec::new();
    for runs in [1, 1, 1, 2] {
        clients.push(subscribe(&standby, "").await);
        assert_eq!(standby.deployment.runs().len(), runs, "after {} sockets", clients.len());
    }
    let runs = standby.deployment.runs();
    let fifth = subscribe(&standby, "").await;
    assert_eq!([&runs[0], &runs[1]].map(|run| standby.deployment.open(run)), [4, 1]);
    let first = standby.address(&runs[0]).await;
    assert_eq!(metrics(first).await.count("standpipe_connections_active"), 4);
    fifth.close().await;
    assert_eq!(standby.until_runs(1).await, [runs[0].clone()], "the idle one has ended");
    assert!(standby.until(&runs[1], "SUCCEEDED").await["finishedAt"].is_string());
    // The other has had no request for longer, and keeps running: its sockets are open.
    publish(first, &feed(0..3)).await;
    for client in &mut clients {
        assert_eq!(client.until("event").await["id"], "e0");
    }
    for client in clients {
        client.close().await;
    }
    standby.until_runs(0).await;
    standby.end().await;
}

#[tokio::test]
async fn a_client_of_a_run_that_is_replaced_goes_on_at_the_other_and_nothing_is_charged_twice() {
    for tenancy in [Tenancy::Single, Tenancy::Multi] {
        let standby = deploy(Settings { tenancy, ..Settings::PLATFORM }, fast(10.0)).await;
        let mut client = Socket::open(standby.deployment.address(), &path(&standby, "")).await;
        let epoch = client.until("welcome").await["epoch"].clone();
        client.until("subscribed").await;
        let old = standby.deployment.runs().remove(0);
        publish(standby.address(&old).await, &feed(0..10)).await;
        let mut seen = Vec::new();
        let mut last = Value::Null;
        while seen.len() < 10 {
            last = client.until("event").await;
            seen.push(last["id"].clone());
        }
        client.reading(until_charged(&standby, 10)).await;
        // These are on their way while the run is told to end.
        publish(standby.address(&old).await, &feed(10..15)).await;
        let new = standby.deployment.replace(&old).expect("another run");
        publish(standby.address(&new).await, &feed(5..20)).await;
        let goodbye = loop {
            let message = client.message().await;
            match message["op"].as_str() {
                Some("event") => {
                    seen.push(message["id"].clone());
                    last = message;
                }
                Some("goodbye") => break message,
                _ => {}
            }
        };
        assert_eq!((&goodbye["code"], client.closed().await.0), (&json!(4200), 4200));
        let cursor = goodbye["cursor"].as_str().expect("a cursor");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(cursor, format!("{}:{}", text(&epoch), last["seq"]), "it is the last event's");
        // The other run knows nothing of this one's log, but the event by its id.
        let cursor = format!("{cursor}:{}", text(&last["id"]));
        let mut again = subscribe(&standby, &format!("&after={cursor}")).await;
        assert_eq!(standby.deployment.runs().last(), Some(&new));
        while seen.last() != Some(&json!("e19")) {
            let message = again.message().await;
            assert_ne!(message["op"], "gap", "{message}");
            if message["op"] == "event" {
                seen.push(message["id"].clone());
            }
        }
        let fed: Vec<_> = feed(0..20).into_iter().map(|event| event["id"].clone()).collect();
        assert_eq!(seen, fed, "each once, in order, in both together");
        // What the first had proven when it said goodbye is charged, and what it proved after that: by it, and by nobody else.
        let confirmed = goodbye["confirmed"].as_u64().expect("a count");
        let delivered = goodbye["delivered"].as_u64().expect("a count");
        let proven = 20 - (delivered - confirmed);
        standby.until(&old, "SUCCEEDED").await;
        let by_the_first = standby.platform.charged(&old, "event-delivered");
        assert!((confirmed..=delivered).contains(&by_the_first), "{by_the_first}: {goodbye}");
        again.reading(until_charged(&standby, by_the_first + 20 - delivered)).await;
        again.close().await;
        let charged = standby.platform.charged_to_caller("alice");
        assert!((proven..=20).contains(&charged), "{charged}: {goodbye}");
        standby.end().await;
    }
}

#[tokio::test]
async fn a_client_that_is_gone_is_found_out_although_the_proxy_keeps_its_connection() {
    let config = "[client]\nping_interval = \"1s\"\npong_timeout = \"1s\"\n";
    let standby = deploy_with(config, Settings::PLATFORM, fast(10.0)).await;
    standby.deployment.set_link(Link { orphans: Orphans::Kept, ..Link::default() });
    let client = subscribe(&standby, "").await;
    let stream = standby.listen("/events?topics=%3E", "subscribed").await;
    let run = standby.deployment.runs().remove(0);
    let address = standby.address(&run).await;
    standby.until_open(&run, 2).await;
    client.abort();
    drop(stream);
    // Only the pong that does not come tells the run, which then closes, and the request is over. Of the stream it is never told.
    standby.until_open(&run, 1).await;
    assert_eq!(metrics(address).await.count("standpipe_connections_active"), 1);
    publish(address, &feed(0..10)).await;
    assert_eq!((metrics(address).await.count("standpipe_connections_active"), standby.deployment.open(&run)), (1, 1));
    standby.end().await;
}

#[tokio::test]
async fn a_client_whose_socket_is_cut_goes_on_where_it_was_and_one_whose_request_expires_is_told_to_come_again() {
    let standby = deploy(Settings { tenancy: Tenancy::Multi, ..Settings::PLATFORM }, fast(10.0)).await;
    let mut client = subscribe(&standby, "").await;
    let run = standby.deployment.runs().remove(0);
    let address = standby.address(&run).await;
    publish(address, &feed(0..3)).await;
    client.reading(until_charged(&standby, 3)).await;
    standby.deployment.cut_sockets();
    while let Received::Message(_) = client.receive().await {}
    let mut client = subscribe(&standby, "").await;
    standby.until_open(&run, 1).await;
    standby.platform.expire_requests();
    let mut goodbye = Value::Null;
    for number in 3.. {
        // Once a charge is refused, the next event is one too many.
        publish(address, &feed(number..number + 1)).await;
        let received = client.receive_within(Duration::from_millis(200)).await;
        match received {
            Some(Received::Message(message)) if message["op"] == "goodbye" => goodbye = message,
            Some(Received::Closed { code, .. }) => {
                assert_eq!((code, &goodbye["verdict"]), (4200, &json!("now")));
                break;
            }
            Some(Received::Lost(why)) => panic!("{why}"),
            Some(Received::Message(_)) | None => {}
        }
    }
    assert_eq!(standby.platform.charged_to_caller("alice"), 3);
    standby.end().await;
}

/// What a client logs that reads `count` events and then stops reading, and what it is charged for in the end.
async fn charged_for_what_was_not_read(confirm: &str) -> (u64, u64) {
    let standby = deploy(Settings::PLATFORM, fast(10.0)).await;
    standby.deployment.set_link(Link { pongs: Pongs::Proxys, ..Link::default() });
    let mut client = Peer::open(standby.deployment.address(), &path(&standby, &format!("&confirm={confirm}"))).await;
    client.until("subscribed").await;
    let run = standby.deployment.runs().remove(0);
    publish(standby.address(&run).await, &feed(0..20)).await;
    let mut logged = 0;
    while logged < 10 {
        client.until("event").await;
        logged += 1;
    }
    client.say(&json!({"op": "ack", "delivered": logged}).to_string()).await.expect("an open connection");
    let run = standby.address(&run).await;
    let held = client.vanish();
    let proven = if confirm == "ack" { logged } else { 20 };
    until_charged(&standby, proven).await;
    assert_eq!(metrics(run).await.count("standpipe_ledger_confirmed_total"), proven);
    let charged = standby.platform.charged_to_caller("alice");
    drop(held);
    standby.end().await;
    (logged, charged)
}

#[tokio::test]
async fn where_a_proxy_answers_pings_only_acks_prove_what_a_client_has_read() {
    let (logged, charged) = charged_for_what_was_not_read("ack").await;
    assert_eq!(charged, logged);
    let (logged, charged) = charged_for_what_was_not_read("pong").await;
    assert!(charged > logged, "{charged} were charged, {logged} were read: the proxy's pongs are no proof");
}
