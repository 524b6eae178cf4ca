//! Two connections to one feed are one stream to clients, as long as either lives.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use standpipe_tests::{
    Dice, FakeUpstream, PATIENCE, Server, Socket, dice, eventually,
    fake_upstream::{Cut, Speed},
    feed,
    feeds::{self, Capture},
};

use crate::{until_followed, until_source};

const SOURCES: [&str; 2] = ["primary", "backup"];

fn config(upstreams: &[FakeUpstream; 2], more: &str) -> String {
    let source = |name: &str, upstream: &FakeUpstream| {
        let url = upstream.url();
        format!("[[source]]\nname = \"{name}\"\ngroup = \"feed\"\nkind = \"websocket\"\nurl = \"{url}\"\n{more}\n")
    };
    let [primary, backup] = upstreams;
    source("primary", primary) + &source("backup", backup)
}

async fn both(capture: &Capture) -> [FakeUpstream; 2] {
    [FakeUpstream::start(capture.clone(), Speed::OnCue).await, FakeUpstream::start(capture.clone(), Speed::OnCue).await]
}

fn air(upstreams: &[FakeUpstream; 2], count: usize) {
    for upstream in upstreams {
        upstream.air(count);
    }
}

/// A client that keeps what it is told.
struct Reader {
    client: Socket,
    ids: Vec<String>,
    states: Vec<String>,
}

impl Reader {
    /// Reads until so many events have come.
    async fn until_events(&mut self, count: usize) {
        while self.ids.len() < count {
            self.read().await;
        }
    }

    /// Reads until the group was told to be in this state since this was last asked.
    async fn until_state(&mut self, state: &str) {
        while !self.states.iter().any(|told| told == state) {
            self.read().await;
        }
        self.states.clear();
    }

    async fn read(&mut self) {
        let message = self.client.message().await;
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        match message["op"].as_str() {
            Some("event") => self.ids.push(text("id")),
            Some("source") => self.states.push(text("state")),
            _ => return,
        }
        assert_eq!(message["source"], "feed", "one name for both: {message}");
    }
}

#[tokio::test]
async fn of_two_connections_that_are_killed_at_random_never_both_every_id_comes_exactly_once() {
    const KILLS: usize = 20;
    let recording = feed!("crypto_tweets_2025");
    let frames = feeds::values(&recording);
    let ids: Vec<_> = frames.iter().map(|post| post["id"].as_str().expect("an id").to_owned()).collect();
    let upstreams = both(&Capture::of(frames.iter().map(Value::to_string))).await;
    let server = Server::start(&config(&upstreams, "map = '{topic: \"posts\", id, data: .user}'")).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=posts").await;
    client.until("subscribed").await;
    let mut reader = Reader { client, ids: Vec::new(), states: Vec::new() };
    let mut dice = Dice::new(dice::seed(), 0);
    // Some are left for the time when both are back.
    let round = (ids.len() - 1) / KILLS;
    let mut aired = 0;
    for _ in 0..KILLS {
        for upstream in &upstreams {
            until_followed(upstream).await;
        }
        // Data over each, so that the next loss of it is not one more failure in a row.
        air(&upstreams, 1);
        for name in SOURCES {
            until_source(&server, name, "data over it", |source| source["state"] == "live").await;
        }
        // All so far has come: what the one that lives on has in flight is not lost with the other.
        reader.until_events(aired + 1).await;
        let killed = &upstreams[usize::from(dice.once_in(2))];
        let before = usize::try_from(dice.throw(round as u64 / 2)).expect("a small number");
        air(&upstreams, before);
        killed.shut();
        killed.cut(dice.choose(&[Cut::Reset, Cut::Close]));
        eventually("the kill", PATIENCE, async || if killed.followed() == 0 { Ok(()) } else { Err("it is alive") })
            .await;
        let meanwhile = usize::try_from(dice.throw(round as u64 / 2)).expect("a small number");
        air(&upstreams, meanwhile);
        killed.reopen();
        air(&upstreams, round - 1 - before - meanwhile);
        aired += round;
    }
    for upstream in &upstreams {
        until_followed(upstream).await;
    }
    air(&upstreams, ids.len() - aired);
    reader.until_events(ids.len()).await;
    // Nothing comes behind them that had come before.
    for name in SOURCES {
        until_source(&server, name, "it is back", |source| source["state"] == "live").await;
    }
    let counts = async |field: &str| {
        let sources = server.get("/sources").await.json()["sources"].as_array().expect("sources").clone();
        sources.iter().map(|source| source[field].as_u64().expect("a count")).sum::<u64>()
    };
    eventually("all frames are judged", PATIENCE, async || {
        let (frames, judged) = (counts("frames").await, counts("events").await + counts("duplicates").await);
        if frames == judged { Ok(()) } else { Err(format!("{judged} of {frames}")) }
    })
    .await;
    assert_eq!(counts("events").await, ids.len() as u64);
    assert_eq!(counts("reconnects").await, KILLS as u64);
    let came: BTreeSet<_> = reader.ids.iter().collect();
    assert_eq!((reader.ids.len(), came), (ids.len(), ids.iter().collect()));
    assert!(!reader.states.iter().any(|state| state == "down"), "it was never down: {:?}", reader.states);
    server.audited().await;
}

#[tokio::test]
async fn a_group_is_down_when_both_are_and_its_sources_are_shown_apart() {
    let frames = (0..10).map(|n| format!(r#"{{"n":{n}}}"#));
    let upstreams = both(&Capture::of(frames)).await;
    let more = "map = '{topic: \"n\", id: .n, n, data: $source}'";
    let server = Server::start(&config(&upstreams, more)).await;
    let mut client = Socket::open(server.addr(), "/ws?topics=n").await;
    client.until("subscribed").await;
    let mut reader = Reader { client, ids: Vec::new(), states: Vec::new() };
    for upstream in &upstreams {
        until_followed(upstream).await;
    }
    air(&upstreams, 1);
    reader.until_state("live").await;
    let [primary, backup] = &upstreams;
    primary.shut();
    primary.cut(Cut::Reset);
    until_source(&server, "primary", "the loss", |source| source["state"] != "live").await;
    air(&upstreams, 1);
    reader.until_events(2).await;
    assert_eq!(reader.states, [""; 0], "the backup lives");
    backup.shut();
    backup.cut(Cut::Reset);
    reader.until_state("down").await;
    // What is sent now comes over neither.
    air(&upstreams, 2);
    upstreams.iter().for_each(FakeUpstream::reopen);
    for upstream in &upstreams {
        until_followed(upstream).await;
    }
    air(&upstreams, 1);
    reader.until_state("gap").await;
    reader.until_events(3).await;
    assert_eq!(reader.ids, ["0", "1", "4"]);
    for name in SOURCES {
        let source = until_source(&server, name, "it is back", |source| source["state"] == "live").await;
        assert_eq!(source["group"], "feed", "{source}");
    }
    let missed = server.metrics().await.sum("standpipe_upstream_missed_total");
    assert_eq!(missed, Some(2.0), "what one of them brought was not missed");
    assert_eq!(server.get("/ready").await.json()["sources"], json!({"primary": "live", "backup": "live"}));
}
