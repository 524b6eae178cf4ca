//! What the author of a configuration has: trying mappings on a recording, and making recordings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, Socket, eventually,
    fake_upstream::Speed,
    feed,
    feeds::{self, Capture},
    foreign,
    foreign::Language,
    language, paths,
    process::{Process, Signal},
    server::{standpipe, write_config},
};
use tempfile::TempDir;

use crate::{config::run, kinds::serve};

/// What `check --against` tells of a configuration: its exit code, and what it wrote.
async fn against(config: &Path, recording: &Path, more: &[&str]) -> (i32, String, String) {
    run(standpipe().arg("check").arg("--config").arg(config).arg("--against").arg(recording).args(more)).await
}

/// Two sources, one of which takes the frames of [`TAPE`] and one of which does not.
const SOURCES: &str = r#"
[[source]]
name = "numbers"
kind = "websocket"
url = "ws://127.0.0.1:9"
map = 'select(.n) | {topic: "numbers.\(.n)", data: .n}'

[[source]]
name = "others"
kind = "websocket"
url = "ws://127.0.0.1:9"
map = '{topic: "others", data: (.n | ltrimstr("x") | tonumber)}'
"#;

const TAPE: &str = r#"
{"t":"recv","conn":"c1","ts":1.0,"data":"{\"n\":1}"}
{"t":"recv","conn":"c1","ts":2.0,"data":"{\"n\":2}"}
{"t":"recv","conn":"c1","ts":3.0,"data":"{\"n\":2}"}
{"t":"recv","conn":"c1","ts":4.0,"data":"{\"hello\":\"there\"}"}
"#;

