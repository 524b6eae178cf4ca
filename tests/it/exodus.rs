//! Two thousand clients are sent from one process to the next, in the midst of events: each that lives is told, and goes on
//! where it was, or is told that nobody knows.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, time::Duration};

use standpipe_tests::{
    PATIENCE, Proxy, Server, eventually,
    load::{Load, Seen},
    process::Signal,
    proxy::Link,
};
use tempfile::TempDir;

const CLIENTS: usize = 2_000;
/// Of these, so many have vanished without a word when the drain begins.
const DEAD: usize = CLIENTS / 20;
const TOPICS: usize = 20;
/// Frames of the recording, and how many come in a second: it goes on for longer than the drain.
const FRAMES: usize = 2_400;
const PER_SECOND: usize = 20;

/// The drain as it comes, and some time to look.
const DEADLINE: Duration = Duration::from_secs(14 + 2);

/// A recording of numbered frames.
fn record(folder: &Path) {
    let mut lines = String::new();
    for i in 0..FRAMES {
        let (millis, topic) = (i * 1000 / PER_SECOND, i % TOPICS);
        let at = format!("{}.{:03}", 1_700_000_000 + millis / 1000, millis % 1000);
        writeln!(lines, r#"{{"t":"recv","ts":{at},"data":"{{\"n\":{i},\"topic\":\"t.{topic}\"}}"}}"#).expect("memory");
    }
    fs::write(folder.join("frames.jsonl"), lines).expect("a temporary file can be written");
}

/// A process that plays it, and charges for what is received.
fn config(folder: &Path, number: usize, speed: &str) -> String {
    let folder = folder.display();
    format!(
        r#"
[billing]
sink = "file"
file = "{folder}/charges-{number}.jsonl"
journal = "{folder}/journal-{number}.jsonl"

[[source]]
name = "tape"
kind = "replay"
file = "{folder}/frames.jsonl"
speed = "{speed}"
map = '{{topic, id: "n:\(.n)", data: {{n}}}}'
"#
    )
}

/// The numbers of the frames that a client got, in the order of arrival.
fn numbers(seen: &Seen) -> Vec<usize> {
    let number = |data: &str| data.trim_start_matches(r#"{"n":"#).trim_end_matches('}').parse().expect("a number");
    seen.events.iter().map(|event| number(&event.data)).collect()
}

/// The cursor that a client resumes by: its last event with its id, or what it was told at the end.
fn cursor(client: usize, seen: &Seen) -> String {
    let goodbye = seen.goodbye.as_ref().unwrap_or_else(|| panic!("client {client} has no goodbye"));
    let told = goodbye["cursor"].as_str().unwrap_or_else(|| panic!("client {client}: {goodbye}"));
    let epoch = told.split(':').next().expect("an epoch");
    match seen.events.last().zip(numbers(seen).last()) {
        Some((event, number)) if knows_ids(client) => format!("{epoch}:{}:n%3A{number}", event.seq),
        _ => told.to_owned(),
    }
}

/// Half of the clients resume by the id of their last event, which every process that plays this recording knows.
fn knows_ids(client: usize) -> bool {
    (client / TOPICS).is_multiple_of(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_thousand_clients_each_that_lives_is_told_goodbye_and_goes_on_with_another_process() {
    let folder = TempDir::new().expect("a temporary folder");
    record(folder.path());
    let mut first = Server::start(&config(folder.path(), 1, "recorded")).await;
    let proxy = Proxy::start(first.addr()).await;
    let live = CLIENTS - DEAD;
    let place = |i| if i < live { first.addr() } else { proxy.addr() };
    let path = |i: usize| format!("/ws?topics=t.{}", i % TOPICS);
    let load = Load::connect((0..CLIENTS).map(|i| (place(i), path(i)))).await;
    load.until("events for everyone", |_, seen| !seen.events.is_empty()).await;
    first.audited().await;
    proxy.set_all(Link::Freeze);

    first.signal(Signal::TERM);
    let status = first.exit_within(DEADLINE).await;
    assert!(status.success(), "{:?}", first.log());
    load.until("the end", |i, seen| i >= live || seen.closed.is_some()).await;
    let seen = load.seen();
    for (i, seen) in seen.iter().enumerate().take(live) {
        let goodbye = seen.goodbye.as_ref().unwrap_or_else(|| panic!("client {i} has no goodbye"));
        assert_eq!((seen.closed, &goodbye["code"]), (Some(4200), &4200.into()), "client {i}: {goodbye}");
        assert_eq!(goodbye["delivered"], seen.events.len(), "client {i}: {goodbye}");
        assert!(seen.complaints.is_empty(), "client {i}: {:?}", seen.complaints);
    }
    let ends: BTreeSet<_> = seen.iter().take(live).map(|seen| numbers(seen).len()).collect();
    assert!(ends.len() > 1, "they were sent away over a time in which events went on");

    let second = Server::start(&config(folder.path(), 2, "max")).await;
    eventually("all of the recording", PATIENCE, async || match second.get("/status").await.json()["log"]["head"] {
        ref head if *head == FRAMES => Ok(()),
        ref head => Err(head.to_string()),
    })
    .await;
    let resumed = (0..live).map(|i| (second.addr(), format!("{}&after={}", path(i), cursor(i, &seen[i]))));
    let resumed = Load::connect(resumed).await;
    let each = |i: usize| (0..FRAMES).filter(move |n| n % TOPICS == i % TOPICS);
    resumed
        .until("what comes next", |i, after| {
            let is_whole = numbers(after).last().copied() == each(i).next_back();
            if knows_ids(i) { is_whole } else { !after.complaints.is_empty() }
        })
        .await;
    for (i, (before, after)) in seen.iter().zip(resumed.seen()).enumerate() {
        if knows_ids(i) {
            let all: Vec<_> = numbers(before).into_iter().chain(numbers(&after)).collect();
            let first = all.first().copied().unwrap_or_default();
            let expected: Vec<_> = each(i).filter(|n| *n >= first).collect();
            assert_eq!((all, after.complaints), (expected, Vec::new()), "client {i}: no hole and no repeat");
        } else {
            assert_eq!(after.complaints[0]["reason"], "epoch_changed", "client {i}: {:?}", after.complaints);
        }
    }
    second.audited().await;
}
