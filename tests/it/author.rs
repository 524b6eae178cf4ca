//! What the author of a configuration has: trying mappings on a recording.

use std::{fs, path::Path};

use serde_json::{Value, json};
use standpipe_tests::{
    feed, foreign,
    foreign::Language,
    language, paths,
    server::{standpipe, write_config},
};

use crate::config::run;

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

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
