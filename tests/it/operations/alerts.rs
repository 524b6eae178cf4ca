//! A real Prometheus watches a server to which all sorts of things happen: what is to fire fires, what is not does not, and
//! each panel of the dashboard shows something.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Peer, Server, Usage,
    fake_upstream::Speed,
    feeds::Capture,
    http::Request,
    load::Load,
    paths,
    process::Signal,
    prometheus::{self, Prometheus},
    skip,
    skip::is_ci,
    within,
};
use tempfile::TempDir;

use crate::until_source;

/// What follows from what is done here, in this order.
const FIRE: [&str; 9] = [
    "StandpipeFramesNotMapped",
    "StandpipeEventsOld",
    "StandpipeLogShort",
    "StandpipeBudgetShort",
    "StandpipeSlowConsumers",
    "StandpipeUnconfirmed",
    "StandpipeSourceStale",
    "StandpipeSourceDown",
    "StandpipeFilesShort",
];

/// What may follow, or what a busy machine does by itself.
const MAY_FIRE: [&str; 6] = [
    "StandpipeDown",
    "StandpipeQueueOld",
    "StandpipeQueueMemoryShort",
    "StandpipeShardBehind",
    "StandpipeShut",
    "StandpipeRuntimeLate",
];

/// More than the rule finds usual.
const SLOW: usize = 15;

fn config(upstream: &FakeUpstream, till: &TempDir) -> String {
    let (url, till) = (upstream.url(), till.path().display());
    format!(
        r#"
[log]
max_events = 2000

[client]
max_queue_bytes = "64KiB"
max_queue_age = "1s"
receipt_interval = "100ms"
ping_interval = "1s"
pong_timeout = "1s"
write_timeout = "1s"

[billing]
sink = "file"
file = "{till}/charges.jsonl"
journal = "{till}/journal.jsonl"
event = [{{ topics = "paid", name = "paid" }}]
prices = {{ paid = "0.01" }}
cap = "1.00"

[[source]]
name = "feed"
kind = "websocket"
url = "{url}"
map = '{{topic: "feed", data: .}}'
stale_after = "1s"

[[source]]
name = "in"
kind = "push"
"#
    )
}

/// Publishes `count` events of this topic and size, of long ago.
async fn publish(server: &Server, count: usize, topic: &str, bytes: usize) {
    let text = "x".repeat(bytes);
    server.publish(&vec![json!({"topic": topic, "ts": 1_000_000, "data": text}); count]).await;
}

#[tokio::test]
async fn alerts_fire_when_they_should_and_every_panel_has_something_to_show() {
    if !prometheus::is_installed() {
        assert!(!is_ci(), "prometheus is not installed");
        skip!("needs prometheus");
    }
    let frames = (0..4000).map(|n| json!({"n": n}).to_string());
    let upstream = FakeUpstream::start(Capture::of(frames), Speed::Times(0.02)).await;
    let till = TempDir::new().expect("a temporary folder");
    let mut server = Server::start(&config(&upstream, &till)).await;
    upstream.release();
    until_source(&server, "feed", "live", |source| source["state"] == "live").await;
    let reader = Load::connect([(server.addr(), "/ws?topics=paid".to_owned())]).await;
    let prometheus = Prometheus::watch(server.addr()).await;

    prometheus.until("count_over_time(standpipe_audit_total[1h]) > 10").await;
    assert_eq!(prometheus.firing().await, BTreeSet::new(), "of a server that is well: {}", prometheus.alerts().await);

    not_events(&server).await;
    publish(&server, 2500, "other", 10).await;
    for alert in &FIRE[..3] {
        prometheus.until_fires(alert).await;
    }
    publish(&server, 95, "paid", 10).await;
    reader.until("what is paid for", |_, seen| seen.events.len() == 95).await;
    prometheus.until_fires("StandpipeBudgetShort").await;

    slow_clients(&server).await;
    prometheus.until_fires("StandpipeSlowConsumers").await;
    prometheus.until_fires("StandpipeUnconfirmed").await;

    upstream.hold();
    prometheus.until_fires("StandpipeSourceStale").await;
    panels_show_something(&prometheus).await;
    drop(upstream);
    prometheus.until_fires("StandpipeSourceDown").await;

    few_descriptors(&server).await;
    prometheus.until_fires("StandpipeFilesShort").await;
    said_in_full(&prometheus.alerts().await);
    server.signal(Signal::KILL);
    server.exit_within(PATIENCE).await;
    prometheus.until_fires("StandpipeDown").await;

    let fired = prometheus.have_fired().await;
    let surely = fired.difference(&MAY_FIRE.map(str::to_owned).into()).cloned().collect::<BTreeSet<_>>();
    assert_eq!(surely, FIRE.map(str::to_owned).into());
}

/// Inputs that are no events.
async fn not_events(server: &Server) {
    for n in 0..100 {
        let body = json!({"nonsense": n}).to_string();
        let headers = &[("Content-Type", "application/json")];
        server.request(Request { method: "POST", path: "/publish", headers, body: &body }).await;
    }
}

