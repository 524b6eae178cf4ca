//! Clients that begin with the state: what they are shown is the state at one place, and nothing is lost behind it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Peer, Server, Socket, eventually, feed, feeds,
    foreign::{self, Collected, Ending, Language},
    http::Request,
    language,
    peer::Frame,
    within,
};
use tempfile::TempDir;

use crate::{PUSH, cursor_seq, seq};

/// Who edits Wikipedia, people and robots apart: a user's latest edit is the user's state. 10,547 users, 39,232 edits.
const WIKIPEDIA: &str = r#"
[client]
heartbeat = "200ms"

[[source]]
name = "tape"
kind = "replay"
file = "FILE"
speed = "SPEED"
map = '''
  {topic: (if .isRobot then "edits.robots" else "edits.people" end), key: .user, data: {channel, page, delta}}
'''
"#;

/// All of the recording in eight seconds.
const EDITS_PER_SECOND: u64 = 5_000;
const MANY_KEYS: &str = "1000000";

async fn wikipedia(file: &Path, speed: &str, snapshot: &str) -> Server {
    let file = file.to_str().expect("a path of text");
    Server::start(&format!("{snapshot}{}", WIKIPEDIA.replace("FILE", file).replace("SPEED", speed))).await
}

/// The same edits in the form of a capture, each with a time of arrival, into a folder of their own.
fn at_a_pace(recording: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("edits.jsonl");
    fs::write(&path, feeds::paced(recording, EDITS_PER_SECOND)).expect("a temporary file");
    (folder, path)
}

/// The state behind `seq`, and the number of all edits, by a program that read the recording.
async fn state(file: &Path, seq: u64, max_keys: &str) -> (Vec<Value>, u64) {
    let mut rows =
        foreign::values(foreign::script("state_wikipedia.py").arg(file).args([&seq.to_string(), max_keys])).await;
    let all = rows.pop().and_then(|last| last["all"].as_u64()).expect("the number of all edits");
    (rows, all)
}

async fn head(server: &Server) -> u64 {
    server.get("/status").await.json()["log"]["head"].as_u64().expect("a head")
}

async fn has_come_to(server: &Server, seq: u64) {
    eventually("the recording is played", PATIENCE * 2, async || {
        let head = head(server).await;
        if head >= seq { Ok(()) } else { Err(format!("{head} of {seq}")) }
    })
    .await;
}

/// What a client was shown, as the program tells it.
fn shown<'a>(snapshots: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let row = |m: &Value| json!({"seq": m["seq"], "topic": m["topic"], "key": m["key"], "data": m["data"]});
    let mut rows: Vec<_> = snapshots.into_iter().map(row).collect();
    rows.sort_by_key(|row| [row["topic"].to_string(), row["key"].to_string()]);
    rows
}

fn assert_same(shown: &[Value], expected: Vec<&Value>, who: &str) {
    let mut expected = expected;
    expected.sort_by_key(|row| [row["topic"].to_string(), row["key"].to_string()]);
    let differs = shown.iter().zip(&expected).find(|(shown, expected)| shown != *expected);
    assert_eq!(differs, None, "{who}: what was shown, and the state");
    assert_eq!(shown.len(), expected.len(), "{who}: as many keys");
}

