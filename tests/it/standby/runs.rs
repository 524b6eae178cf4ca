//! The server as a run: what the platform tells it and what it makes of that, and what it says of itself.

use serde_json::{Value, json};
use standpipe_standby::{Actor, Settings, Timing};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Socket, eventually, fake_upstream::Speed, feeds::Capture, http, metrics::Metrics,
};

use super::{Standby, fast, server};
use crate::PUSH;

/// A platform that would send SIGTERM when a test is long over.
fn without_signals() -> Timing {
    Timing { warning: 10 * PATIENCE, ..fast(10.0) }
}

async fn deploy(config: &str, input: Option<Value>) -> Standby {
    let (folder, actor) = server(config, Settings::PLATFORM);
    Standby::deploy_from(Actor { input, ..actor }, without_signals(), folder).await
}

async fn client(standby: &Standby) -> Socket {
    let path = format!("/ws?topics=%3E&token={}", standby.token);
    let mut client = Socket::open(standby.deployment.address(), &path).await;
    client.until("subscribed").await;
    client
}

/// Waits until the log of a run has a line with `text`.
async fn until_logged(standby: &Standby, run: &str, text: &str) -> String {
    eventually(text, PATIENCE, async || {
        let log = standby.platform.log(run);
        log.iter().find(|line| line.contains(text)).cloned().ok_or_else(|| log.join("\n"))
    })
    .await
}

async fn until_heard(standby: &Standby, run: &str) -> Metrics {
    let address = standby.address(run).await;
    eventually("the run hears the platform", PATIENCE, async || {
        let page = http::get(address, "/metrics").await.body;
        let metrics = Metrics::read(&page);
        let heard = page.contains("standpipe_apify_memory_bytes ");
        if heard && metrics.count("standpipe_apify_events_connected") == 1 { Ok(metrics) } else { Err(page) }
    })
    .await
}

#[tokio::test]
async fn a_run_says_what_it_does_and_warns_of_a_platform_that_gives_it_little_room() {
    let standby = deploy(PUSH, None).await;
    let _client = client(&standby).await;
    let run = standby.deployment.runs().remove(0);
    let said = eventually("a status message", PATIENCE, async || {
        let object = standby.run(&run);
        let said = object["statusMessage"].as_str().filter(|said| said.contains("active client"));
        said.map(str::to_owned).ok_or(object.to_string())
    })
    .await;
    assert!(said.ends_with("live"), "{said}");
    let warning = until_logged(&standby, &run, "maxRequestsPerActorRun").await;
    assert!(warning.contains(r#""max_requests":4"#) && warning.contains(r#""max_connections":15000"#), "{warning}");
    assert!(!standby.platform.log(&run).join("\n").contains(&standby.token), "a caller's token is in the log");
    standby.end().await;
}

#[tokio::test]
async fn a_run_that_is_told_of_its_end_sends_its_clients_away_before_any_signal() {
    let standby = deploy(PUSH, None).await;
    let mut client = client(&standby).await;
    let run = standby.deployment.runs().remove(0);
    until_heard(&standby, &run).await;
    assert!(standby.deployment.finish(&run));
    let goodbye = client.until("goodbye").await;
    assert_eq!((&goodbye["code"], &goodbye["verdict"]), (&json!(4200), &json!("now")));
    standby.until(&run, "SUCCEEDED").await;
    let log = standby.platform.log(&run).join("\n");
    assert!(!log.contains("SIGTERM") && log.contains(r#""why":"the platform""#), "{log}");
    standby.end().await;
}

#[tokio::test]
async fn a_run_whose_events_socket_is_cut_opens_another_and_hears_of_its_end_there() {
    let standby = deploy(PUSH, None).await;
    let mut client = client(&standby).await;
    let run = standby.deployment.runs().remove(0);
    until_heard(&standby, &run).await;
    standby.deployment.drop_events(&run);
    until_logged(&standby, &run, "events socket is lost").await;
    until_heard(&standby, &run).await;
    assert!(standby.deployment.finish(&run));
    assert_eq!(client.until("goodbye").await["code"], 4200);
    standby.until(&run, "SUCCEEDED").await;
    standby.end().await;
}

#[tokio::test]
async fn the_input_of_a_run_sets_what_its_author_allows_and_anything_else_ends_it_with_a_word() {
    let config = format!("[input]\nallow = [\"limits.max_subscriptions\"]\n{PUSH}");
    let standby = deploy(&config, Some(json!({"limits__max_subscriptions": 3}))).await;
    let path = format!("/ws?token={}", standby.token);
    let mut client = Socket::open(standby.deployment.address(), &path).await;
    assert_eq!(client.until("welcome").await["limits"]["max_subscriptions"], 3);
    let refused = standby.deployment.start("alice", Some(&json!({"auth__mode": "none"}))).expect("a run");
    let object = standby.until(&refused, "FAILED").await;
    let said = object["statusMessage"].as_str().unwrap_or_default();
    assert!(
        said.contains("`INPUT.auth__mode`: the input may not set this; it may set limits__max_subscriptions"),
        "{said}"
    );
    standby.end().await;
}

/// What became of a run that nobody is sent to: its object, and what it has put into its dataset.
async fn started(standby: &Standby, status: &str) -> (Value, Vec<Value>) {
    let run = standby.deployment.start("alice", None).expect("a run");
    let object = standby.until(&run, status).await;
    (object, standby.platform.items(&run))
}

#[tokio::test]
async fn a_run_that_nobody_is_sent_to_tries_its_sources_reports_and_ends() {
    // Two of them: what a feed has sent to one run, it does not send to another.
    let frames = || Capture::of((0..10).map(|_| json!({"n": "a"}).to_string()));
    let upstreams = [FakeUpstream::start(frames(), Speed::Max).await, FakeUpstream::start(frames(), Speed::Max).await];
    let source = |upstream: &FakeUpstream, map: &str| {
        upstream.release();
        let url = upstream.url();
        format!("[[source]]\nname = \"feed\"\nkind = \"websocket\"\nurl = \"{url}\"\nmap = '{map}'\n{PUSH}")
    };
    let right = deploy(&source(&upstreams[0], r#"{topic: "numbers", data: .n}"#), None).await;
    let wrong = deploy(&source(&upstreams[1], r#"{topic: "numbers", data: (.n | tonumber)}"#), None).await;
    let ((succeeded, rows), (failed, faulty)) = tokio::join!(started(&right, "SUCCEEDED"), started(&wrong, "FAILED"));
    assert!(rows.iter().any(|row| row["topic"] == "numbers" && row["events"] == 10), "{rows:?}");
    let feed = rows.iter().find(|row| row["kind"] == "source" && row["source"] == "feed").expect("a row of the source");
    assert_eq!((&feed["right"], &feed["state"], &feed["errors"]), (&json!(true), &json!("live"), &json!(0)), "{feed}");
    let said = succeeded["statusMessage"].as_str().unwrap_or_default();
    let service = format!("Callers connect to http://{}", right.deployment.address());
    assert!(said.contains("no faults") && said.ends_with(&service), "{said}");
    assert_eq!(succeeded["isStatusMessageTerminal"], true);
    let feed = faulty.iter().find(|row| row["source"] == "feed").expect("a row of the source");
    assert!(
        feed["right"] == false && feed["message"].as_str().is_some_and(|why| why.contains("the mapping failed")),
        "{feed}"
    );
    assert!(failed["statusMessage"].as_str().is_some_and(|said| said.contains("faults in feed")), "{failed}");
    right.end().await;
    wrong.end().await;
}
