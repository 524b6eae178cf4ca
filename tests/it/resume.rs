//! After a disconnect a client goes on where it was: no hole, no repeat, or it is told what it missed.

use serde_json::{Value, json};
use standpipe_tests::{
    Dice, PATIENCE, Server, Socket,
    foreign::{Ending, Language},
    language,
    socket::Received,
};
use tokio_util::task::TaskTracker;

use crate::{PUSH, cursor_seq, numbered, seq};

const EVENTS: usize = 20_000;
const CLIENTS: usize = 50;

/// Heartbeats often, so that a client whose last event is long past learns that it has everything.
const HEARTBEAT: &str = "[client]\nheartbeat = \"500ms\"\n";

fn event(i: usize) -> Value {
    json!({"topic": format!("n.{}.{}", i % 7, i % 3), "key": format!("k{}", i % 5), "data": {"i": i, "even": i.is_multiple_of(2)}})
}

/// What a client asks for in its URL, and whether an event is of that selection.
type Selection = (&'static str, fn(usize) -> bool);

const SELECTIONS: &[Selection] = &[
    ("topics=%3E", |_| true),
    ("topics=n.3.*", |i| i % 7 == 3),
    ("topics=n.*.1,n.2.2", |i| i % 3 == 1 || (i % 7 == 2 && i % 3 == 2)),
    ("where.$key=k4", |i| i % 5 == 4),
    ("topics=n.0.*&where.even=true", |i| i % 7 == 0 && i % 2 == 0),
];

/// Reads, leaves at random and comes back with its cursor, until it has everything through `last`. What it got.
async fn wander(addr: std::net::SocketAddr, query: &str, last: u64, mut dice: Dice) -> Vec<(u64, Value)> {
    let mut got = Vec::new();
    let mut cursor = "earliest".to_owned();
    loop {
        let mut client = Socket::open(addr, &format!("/ws?{query}&after={cursor}")).await;
        let welcome = client.message().await;
        let epoch = welcome["epoch"].as_str().expect("an epoch").to_owned();
        let mut frames_left = dice.throw(900);
        while frames_left > 0 {
            frames_left -= 1;
            let message = client.message().await;
            match message["op"].as_str() {
                Some("event") => {
                    cursor = format!("{epoch}:{}", seq(&message));
                    got.push((seq(&message), message["data"]["i"].clone()));
                }
                Some("heartbeat") => message["cursor"].as_str().expect("a cursor").clone_into(&mut cursor),
                Some("subscribed") => {}
                _ => panic!("nothing else is told: {message}"),
            }
            if cursor != "earliest" && cursor_seq(&json!(cursor)) >= last {
                return got;
            }
        }
        match dice.throw(3) {
            0 => client.abort(),
            1 => drop(client),
            // What comes until the answer is not counted: it is asked for again.
            _ => client.close().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_and_come_back_at_random_get_each_event_once() {
    let server = Server::start(&format!("{HEARTBEAT}{PUSH}")).await;
    let last = EVENTS as u64;
    let clients = TaskTracker::new();
    let mut wanderers = Vec::new();
    for i in 0..CLIENTS {
        let (query, _) = SELECTIONS[i % SELECTIONS.len()];
        let addr = server.addr();
        wanderers.push(clients.spawn(async move { wander(addr, query, last, Dice::new(0, i as u64)).await }));
    }
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let mut places = Vec::new();
    for batch in events.chunks(250) {
        places.extend(server.publish(batch).await);
    }
    assert_eq!(places, (1..=last).collect::<Vec<_>>(), "places have no gap");
    for (client, wanderer) in wanderers.into_iter().enumerate() {
        let got = standpipe_tests::within("the last event", PATIENCE * 4, wanderer).await.expect("a client's task");
        let (query, wanted) = SELECTIONS[client % SELECTIONS.len()];
        let expected: Vec<_> = (0..EVENTS).filter(|i| wanted(*i)).map(|i| (places[i], json!(i))).collect();
        let differs = got.iter().zip(&expected).position(|(got, expected)| got != expected);
        assert_eq!(differs, None, "client {client} ({query}): {:?}", differs.map(|i| (&got[i], &expected[i])));
        assert_eq!(got.len(), expected.len(), "client {client} ({query})");
    }
}

#[tokio::test]
async fn a_foreign_client_goes_on_where_it_was() {
    let server = Server::start(PUSH).await;
    let first_half = numbered(100, |i| format!("t.{}", i % 2));
    server.publish(&first_half).await;
    for language in [Language::Python, Language::Node] {
        let language = language!(language);
        let url = server.url("/ws?topics=t.1&after=earliest");
        let first = language.collect(&url, &["--events", "20"]).finish(PATIENCE).await;
        assert_eq!(first.ending, Ending::Left("events".to_owned()));
        let last = first.events()[19];
        let cursor = format!("{}:{}", first.messages[0]["epoch"].as_str().expect("an epoch"), last["seq"]);
        let url = server.url(&format!("/ws?topics=t.1&after={cursor}"));
        let second = language.collect(&url, &["--events", "30"]).finish(PATIENCE).await;
        let numbers: Vec<_> =
            first.events().into_iter().chain(second.events()).map(|e| e["data"]["i"].clone()).collect();
        assert_eq!(numbers, (0..100).filter(|i| i % 2 == 1).map(Value::from).collect::<Vec<_>>(), "{language:?}");
    }
}

#[tokio::test]
async fn an_old_cursor_after_a_restart_is_told_as_a_gap() {
    let server = Server::start(PUSH).await;
    server.publish(&numbered(3, |_| "t".into())).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=t&after=00000000000000ff:2").await;
    let gap = client.until("gap").await;
    assert_eq!((&gap["reason"], &gap["from"], &gap["to"]), (&json!("epoch_changed"), &Value::Null, &Value::Null));
    let refused = Socket::try_open(server.addr(), "/ws?topics=t&after=00000000000000ff:2&on_gap=fail", &[]).await;
    // Whether the log still has it is known only behind the handshake.
    match refused {
        Err(refused) => assert!(refused.body.to_string().contains("HISTORY_EXPIRED"), "{refused:?}"),
        Ok(mut client) => assert_eq!(client.until("error").await["code"], "HISTORY_EXPIRED"),
    }
}

#[tokio::test]
async fn what_the_log_no_longer_holds_is_told_as_a_gap_and_counted() {
    let server = Server::start(&format!("[log]\nmax_events = 100\n{PUSH}")).await;
    let mut early = Socket::open(server.addr(), "/ws").await;
    let epoch = early.message().await["epoch"].as_str().expect("an epoch").to_owned();
    for batch in numbered(1_000, |i| format!("t.{}", i % 2)).chunks(100) {
        server.publish(batch).await;
    }
    let mut client = Socket::open(server.addr(), &format!("/ws?topics=t.1&after={epoch}:1")).await;
    let gap = client.until("gap").await;
    assert_eq!((&gap["reason"], &gap["from"]), (&json!("history_expired"), &json!(2)));
    let to = gap["to"].as_u64().expect("a place");
    assert!((900..1_000).contains(&to), "{gap}");
    let first = seq(&client.until("event").await);
    assert!(first > to && first <= to + 2, "delivery goes on at the floor: {first} after {to}");
}

#[tokio::test]
async fn a_cursor_ahead_of_the_log_is_refused() {
    let server = Server::start(PUSH).await;
    let mut client = Socket::open(server.addr(), "/ws").await;
    let epoch = client.message().await["epoch"].as_str().expect("an epoch").to_owned();
    client.send(&json!({"op": "subscribe", "id": "f", "topics": ["t"], "after": format!("{epoch}:5")})).await;
    let error = client.until("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("FUTURE_CURSOR"), &json!("f")));
    assert!(!matches!(
        client.receive_within(std::time::Duration::from_millis(100)).await,
        Some(Received::Closed { .. })
    ));
}

#[tokio::test]
async fn a_later_subscription_brings_its_past_in_a_bracket() {
    let server = Server::start(PUSH).await;
    server.publish(&numbered(10, |i| format!("t.{}", i % 2))).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=t.0").await;
    client.until("subscribed").await;
    client.send(&json!({"op": "subscribe", "id": "s", "topics": ["t.1"], "after": "earliest"})).await;
    let subscribed = client.until("subscribed").await;
    assert_eq!(subscribed["topics"], json!(["t.0", "t.1"]));
    let replay = client.message().await;
    assert_eq!((&replay["op"], &replay["id"]), (&json!("replay"), &json!("s")), "{replay}");
    for i in [1, 3, 5, 7, 9] {
        assert_eq!(client.message().await["data"]["i"], i);
    }
    let replayed = client.message().await;
    assert_eq!((&replayed["op"], &replayed["id"]), (&json!("replayed"), &json!("s")), "{replayed}");
    server.publish(&numbered(2, |i| format!("t.{i}"))).await;
    assert_eq!(client.until("event").await["topic"], "t.0");
    assert_eq!(client.until("event").await["topic"], "t.1");
}
