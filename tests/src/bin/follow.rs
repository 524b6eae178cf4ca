//! What it costs the server that a client follows authors by a filter, beside following each by a topic of its own.
//!
//! Ten thousand clients follow five authors each, chosen at random, of a recorded stream of posts, which is replayed at
//! 2,000 events a second. The same clients get the same posts in two ways, by turns: by one subscription with `in`, and
//! by five plain topics. What counts is the server's own CPU time, from the first event to the last delivery
//! (`/proc/PID/stat`). `cargo xtask bench follow` builds the server and runs this.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made ends here")]

use std::{
    collections::HashMap,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use serde_json::Value;
use standpipe_tests::{
    Dice, FakeUpstream, Server, Usage,
    fake_upstream::Speed,
    feeds::{self, Capture, Frame, Recorded},
    load::Load,
};

const CLIENTS: usize = 10_000;
const AUTHORS: usize = 5;
const EVENTS_PER_SECOND: u64 = 2_000;
const SEED: u64 = 20_250_915;

/// An odd number of each, so that there is one in the middle.
const ROUNDS: usize = 5;

/// Clients that fall behind in their own process are not what is measured.
const CONFIG: &str = r#"
[client]
max_queue_age = "60s"
overflow = "catch_up"

[[source]]
name = "posts"
kind = "websocket"
url = "URL"
map = '{topic: "post.\(.user | token)", key: .user, id: .id, data: .}'
"#;

/// How the clients say whom they follow.
#[derive(Debug, Clone, Copy)]
enum Way {
    Filter,
    Topics,
}

impl Way {
    fn path(self, authors: &[&str]) -> String {
        match self {
            Self::Filter => format!("/ws?topics=post.*&where.user={}", authors.join(",")),
            Self::Topics => {
                let topics: Vec<_> = authors.iter().map(|author| format!("post.{author}")).collect();
                format!("/ws?topics={}", topics.join(","))
            }
        }
    }
}

/// The recording, and who follows whom.
struct Scene {
    capture: Capture,
    followers: Vec<Vec<String>>,
    /// How many posts each follower gets.
    expected: Vec<usize>,
}

impl Scene {
    fn read() -> Option<Self> {
        let posts: Vec<_> = feeds::lines(&feeds::find("crypto_tweets_2025")?).collect();
        let mut counts = HashMap::<String, usize>::new();
        for post in &posts {
            let post: Value = serde_json::from_str(post).expect("a post");
            *counts.entry(post.get("user").and_then(Value::as_str).expect("an author").to_owned()).or_default() += 1;
        }
        let mut authors: Vec<_> = counts.keys().cloned().collect();
        authors.sort_unstable();
        let mut dice = Dice::new(SEED, 0);
        let followers: Vec<_> = (0..CLIENTS).map(|_| choose(&mut dice, &authors, AUTHORS)).collect();
        let expected = followers.iter().map(|authors| authors.iter().filter_map(|a| counts.get(a)).sum()).collect();
        let frames = posts.into_iter().zip(0..);
        let frames =
            frames.map(|(text, i)| Frame { at: Duration::from_micros(i * 1_000_000 / EVENTS_PER_SECOND), text });
        let connections = vec![Recorded { frames: frames.collect(), ..Recorded::default() }];
        Some(Self { capture: Capture { connections, pages: Vec::new() }, followers, expected })
    }

    /// The CPU time of a server that serves all of it one way.
    async fn play(&self, way: Way) -> Duration {
        let upstream = FakeUpstream::start(self.capture.clone(), Speed::Recorded).await;
        let server = Server::start(&CONFIG.replace("URL", &upstream.url())).await;
        let path = |authors: &Vec<String>| way.path(&authors.iter().map(String::as_str).collect::<Vec<_>>());
        let load = Load::connect(self.followers.iter().map(|authors| (server.addr(), path(authors)))).await;
        let before = Usage::of(server.id()).cpu;
        upstream.release();
        let wanted = |i: usize| self.expected.get(i).copied().unwrap_or_default();
        load.until("every post of its authors", |i, seen| seen.events.len() >= wanted(i)).await;
        let spent = Usage::of(server.id()).cpu.saturating_sub(before);
        assert!(load.seen().iter().enumerate().all(|(i, seen)| seen.events.len() == wanted(i)), "and no other");
        spent
    }
}

/// So many different ones.
fn choose(dice: &mut Dice, of: &[String], count: usize) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::with_capacity(count);
    while chosen.len() < count {
        let at = usize::try_from(dice.throw(of.len() as u64)).unwrap_or_default();
        chosen.extend(of.get(at).filter(|one| !chosen.contains(one)).cloned());
    }
    chosen
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn say(line: &str) {
    // Nobody is left to be told that it cannot be written.
    let _ = writeln!(io::stdout(), "{line}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(scene) = Scene::read() else {
        say("needs ../shared/feeds/crypto_tweets_2025.jsonl.gz");
        return ExitCode::FAILURE;
    };
    let events = u32::try_from(scene.capture.connections.iter().map(|c| c.frames.len()).sum::<usize>()).unwrap_or(1);
    let deliveries: usize = scene.expected.iter().sum();
    say(&format!("{CLIENTS} clients, {events} events at {EVENTS_PER_SECOND}/s, {deliveries} deliveries"));
    let (mut filter, mut topics) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let (by_filter, by_topics) = (scene.play(Way::Filter).await, scene.play(Way::Topics).await);
        filter.push(by_filter);
        topics.push(by_topics);
        say(&format!("round {round}: by filter {by_filter:?}, by topics {by_topics:?}"));
    }
    let (filter, topics) = (median(filter), median(topics));
    say(&format!(
        "server CPU per event: by filter {:?}, by topics {:?}: {:.2} x (wanted: at most 1.3)",
        filter / events,
        topics / events,
        filter.as_secs_f64() / topics.as_secs_f64()
    ));
    ExitCode::SUCCESS
}