#[tokio::test]
async fn a_mapping_is_tried_on_a_recording_without_a_network() {
    let (folder, config) = write_config(SOURCES);
    let tape = folder.path().join("tape.jsonl");
    fs::write(&tape, TAPE).expect("a file");
    let (code, out, err) = against(&config, &tape, &["--source", "numbers", "--json"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let told = parse(&out);
    assert_eq!((&told["frames"], &told["events"], &told["silent"]), (&4.into(), &3.into(), &1.into()), "{told}");
    let topics = json!([{"topic": "numbers.2", "events": 2}, {"topic": "numbers.1", "events": 1}]);
    assert_eq!((&told["topics"], &told["failed"]), (&topics, &json!([])), "{told}");

    let (code, out, err) = against(&config, &tape, &[]).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("source `numbers`") && out.contains("numbers.2"), "{out}");
    assert!(out.contains("frame 4 (program)") && out.contains(r#"{"hello":"there"}"#), "{out}");
}

#[tokio::test]
async fn sources_are_tried_live_and_nobody_is_served() {
    let frames = (0..3).map(|n| json!({"n": n}).to_string());
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::Max).await;
    upstream.release();
    let sources = SOURCES.replace("ws://127.0.0.1:9", &upstream.url());
    let (_folder, config) = write_config(&sources);
    let live =
        async |more: &[&str]| run(standpipe().args(["check", "--live", "1", "--config"]).arg(&config).args(more)).await;
    let (code, out, err) = live(&["--source", "numbers", "--json"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let told = parse(&out);
    assert_eq!((&told["state"], &told["frames"], &told["events"]), (&"live".into(), &3.into(), &3.into()), "{told}");
    drop(upstream);
    let (code, out, err) = live(&["--source", "others"]).await;
    assert_eq!(code, 1, "a feed that cannot be reached is a fault: {out}{err}");
    assert!(out.starts_with("source `others` ") && out.contains("the latest: "), "{out}");
}

#[tokio::test]
async fn what_cannot_be_tried_is_told() {
    let (folder, config) = write_config(SOURCES);
    let (code, _, err) = against(&config, &folder.path().join("none.jsonl"), &[]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("none.jsonl"), "{err}");
    let (code, _, err) = against(&config, &config, &["--source", "number"]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("no source `number`") && err.contains("did you mean `numbers`"), "{err}");
}

#[tokio::test]
async fn a_preset_tried_on_a_recording_gives_the_events_of_an_independent_count() {
    language!(Language::Python);
    let recording = feed!("cex_kraken_2021");
    let right = foreign::values(foreign::script("count_preset.py").arg("kraken").arg(&recording)).await;
    let config = paths::root().join("deploy/presets/kraken.toml");
    let (code, out, err) = against(&config, &recording, &["--json"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let told = parse(&out);
    assert_eq!(told["events"], right[right.len() - 1]["all"], "{told}");
}

/// A configuration of the source `feed`, with these lines more; and the folder that it is in.
fn feed_at(kind: &str, url: &str, more: &str) -> (TempDir, PathBuf) {
    write_config(&format!("[[source]]\nname = \"feed\"\nkind = \"{kind}\"\nurl = \"{url}\"\n{more}"))
}

/// All frames as they are, in one topic.
const ALL: &str = r#"{topic: "all", data: .}"#;

/// Records so many frames of the source `feed` of this configuration, in a file beside it.
async fn record(config: &Path, frames: usize) -> PathBuf {
    let tape = config.with_file_name("tape.jsonl.gz");
    let mut command = standpipe();
    command.args(["record", "--source", "feed", "--config"]).arg(config).arg("--out").arg(&tape);
    command.args(["--frames", &frames.to_string()]).env("FEED_KEY", SECRET);
    let (code, out, err) = run(&mut command).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains(&format!("{frames} frames")) && !err.contains(SECRET), "{err}");
    tape
}

const SECRET: &str = "hunter-of-feeds";

/// The payloads of the first events that the source `feed` gives when it plays `tape` through `map`.
async fn played(tape: &Path, map: &str, events: usize) -> Vec<Value> {
    // A whole answer may be an event of megabytes: the client has room for all of them, however slowly it reads.
    let config = format!(
        r#"
        [client]
        max_queue_bytes = "64MiB"
        max_unconfirmed_bytes = "64MiB"

        [[source]]
        name = "feed"
        kind = "replay"
        file = "{}"
        speed = "max"
        map = '{map}'
        "#,
        tape.display()
    );
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=%3E&after=earliest").await;
    let mut played = Vec::new();
    while played.len() < events {
        played.push(client.until("event").await["data"].clone());
    }
    played
}

#[tokio::test]
async fn pings_of_the_feeds_own_are_answered_while_it_is_recorded() {
    let frames = [r#"{"event":"ping","id":7}"#, r#"{"n":1}"#, r#"{"n":2}"#];
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::OnCue).await;
    let reply = format!("reply = 'select(.event? == \"ping\") | {{event: \"pong\", id}}'\nmap = '{ALL}'");
    let (_folder, config) = feed_at("websocket", &upstream.url(), &reply);
    let feed = async {
        eventually("somebody follows", PATIENCE, async || (upstream.followed() == 1).then_some(()).ok_or("nobody"))
            .await;
        upstream.air(1);
        // Only to who has answered goes more.
        let answered = async || {
            let received = upstream.received();
            if received == [r#"{"event":"pong","id":7}"#] { Ok(()) } else { Err(format!("{received:?}")) }
        };
        eventually("the pong", PATIENCE, answered).await;
        upstream.air(2);
    };
    let (tape, ()) = tokio::join!(record(&config, 3), feed);
    assert_eq!(played(&tape, ALL, 3).await[2], json!({"n": 2}));
}

#[tokio::test]
async fn what_is_recorded_of_a_websocket_plays_as_it_came_and_holds_no_secret() {
    let frames: Vec<String> = (0..40).map(|n| format!("{{\"n\":{n}.10,\"text\":\"\\u00e9 é\"}}")).collect();
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::Max).await;
    upstream.release();
    let more = format!(
        r#"
        headers = {{ X-Key = "${{FEED_KEY}}" }}
        send = ['{{"subscribe":"all","key":"${{FEED_KEY}}"}}']
        map = '{ALL}'
        "#
    );
    let (_folder, config) = feed_at("websocket", &format!("{}/?key=${{FEED_KEY}}", upstream.url()), &more);
    let tape = record(&config, 40).await;
    assert_eq!(upstream.received(), [format!("{{\"subscribe\":\"all\",\"key\":\"{SECRET}\"}}")]);
    let text = feeds::lines(&tape).collect::<Vec<_>>().join("\n");
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.contains("${FEED_KEY}"), "what was sent, as it is written: {text}");
    let words: Vec<String> = text.lines().map(|line| parse(line)["t"].as_str().expect("a word").to_owned()).collect();
    assert_eq!((&words[..3], words.len()), (&["header", "connect", "send"].map(str::to_owned)[..], 43), "{words:?}");
    let played = played(&tape, ALL, 40).await;
    let right: Vec<Value> = (0..40).map(|n| parse(&format!("{{\"n\":{n}.10,\"text\":\"é é\"}}"))).collect();
    assert_eq!(played, right);
}

#[tokio::test]
async fn what_is_recorded_of_a_stream_and_of_a_page_plays_as_it_came() {
    language!(Language::Python);
    let changes = feed!("wikimedia_recentchange_2023");
    let (_feed, told) = serve("stream", &changes, &["23"]).await;
    let (_folder, config) = feed_at("sse", &format!("http://127.0.0.1:{}/", told["port"]), "");
    let tape = record(&config, 30).await;
    let ids = played(&tape, "{topic: $event, data: .meta.id}", 30).await;
    let right: Vec<Value> =
        feeds::values(&changes).iter().take(30).map(|change| change["meta"]["id"].clone()).collect();
    assert_eq!(ids, right);

    let polls = feed!("dexscreener_search_polls_2025");
    let (_feed, told) = serve("polls", &polls, &[]).await;
    let (_folder, config) = feed_at("http_poll", &format!("http://127.0.0.1:{}/", told["port"]), "every = \"100ms\"");
    let tape = record(&config, 19).await;
    let answers = played(&tape, ALL, 19).await;
    let right: Vec<Value> =
        feeds::values(&polls).iter().map(|poll| parse(poll["data"].as_str().expect("an answer"))).collect();
    assert_eq!(answers, right);
}

#[tokio::test]
async fn a_recording_ends_when_told_and_is_whole() {
    let frames: Vec<String> = (0..200).map(|n| format!("{{\"n\":{n}}}")).collect();
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::Max).await;
    upstream.release();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tape = folder.path().join("tape.jsonl");
    let mut command = standpipe();
    command.arg("record").arg(upstream.url()).arg("--out").arg(&tape).args(["--send", "hello"]);
    let mut process = Process::start("standpipe record", &mut command);
    eventually(
        "all frames",
        PATIENCE,
        async || {
            if upstream.is_finished() { Ok(()) } else { Err(upstream.sent().to_string()) }
        },
    )
    .await;
    process.signal(Signal::TERM);
    let status = process.exit_within(PATIENCE).await;
    assert_eq!(status.code(), Some(0), "{:?}", process.stderr());
    assert_eq!(upstream.received(), ["hello"]);
    let text = fs::read_to_string(&tape).expect("a recording");
    // What the feed had sent and nobody had read is not in it; what is in it is whole.
    assert!(text.lines().all(|line| parse(line).is_object()) && text.ends_with('\n'), "{text}");

    let (code, _, err) = run(&mut command).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("tape.jsonl") && err.contains("exists"), "{err}");
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
