//! Sources of every kind, from real recordings, through servers and programs that nobody here wrote.

use std::path::Path;

use serde_json::{Value, json};
use standpipe_tests::{
    PATIENCE, Server, Socket, eventually, feed, feeds, foreign, foreign::Language, language, process::Process,
};

/// Python's HTTP server, which gives a recording to whoever asks, and what it tells of itself: `port`, `answers`.
pub(crate) async fn serve(kind: &str, file: &Path, more: &[&str]) -> (Process, Value) {
    let mut command = foreign::script("feed.py");
    let mut process = Process::start("feed", command.arg(kind).arg(file).args(more));
    let told = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|told| told["port"].is_u64());
    let told = process.line("its port", PATIENCE, told).await;
    (process, told)
}

#[tokio::test]
async fn wikimedias_changes_come_once_and_in_order_over_streams_that_end_again_and_again() {
    language!(Language::Python);
    let recording = feed!("wikimedia_recentchange_2023");
    let (_feed, told) = serve("stream", &recording, &["23"]).await;
    let port = &told["port"];
    let config = format!(
        r#"
        [[source]]
        name = "edits"
        kind = "sse"
        url = "http://127.0.0.1:{port}/v2/stream/recentchange"
        map = 'select($event == "message") | {{topic: "edits.\(.wiki | token)", data: .meta.id}}'
        "#
    );
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=edits.%3E&after=earliest").await;
    let all = feeds::values(&recording);
    assert_eq!(all.len(), 100);
    for change in &all {
        let event = client.until("event").await;
        assert_eq!(event["data"], change["meta"]["id"]);
        assert_eq!(event["topic"], format!("edits.{}", change["wiki"].as_str().expect("a wiki")));
    }
    let source = server.get("/sources").await.json()["sources"][0].clone();
    assert_eq!((source["reconnects"].clone(), source["frames"].clone()), (json!(4), json!(100)), "{source}");
    server.audited().await;
}

#[tokio::test]
async fn of_dexscreeners_answers_each_change_of_a_pair_comes_once() {
    language!(Language::Python);
    let recording = feed!("dexscreener_search_polls_2025");
    let right = foreign::values(foreign::script("count_polls.py").arg(&recording)).await;
    assert!(right.len() > 1000, "{} changes", right.len());
    let (_feed, told) = serve("polls", &recording, &[]).await;
    let port = &told["port"];
    let config = format!(
        r#"
        [[source]]
        name = "pairs"
        kind = "http_poll"
        url = "http://127.0.0.1:{port}/latest/dex/search?q=x"
        every = "100ms"
        map = '''
          if .pairs then .pairs elif .raw then .raw.pairs else [.[].pairs[]] end
          | .[] | {{topic: "pairs.\(.chainId | token)", key: .pairAddress, data: .}}
        '''
        "#
    );
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=pairs.%3E&after=earliest").await;
    for change in &right {
        let data = client.until("event").await["data"].clone();
        assert_eq!(json!([data["pairAddress"], data["priceUsd"], data["txns"]["h24"]["buys"]]), *change);
    }
    eventually("answers without news", PATIENCE, async || {
        let source = server.get("/sources").await.json()["sources"][0].clone();
        let is_quiet = source["state"] == "live" && source["frames"] == 19 && source["events"] == right.len();
        if is_quiet { Ok(()) } else { Err(source.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn what_a_program_writes_comes_once_however_often_it_is_run() {
    let recording = feed!("crypto_tweets_2025");
    let config = format!(
        r#"
        [[source]]
        name = "posts"
        kind = "exec"
        command = ["gzip", "-dc", "{}"]
        dedupe = 10_000
        map = '{{topic: "posts", id, data: .user}}'
        "#,
        recording.display()
    );
    let server = Server::start(&config).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=posts&after=earliest").await;
    let all = feeds::values(&recording);
    for post in &all {
        assert_eq!(client.until("event").await["data"], post["user"]);
    }
    eventually("a second run", PATIENCE, async || {
        let source = server.get("/sources").await.json()["sources"][0].clone();
        let count = |name: &str| source[name].as_u64().unwrap_or_default();
        let is_over = count("reconnects") > 0 && count("duplicates") >= all.len() as u64;
        if is_over { Ok(()) } else { Err(source.to_string()) }
    })
    .await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.count("standpipe_process_panics_total"), 0);
}
