//! Whether a server is ready, and whether it stands still.

use std::time::Duration;

use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, eventually, fake_upstream::Speed, feeds::Capture, process::Signal,
};

use crate::{PUSH, until_source};

fn feed(name: &str, upstream: &FakeUpstream, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nkind = \"websocket\"\nurl = \"{}\"\nmap = '{{topic: \"n\", data: .}}'\n{more}\n",
        upstream.url()
    )
}

#[tokio::test]
async fn a_server_is_ready_while_what_is_required_is_not_down_and_says_what_is_not_live_since_when() {
    let (needed, other) = (
        FakeUpstream::start(Capture::of(["1"]), Speed::Max).await,
        FakeUpstream::start(Capture::of(["1"]), Speed::Max).await,
    );
    let config = [
        feed("needed", &needed, "required = true\nstale_after = \"100ms\""),
        feed("other", &other, ""),
        PUSH.to_owned(),
    ];
    let server = Server::start(&config.concat()).await;
    needed.release();
    other.release();
    let source = until_source(&server, "needed", "silent", |source| source["state"] == "stale").await;
    until_source(&server, "other", "live", |source| source["state"] == "live").await;
    let ready = server.get("/ready").await;
    let said = ready.json();
    assert_eq!((ready.status, &said["ready"], &said["why"]), (200, &true.into(), &serde_json::json!([])), "{said}");
    let expected =
        serde_json::json!([{"source": "needed", "state": "stale", "since": source["since"], "required": true}]);
    assert_eq!(said["not_live"], expected);

    drop(other);
    until_source(&server, "other", "down", |source| source["state"] == "down").await;
    assert_eq!(server.get("/ready").await.status, 200, "it is not required");
    drop(needed);
    let said = eventually("it is not ready", PATIENCE, async || {
        let ready = server.get("/ready").await;
        if ready.status == 503 { Ok(ready.json()) } else { Err(ready.body) }
    })
    .await;
    assert_eq!(said["why"], serde_json::json!(["source `needed` is down, and required"]), "{said}");
    assert_eq!(server.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_process_that_was_stopped_has_missed_nothing() {
    let config = format!("[server]\nlisten = \"127.0.0.1:0\"\nwatchdog = \"2s\"\n{PUSH}");
    let mut server = Server::start(&config).await;
    // Another one, so that the time is known in which this one does nothing.
    let clock = Server::start(PUSH).await;
    server.signal(Signal::STOP);
    clock.until_counted("standpipe_process_uptime_seconds", |uptime| uptime >= 5).await;
    server.signal(Signal::CONT);
    let beats = async || server.metrics().await.count("standpipe_runtime_late_seconds_count");
    let before = beats().await;
    // For longer than the watchdog's patience.
    eventually("it goes on", PATIENCE, async || {
        let more = beats().await - before;
        if more >= 12 { Ok(()) } else { Err(more) }
    })
    .await;
    server.signal(Signal::TERM);
    assert!(server.exit_within(Duration::from_secs(20)).await.success(), "{:?}", server.log());
}
