//! The presets of `deploy/presets`: each is valid, and makes of the recording of its feed as many events of each topic and
//! key as a reading of the raw file by other means finds.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Server, Socket, eventually, feed, feeds, foreign, foreign::Language, language, paths, server::standpipe,
    skip,
};
use toml::Table;

use crate::{config::run, kinds::serve};

/// What a `replay` has no use for: it says how the feed is reached.
const OF_CONNECTIONS: [&str; 11] = [
    "url",
    "headers",
    "subprotocols",
    "send",
    "reply",
    "connect_timeout",
    "ping_interval",
    "pong_timeout",
    "timeout",
    "silence",
    "every",
];

fn preset(name: &str) -> Table {
    let file = paths::root().join(format!("deploy/presets/{name}.toml"));
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The preset with its only source changed, for a client that reads it all at once: a whole order book is one event.
fn changed(name: &str, change: impl FnOnce(&mut Table)) -> String {
    let mut preset = preset(name);
    let sources = preset.get_mut("source").and_then(toml::Value::as_array_mut).map(Vec::as_mut_slice);
    let Some([toml::Value::Table(source)]) = sources else { panic!("{name} has not one source") };
    change(source);
    preset.insert("server".to_owned(), Table::from_iter([("listen".to_owned(), "127.0.0.1:0".into())]).into());
    let room = [("max_queue_bytes", "64MiB"), ("max_unconfirmed_bytes", "64MiB")];
    let room = room.map(|(key, size)| (key.to_owned(), size.into()));
    preset.insert("client".to_owned(), Table::from_iter(room).into());
    toml::to_string(&preset).expect("a table of a configuration")
}

/// The preset with a recording in the place of its feed.
fn replayed(name: &str, recording: &Path) -> String {
    changed(name, |source| {
        source.retain(|key, _| !OF_CONNECTIONS.contains(&key));
        source.insert("kind".to_owned(), "replay".into());
        source.insert("file".to_owned(), recording.display().to_string().into());
        source.insert("speed".to_owned(), "max".into());
    })
}

/// How many events of each topic and key.
type Counts = BTreeMap<(String, Option<String>), u64>;

/// The counts that are right, and their sum.
async fn right(name: &str, recording: &Path) -> (Counts, u64) {
    let mut told = foreign::values(foreign::script("count_preset.py").arg(name).arg(recording)).await;
    let all = told.pop().and_then(|last| last["all"].as_u64()).expect("a last line with the sum");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let row = |row: &Value| Some(((text(&row["topic"])?, text(&row["key"])), row["count"].as_u64()?));
    (told.iter().map(|told| row(told).unwrap_or_else(|| panic!("no count: {told}"))).collect(), all)
}

/// Reads so many events, from the beginning of the log.
async fn counted(server: &Server, all: u64) -> Counts {
    let mut client = Socket::open(server.addr(), "/ws?topics=%3E&after=earliest").await;
    let mut counts = Counts::new();
    for _ in 0..all {
        let event = client.until("event").await;
        let topic = event["topic"].as_str().expect("a topic").to_owned();
        *counts.entry((topic, event["key"].as_str().map(str::to_owned))).or_default() += 1;
    }
    counts
}

/// Waits until the only source is as it should be, having made events of all that it could.
async fn until_source(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let source = eventually(what, 6 * PATIENCE, async || {
        let source = server.get("/sources").await.json()["sources"][0].clone();
        if is_so(&source) { Ok(source) } else { Err(source.to_string()) }
    })
    .await;
    assert_eq!(source["unmapped"], 0, "{source}");
    source
}

/// Plays the recording through the preset, and compares.
async fn plays_as_counted(name: &str, recording: &Path) {
    let (right, all) = right(name, recording).await;
    assert!(all >= 100, "{all} events");
    let server = Server::start(&replayed(name, recording)).await;
    let source = until_source(&server, "its end", |source| source["finished"] == true).await;
    assert_eq!(source["events"], all, "{source}");
    assert_eq!(counted(&server, all).await, right);
}

/// Has the recording served by HTTP, polls it through the preset, and compares.
async fn polls_as_counted(name: &str, form: &str, recording: &Path) {
    let (right, all) = right(name, recording).await;
    assert!(all >= 100, "{all} events");
    let (_feed, told) = serve(form, recording, &[]).await;
    let server = Server::start(&changed(name, |source| {
        source.insert("url".to_owned(), format!("http://127.0.0.1:{}/", told["port"]).into());
        source.insert("every".to_owned(), "100ms".into());
    }))
    .await;
    let is_over = |source: &Value| source["frames"] == told["answers"] && source["events"].as_u64() >= Some(all);
    let source = until_source(&server, "the last answer", is_over).await;
    assert_eq!(source["events"], all, "{source}");
    assert_eq!(counted(&server, all).await, right);
}

#[tokio::test]
async fn every_preset_is_valid() {
    let folder = fs::read_dir(paths::root().join("deploy/presets")).expect("the folder of presets");
    let files = folder.map(|entry| entry.expect("a file").path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        let (code, out, err) = run(standpipe().arg("check").arg("--config").arg(&file)).await;
        assert_eq!(code, 0, "{}: {out}{err}", file.display());
    }
}

#[tokio::test]
async fn krakens_events_are_those_of_its_recording() {
    language!(Language::Python);
    plays_as_counted("kraken", &feed!("cex_kraken_2021")).await;
}

#[tokio::test]
async fn coinbases_events_are_those_of_its_recording() {
    language!(Language::Python);
    plays_as_counted("coinbase", &feed!("cex_coinbase_2026")).await;
}

#[tokio::test]
async fn binances_events_are_those_of_its_recording() {
    language!(Language::Python);
    plays_as_counted("binance", &feed!("cex_binance_spot_2021")).await;
}

/// One recorded connection of several, in a file of its own: of another market, where the same names mean something else.
fn connection_to(addr: &str, recording: &Path, folder: &Path) -> PathBuf {
    let rows = feeds::values(recording);
    let connect = rows.iter().find(|row| row["t"] == "connect" && row["addr"] == addr);
    let conn = &connect.unwrap_or_else(|| panic!("no connection to {addr}"))["conn"];
    let file = folder.join("connection.jsonl.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&file).expect("a new file"), Compression::fast());
    for row in rows.iter().filter(|row| row["t"] == "header" || row["conn"] == *conn) {
        writeln!(gzip, "{row}").expect("room on the disk");
    }
    gzip.finish().expect("room on the disk");
    file
}

const BYBIT: [&str; 2] = ["wss://stream.bybit.com/v5/public/linear", "wss://stream.bybit.com/v5/public/spot"];

#[tokio::test]
async fn bybits_events_are_those_of_its_recording() {
    language!(Language::Python);
    let (recording, folder) = (feed!("cex_bybit_2026"), tempfile::tempdir().expect("a folder"));
    for market in BYBIT {
        plays_as_counted("bybit", &connection_to(market, &recording, folder.path())).await;
    }
}

#[tokio::test]
async fn bybits_tickers_are_whole_though_most_frames_only_say_what_changed() {
    let (recording, folder) = (feed!("cex_bybit_2026"), tempfile::tempdir().expect("a folder"));
    for market in BYBIT {
        let recording = connection_to(market, &recording, folder.path());
        let mut right: BTreeMap<String, (Value, serde_json::Map<String, Value>)> = BTreeMap::new();
        for row in feeds::values(&recording).iter().filter(|row| row["t"] == "recv") {
            let frame: Value = serde_json::from_str(row["data"].as_str().expect("a text")).expect("a frame");
            let Some(symbol) = frame["topic"].as_str().and_then(|topic| topic.strip_prefix("tickers.")) else {
                continue;
            };
            let (ts, state) = right.entry(symbol.to_owned()).or_default();
            *ts = frame["ts"].clone();
            state.extend(frame["data"].as_object().expect("an object").clone());
        }
        assert!(right.len() >= 2, "{right:?}");
        let server = Server::start(&replayed("bybit", &recording)).await;
        let source = until_source(&server, "its end", |source| source["finished"] == true).await;
        assert_eq!(source["unmerged"], 0, "{source}");
        let mut client = Socket::open(server.addr(), "/ws?topics=tickers.*&snapshot=1").await;
        for _ in 0..right.len() {
            let shown = client.until("snapshot").await;
            let (ts, data) = &right[shown["key"].as_str().expect("a key")];
            assert_eq!((&shown["ts"], shown["data"].as_object()), (ts, Some(data)));
        }
    }
}

#[tokio::test]
async fn okxs_events_are_those_of_its_recording() {
    language!(Language::Python);
    plays_as_counted("okx", &feed!("cex_okx_2022")).await;
}

#[tokio::test]
async fn wikimedias_events_are_those_of_its_recording() {
    language!(Language::Python);
    plays_as_counted("wikimedia", &feed!("wikimedia_recentchange_2023")).await;
}

#[tokio::test]
async fn dexscreeners_events_are_the_changes_in_its_recorded_answers() {
    language!(Language::Python);
    polls_as_counted("dexscreener", "answers", &feed!("dexscreener_search_polls_2025")).await;
}

#[tokio::test]
async fn usgs_quakes_come_once_however_often_an_answer_holds_them() {
    language!(Language::Python);
    let Some(recording) = feeds::file("usgs_all_week_2018.geojson.gz") else {
        skip!("needs ../shared/feeds/usgs_all_week_2018.geojson.gz");
    };
    polls_as_counted("usgs", "days", &recording).await;
}

/// There is no recording of Jetstream: these frames are written in the form that its documentation has.
#[tokio::test]
async fn jetstreams_commits_are_events_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("jetstream.jsonl");
    let commit = |operation: &str, record: Value| {
        let commit = json!({"rev": format!("r-{operation}"), "operation": operation, "collection": "app.bsky.feed.post", "rkey": "3k9", "record": record});
        json!({"did": "did:plc:a", "time_us": 1_725_911_162_329_308_u64, "kind": "commit", "commit": commit})
    };
    let frames = [
        commit("create", json!({"text": "hello"})),
        json!({"did": "did:plc:a", "time_us": 1_725_516_665_234_703_u64, "kind": "identity", "identity": {"seq": 1}}),
        commit("delete", Value::Null),
    ];
    fs::write(&file, frames.map(|frame| frame.to_string()).join("\n")).expect("a file");
    let server = Server::start(&replayed("jetstream", &file)).await;
    let source = until_source(&server, "its end", |source| source["finished"] == true).await;
    assert_eq!((&source["events"], &source["ignored"]), (&2.into(), &1.into()), "{source}");
    let mut client = Socket::open(server.addr(), "/ws?topics=post.*&after=earliest").await;
    let (created, deleted) = (client.until("event").await, client.until("event").await);
    let address = "at://did:plc:a/app.bsky.feed.post/3k9";
    assert_eq!((&created["topic"], &created["key"]), (&"post.create".into(), &address.into()), "{created}");
    assert_eq!((&created["data"]["record"]["text"], &created["ts"]), (&"hello".into(), &1_725_911_162_329_u64.into()));
    assert_eq!((&deleted["topic"], &deleted["data"]), (&"post.delete".into(), &Value::Null), "{deleted}");
    assert_eq!(created["id"], format!("{address}@r-create"), "{created}");
}