/// One snapshot came, before any event, and told the truth of itself. The place whose state it is.
fn the_snapshot(collected: &Collected, who: &str) -> u64 {
    let place = |op: &str| collected.messages.iter().position(|message| message["op"] == op);
    let ends = collected.of("snapshot_end");
    let [end] = ends[..] else { panic!("{who}: one snapshot, not {ends:?}") };
    assert!(place("subscribed") < place("snapshot") && place("snapshot_end") < place("event"), "{who}: the order");
    assert_eq!(end["count"], collected.of("snapshot").len(), "{who}");
    assert_eq!(end.get("complete"), None, "{who}: said only if it is not");
    seq(end)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_in_the_middle_are_shown_the_state_and_lose_nothing_of_what_follows() {
    let (file, python) = (feed!("wikipedia_edits_2015"), language!(Language::Python));
    let node = language!(Language::Node);
    let (_, all) = state(&file, 0, MANY_KEYS).await;
    let (_folder, paced) = at_a_pace(&file);
    let server = wikipedia(&paced, "recorded", "").await;
    has_come_to(&server, 8_000).await;
    let through = all.to_string();
    let by_url =
        python.collect(&server.url("/ws?topics=edits.*&snapshot=1&overflow=catch_up"), &["--through", &through]);
    let command = r##"{"op":"subscribe","id":"s","topics":["edits.people"],"filter":{"channel":"#en.wikipedia"},"snapshot":true}"##;
    let by_message = node.collect(&server.url("/ws?overflow=catch_up"), &["--send", command, "--through", &through]);

    let everything = |_: &Value| true;
    let english = |row: &Value| row["topic"] == "edits.people" && row["data"]["channel"] == "#en.wikipedia";
    for (client, who, wants) in
        [(by_url, "by URL", &everything as &dyn Fn(&Value) -> bool), (by_message, "by message", &english)]
    {
        let collected = client.finish(PATIENCE * 2).await;
        assert_eq!(collected.ending, Ending::Left("through".to_owned()), "{who}");
        let place = the_snapshot(&collected, who);
        assert!((8_000..all).contains(&place), "{who}: it came while the recording was played, at {place}");
        let (rows, _) = state(&file, place, MANY_KEYS).await;
        assert_same(&shown(collected.of("snapshot")), rows.iter().filter(|row| wants(row)).collect(), who);
        assert_eq!(collected.of("snapshot_end")[0].get("id"), (who == "by message").then_some(&json!("s")));

        // The state of the end, by what was shown and what followed: it is the program's, so nothing was lost between.
        let mut latest = BTreeMap::new();
        for message in collected.of("snapshot").into_iter().chain(collected.events()) {
            latest.insert([message["topic"].to_string(), message["key"].to_string()], message);
        }
        let (rows, _) = state(&file, all, MANY_KEYS).await;
        if who == "by URL" {
            assert_same(&shown(latest.into_values()), rows.iter().collect(), who);
            let places: Vec<_> = collected.events().into_iter().map(seq).collect();
            assert!(places.into_iter().eq(place + 1..=all), "every edit behind the snapshot, each once");
        } else {
            let followed = |row: &&Value| wants(row) && seq(row) > place;
            let ended: Vec<_> = latest.into_values().filter(|message| seq(message) > place).collect();
            let ended = shown(ended);
            for row in rows.iter().filter(followed) {
                assert!(ended.contains(row), "{who}: {row} is missing");
            }
        }
    }
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_fanout_snapshots_total"), 2);
    assert_eq!(metrics.count("standpipe_ledger_difference"), 0);
}

#[tokio::test]
async fn a_server_that_has_forgotten_keys_shows_the_others_and_says_so() {
    let (file, python) = (feed!("wikipedia_edits_2015"), language!(Language::Python));
    let (rows, all) = state(&file, u64::from(u32::MAX), "1000").await;
    let server = wikipedia(&file, "max", "[snapshot]\nmax_keys = 1000\n").await;
    has_come_to(&server, all).await;
    let client = python.collect(&server.url("/ws?topics=%3E&snapshot=1"), &["--op", "snapshot_end"]);
    let collected = client.finish(PATIENCE).await;
    let end = collected.of("snapshot_end")[0];
    assert_eq!((seq(end), &end["count"], &end["complete"]), (all, &json!(1000), &json!(false)), "{end}");
    assert_same(&shown(collected.of("snapshot")), rows.iter().collect(), "the last thousand");
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_snapshot_keys"), 1000);
    assert!(metrics.count("standpipe_snapshot_keys_forgotten_total") > 9_000);
}

/// Reads a snapshot to its end: the keys with their data, and the end.
async fn read_snapshot(client: &mut Socket) -> (BTreeMap<String, Value>, Value) {
    let mut keys = BTreeMap::new();
    loop {
        let message = client.message().await;
        match message["op"].as_str() {
            Some("snapshot") => {
                let key = format!("{}/{}", message["topic"], message["key"]).replace('"', "");
                assert_eq!(keys.insert(key, message["data"].clone()), None, "each key once");
            }
            Some("snapshot_end") => return (keys, message),
            _ => panic!("in a snapshot: {message}"),
        }
    }
}

#[tokio::test]
async fn null_removes_a_key_which_those_who_are_there_are_told_and_those_who_come_do_not_see() {
    let server = Server::start(PUSH).await;
    let put = |topic: &str, key: &str, data: Value| json!({"topic": topic, "key": key, "data": data});
    server.publish(&[put("a", "x", json!(1)), put("b", "x", json!(2)), put("a", "y", json!(3))]).await;
    let mut there = Socket::open(server.addr(), "/ws?topics=*&snapshot=1").await;
    there.until("subscribed").await;
    let (keys, end) = read_snapshot(&mut there).await;
    assert_eq!(json!(keys), json!({"a/x": 1, "a/y": 3, "b/x": 2}));
    assert_eq!((seq(&end), &end["count"]), (3, &json!(3)));

    let described = server.connections().await[0]["subscriptions"].clone();
    assert_eq!(described, json!([{"topics": "*", "snapshot": true}]));

    let gone = r#"{"topic":"a","key":"x","data":null}"#;
    let headers = &[("Content-Type", "application/json")];
    let answer = server.request(Request { method: "POST", path: "/publish", headers, body: gone }).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = there.until("event").await;
    assert_eq!((seq(&event), &event["key"], &event["data"]), (4, &json!("x"), &Value::Null));

    let mut later = Socket::open(server.addr(), "/ws?topics=*&snapshot=1").await;
    later.until("subscribed").await;
    let (keys, end) = read_snapshot(&mut later).await;
    assert_eq!((json!(keys), seq(&end)), (json!({"a/y": 3, "b/x": 2}), 4));
    assert_eq!(server.metrics().await.count("standpipe_snapshot_keys"), 2);
}

#[tokio::test]
async fn a_cursor_that_can_be_resumed_brings_what_is_missing_and_one_that_cannot_brings_a_gap_and_the_state() {
    let server = Server::start(&format!("[log]\nmax_events = 10\n{PUSH}")).await;
    let event = |i: u64| json!({"topic": "t", "key": format!("k{}", i % 4), "data": i});
    server.publish(&(1..=40).map(event).collect::<Vec<_>>()).await;
    let epoch = server.get("/status").await.json()["log"]["epoch"].as_str().expect("an epoch").to_owned();

    let mut resumed = Socket::open(server.addr(), &format!("/ws?topics=t&snapshot=1&after={epoch}:38")).await;
    resumed.until("subscribed").await;
    for place in [39, 40] {
        let message = resumed.message().await;
        assert_eq!((&message["op"], seq(&message)), (&json!("event"), place), "no snapshot");
    }
    for (lost, reason) in
        [(format!("{epoch}:5"), "history_expired"), ("00000000000000aa:5".to_owned(), "epoch_changed")]
    {
        let mut client = Socket::open(server.addr(), &format!("/ws?topics=t&snapshot=1&after={lost}")).await;
        client.until("subscribed").await;
        let gap = client.message().await;
        assert_eq!((&gap["op"], &gap["reason"]), (&json!("gap"), &json!(reason)), "{gap}");
        let (keys, end) = read_snapshot(&mut client).await;
        assert_eq!((json!(keys), seq(&end)), (json!({"t/k0": 40, "t/k1": 37, "t/k2": 38, "t/k3": 39}), 40));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_missed_something_holds_the_right_state_again_behind_its_gap() {
    const KEYS: usize = 61;
    const EVENTS: usize = 8_000;
    let config = "[client]\nmax_queue_bytes = \"128KiB\"\nheartbeat = \"200ms\"\n";
    let server = Server::start(&format!("{config}{PUSH}")).await;
    let pad = "x".repeat(800);
    let event = |i: usize| json!({"topic": "t", "key": format!("k{}", i % KEYS), "data": {"i": i, "pad": pad}});
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let mut truth = BTreeMap::new();
    for event in &events {
        truth.insert(event["key"].to_string(), event["data"]["i"].clone());
    }
    let path = "/ws?topics=t&snapshot=1&overflow=skip";
    let mut client = Peer::try_open(server.addr(), path, Some(16 * 1024)).await.expect("the server accepts");
    client.pace(Some(50_000));
    while !matches!(client.next().await, Frame::Text(text) if text.contains(r#""op":"snapshot_end""#)) {}

    let (mut held, mut gaps, mut snapshots) = (BTreeMap::new(), 0, 0);
    let mut is_owed = false;
    let reading = async {
        loop {
            let Frame::Text(text) = client.next().await else { continue };
            let message: Value = serde_json::from_str(text).expect("JSON");
            match message["op"].as_str() {
                Some("event" | "snapshot") => {
                    let place = seq(&message);
                    let known = held.entry(message["key"].to_string()).or_insert((place, Value::Null));
                    if known.0 <= place {
                        *known = (place, message["data"]["i"].clone());
                    }
                }
                Some("gap") => {
                    gaps += 1;
                    is_owed = true;
                }
                Some("snapshot_end") => {
                    snapshots += 1;
                    is_owed = false;
                    assert_eq!(message.get("id"), None, "nobody asked for it");
                }
                Some("heartbeat") if !is_owed && cursor_seq(&message["cursor"]) == EVENTS as u64 => break,
                _ => {}
            }
            if gaps > 2 {
                client.pace(None);
            }
        }
    };
    let publishing = async {
        for batch in events.chunks(100) {
            server.publish(batch).await;
        }
    };
    within("all was told", PATIENCE * 2, async { tokio::join!(reading, publishing) }).await;
    assert!(gaps > 0 && snapshots > 0, "{gaps} gaps, {snapshots} snapshots");
    let held: BTreeMap<_, _> = held.into_iter().map(|(key, (_, i))| (key, i)).collect();
    assert_eq!(held, truth);
    assert_eq!(server.metrics().await.count("standpipe_ledger_difference"), 0);
}