/// Clients that ask for much and read none of it, until all of them are closed.
async fn slow_clients(server: &Server) {
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let client = Peer::try_open(server.addr(), "/ws?topics=much", Some(4096)).await;
        slow.push(client.expect("a connection"));
    }
    server.until_subscribed(SLOW + 1).await;
    let closed = async {
        while server.active().await > 1 {
            publish(server, 20, "much", 20_000).await;
        }
    };
    within("the end of the slow", 3 * PATIENCE, closed).await;
}

/// Leaves the server a few descriptors more than it has open all the time: some are of attempts to reach a feed, and soon gone.
async fn few_descriptors(server: &Server) {
    let process = Pid::from_raw(i32::try_from(server.id()).expect("a process id"));
    let mut open = usize::MAX;
    for _ in 0..30 {
        open = open.min(Usage::of(server.id()).descriptors);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let few = u64::try_from(open + 2).expect("a number of descriptors");
    prlimit(process, Resource::Nofile, Rlimit { current: Some(few), maximum: Some(few) }).expect("a limit for a child");
}

/// What is said of an alert has its numbers and names in it.
fn said_in_full(alerts: &Value) {
    let alerts = alerts["data"]["alerts"].as_array().expect("a list of alerts");
    for alert in alerts {
        let said = alert["annotations"].as_object().expect("annotations");
        for text in said.values().filter_map(Value::as_str) {
            assert!(!text.is_empty() && !text.contains("<error") && !text.contains("no value"), "{alert}");
        }
        let severity = alert["labels"]["severity"].as_str();
        assert!(severity.is_some_and(|severity| ["critical", "warning"].contains(&severity)), "{alert}");
    }
}

/// Runs each query of the dashboard, with its variables as they are when it is opened.
async fn panels_show_something(prometheus: &Prometheus) {
    let file = paths::root().join("deploy/grafana/standpipe.json");
    let text = fs::read_to_string(file).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut asked = 0;
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
        let query = target["expr"].as_str().expect("a query");
        let filled = query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$source", ".*");
        assert!(!filled.contains('$'), "a variable that nobody knows: {query}");
        let samples = prometheus.query(&filled).await;
        let is_number = |sample: &Value| sample["value"][1].as_str().is_some_and(|value| value != "NaN");
        assert!(samples.iter().any(is_number), "nothing to show for {query}: {samples:?}");
        asked += 1;
    }
    assert!(asked > 50, "{asked} queries");
}

#[test]
fn every_rule_has_a_test_and_a_place_in_the_document() {
    if !prometheus::is_installed() {
        assert!(!is_ci(), "prometheus is not installed");
        skip!("needs prometheus");
    }
    let folder = paths::root().join("deploy/prometheus");
    for args in [&["check", "config", "prometheus.yml"][..], &["test", "rules", "rules_test.yml"]] {
        let done = Command::new("promtool").args(args).current_dir(&folder).output().expect("promtool");
        assert!(done.status.success(), "{args:?}: {done:?}");
    }
    let read = |path: &str| fs::read_to_string(paths::root().join(path)).expect("a file of the project");
    let (rules, tests, document) =
        (read("deploy/prometheus/rules.yml"), read("deploy/prometheus/rules_test.yml"), read("docs/operations.md"));
    let rules: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 15, "{}", rules.len());
    for rule in rules {
        let name = rule.lines().next().unwrap_or_default();
        for part in ["severity: ", "summary: ", "description: ", "for: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        let place = format!("runbook_url: docs/operations.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&place), "{name} has no {place}");
        assert!(document.contains(&format!("\n### {name}\n")), "{name} has no section");
        for test in ["fires", "does not fire"] {
            assert!(tests.contains(&format!("- name: {name} {test}\n")), "no test that {name} {test}");
        }
    }
}

#[tokio::test]
async fn commands_of_the_runbook_work_as_they_are_written() {
    let document = fs::read_to_string(paths::root().join("docs/operations.md")).expect("the document");
    let upstream = FakeUpstream::start(Capture::of(["1"]), Speed::Max).await;
    let till = TempDir::new().expect("a temporary folder");
    let server = Server::start(&config(&upstream, &till)).await;
    upstream.release();
    until_source(&server, "feed", "live", |source| source["events"] == 1).await;
    let blocks = document.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let commands: Vec<&str> =
        blocks.flat_map(|(block, _)| block.lines()).filter(|line| line.starts_with("curl ")).collect();
    assert!(commands.len() > 20, "{commands:?}");
    // Numbers of keys are of servers that take tokens.
    for command in commands.iter().filter(|command| !command.contains("entry_key")) {
        let here = command.replace("localhost:8080", &server.addr().to_string());
        let shell = tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &here]).output());
        let done = within(command, PATIENCE, shell).await.expect("a thread").expect("a shell");
        assert!(done.status.success() && !done.stdout.is_empty(), "{command}: {done:?}");
    }
}
