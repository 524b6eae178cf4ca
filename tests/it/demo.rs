//! The first command that a stranger runs.

use std::time::{Duration, Instant};

use serde_json::Value;
use standpipe_tests::{
    PATIENCE, Server,
    foreign::{Ending, Language},
    language,
    process::{Process, Signal},
    server::standpipe,
};

#[tokio::test]
async fn the_demo_serves_within_two_seconds_and_ctrl_c_ends_it_well() {
    let start = Instant::now();
    let mut server = Server::demo().await;
    assert_eq!(server.get("/live").await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.signal(Signal::INT);
    assert!(server.exit_within(Duration::from_secs(5)).await.success());
}

#[tokio::test]
async fn python_and_node_get_trades_of_one_pair() {
    let server = Server::demo().await;
    for language in [Language::Python, Language::Node] {
        let language = language!(language);
        let url = server.url("/ws?topics=trades.XBT/USD");
        let collected = language.collect(&url, &["--events", "3"]).finish(PATIENCE).await;
        assert_eq!(collected.ending, Ending::Left("events".to_owned()));
        for event in collected.events() {
            assert_eq!((&event["topic"], &event["source"]), (&"trades.XBT/USD".into(), &"exchange".into()), "{event}");
            assert!(event["data"]["price"].is_string() && event["ts"].is_u64(), "{event}");
        }
    }
}

#[tokio::test]
async fn tail_prints_what_was_selected_and_is_told_goodbye() {
    let mut server = Server::demo().await;
    let url = server.url("/ws");
    let options = ["--topics", "trades.*", "--where", "side=buy", "--json"];
    let mut tail = Process::start("tail", standpipe().arg("tail").arg(&url).args(options));
    let event = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|line| line["op"] == "event");
    tail.line("three events", PATIENCE, event).await;
    standpipe_tests::eventually("three events", PATIENCE, async || match tail.stdout().len() {
        0..3 => Err("not yet"),
        _ => Ok(()),
    })
    .await;
    for line in tail.stdout() {
        let event = event(&line).unwrap_or_else(|| panic!("one event a line: {line}"));
        assert!(event["topic"].as_str().is_some_and(|topic| topic.starts_with("trades.")), "{event}");
        assert_eq!(event["data"]["side"], "buy", "{event}");
    }
    tail.signal(Signal::INT);
    assert!(tail.exit_within(PATIENCE).await.success());
    server.signal(Signal::INT);
    assert!(server.exit_within(PATIENCE).await.success());
}

#[tokio::test]
async fn tail_begins_with_the_latest_ticker_of_each_pair() {
    let server = Server::demo().await;
    standpipe_tests::eventually("a ticker of each pair", PATIENCE, async || {
        let keys = server.metrics().await.count("standpipe_snapshot_keys");
        // Trades of the six pairs, and tickers.
        if keys == 12 { Ok(()) } else { Err(keys) }
    })
    .await;
    let url = server.url("/ws");
    let options = ["--topics", "tickers.*", "--snapshot", "--conflate", "--json", "--count", "1"];
    let mut tail = Process::start("tail", standpipe().arg("tail").arg(&url).args(options));
    assert!(tail.exit_within(PATIENCE).await.success());
    let lines: Vec<Value> = tail.stdout().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ops: Vec<_> = lines.iter().map(|line| line["op"].as_str().expect("an op")).collect();
    assert_eq!(ops, ["snapshot", "snapshot", "snapshot", "snapshot", "snapshot", "snapshot", "event"]);
    let notes = tail.stderr().join("\n");
    assert!(notes.contains("snapshot: 6 keys, as of seq "), "{notes}");
}

#[tokio::test]
async fn the_printed_lines_name_what_can_be_opened() {
    let server = Server::demo().await;
    let printed = standpipe_tests::eventually("the lines to paste", PATIENCE, async || {
        let printed = server.log().join("\n");
        if printed.contains("tail") { Ok(printed) } else { Err(printed) }
    })
    .await;
    for named in [format!("http://{}/status", server.addr()), server.url("/ws?topics=")] {
        assert!(printed.contains(&named), "{named} in:\n{printed}");
    }
}
