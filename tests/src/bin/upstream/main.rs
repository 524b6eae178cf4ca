//! What it costs to make events of a feed's frames: decode, map, drop what came before, append to the log. Beside the same
//! work in Node: `JSON.parse`, a mapping written by hand, `JSON.stringify`, a ring of the latest events.
//!
//! A recording is held in memory and played again and again as fast as it is taken, by the real server with a `replay`
//! source and by `map.mjs`. What counts is the CPU time of the whole process, all of its threads and what the kernel does
//! for it (`/proc/PID/stat`, `process.cpuUsage`), while a known number of frames is worked off. Both make the same
//! number of events of a recording, which is checked first. Then, what an instance of a demand-driven source takes of the
//! memory. `cargo xtask bench upstream` builds the server and runs this.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a measurement that cannot be made ends here")]

use std::{
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use serde_json::Value;
use standpipe_tests::{PATIENCE, Server, Usage, eventually, feeds, instances, paths};

/// How long is measured in each run.
const LASTING: Duration = Duration::from_secs(5);

/// An odd number of each, so that there is one in the middle.
const ROUNDS: usize = 5;

/// Both keep so many of the latest events.
const LOG: &str = "[log]\nmax_events = 100000\n";

/// A recording, and the source that makes events of it.
struct Feed {
    name: &'static str,
    recording: &'static str,
    source: &'static str,
}

const FEEDS: [Feed; 4] = [
    Feed {
        name: "coinbase",
        recording: "cex_coinbase_2021",
        source: r#"
            dedupe = 10_000
            map = '''
              {match: "trades", last_match: "trades", ticker: "tickers", snapshot: "books", l2update: "books"} as $topics
              | select($topics[.type])
              | $topics[.type] as $topic
              | {
                  topic: "\($topic).\(.product_id | token)",
                  key: (if $topic == "books" then null else .product_id end),
                  id: (if $topic == "trades" then "\(.product_id):\(.trade_id)" else null end),
                  ts: (if .time then .time | fromdate * 1000 | floor else null end),
                  data: .
                }
            '''
        "#,
    },
    Feed {
        name: "kraken",
        recording: "cex_kraken_2021",
        source: r#"
            map = '''
              select(type == "array")
              | .[-1] as $pair | .[-2] as $channel
              | if $channel == "trade" then
                  .[1][] | {
                    topic: "trades.\($pair | token)",
                    key: $pair,
                    ts: (.[2] | tonumber * 1000 | floor),
                    data: {price: .[0], qty: .[1], side: (if .[3] == "b" then "buy" else "sell" end)}
                  }
                elif $channel == "ticker" then
                  {topic: "tickers.\($pair | token)", key: $pair, data: (.[1] | {bid: .b[0], ask: .a[0], last: .c[0]})}
                elif $channel | startswith("book") then
                  .[1:-2][] | {topic: "books.\($pair | token)", data: .}
                else empty end
            '''
        "#,
    },
    Feed {
        name: "okx",
        recording: "cex_okx_2022",
        source: r#"
            dedupe = 10_000
            map = '''
              select(.data)
              | .arg as {channel: $channel, instId: $instrument}
              | .data[]
              | {
                  topic: "\($channel).\($instrument | token)",
                  key: (if $channel == "books" then null else $instrument end),
                  id: (if .tradeId then "\($instrument):\(.tradeId)" else null end),
                  ts: (.ts | tonumber),
                  data: .
                }
            '''
        "#,
    },
    Feed {
        name: "wikipedia",
        recording: "wikipedia_edits_2015",
        source: r#"
            map = '''
              {
                topic: "edits.\(.channel | token)",
                key: .page,
                ts: (.time | fromdate * 1000 | floor),
                data: {user, page, comment, delta, added, deleted, robot: .isRobot}
              }
            '''
        "#,
    },
];

/// What one process has worked off.
#[derive(Debug, Clone, Copy)]
struct Work {
    frames: f64,
    cpu: Duration,
}

impl Work {
    /// Frames for one second of CPU time.
    fn speed(self) -> f64 {
        self.frames / self.cpu.as_secs_f64()
    }
}

impl Feed {
    fn config(&self, recording: &Path, repeat: bool) -> String {
        let file = recording.display();
        let replay = format!("kind = \"replay\"\nfile = \"{file}\"\nspeed = \"max\"\nrepeat = {repeat}");
        format!("{LOG}\n[[source]]\nname = \"{}\"\n{replay}\n{}", self.name, self.source)
    }

    /// The events that the server makes of the recording, played once.
    async fn events(&self, recording: &Path) -> u64 {
        let server = Server::start(&self.config(recording, false)).await;
        eventually("the end of the recording", 6 * PATIENCE, async || {
            let source = source(&server).await;
            let events = source["events"].as_u64().filter(|_| source["finished"] == true && source["unmapped"] == 0);
            events.ok_or_else(|| source.to_string())
        })
        .await
    }

    /// What the server works off.
    async fn in_standpipe(&self, recording: &Path) -> Work {
        let server = Server::start(&self.config(recording, true)).await;
        eventually("the recording is read", 6 * PATIENCE, async || {
            if frames(&server).await > 0.0 { Ok(()) } else { Err("nothing yet".to_owned()) }
        })
        .await;
        // The first second is not that of a server that has run for a while.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (before, begun) = (Usage::of(server.id()).cpu, frames(&server).await);
        tokio::time::sleep(LASTING).await;
        let (after, done) = (Usage::of(server.id()).cpu, frames(&server).await);
        Work { frames: done - begun, cpu: after.saturating_sub(before) }
    }
}

/// What Node works off, and how many events it makes of the recording.
fn in_node(feed: &str, recording: &Path, lasting: Duration) -> (Work, u64) {
    let mut node = Command::new("node");
    node.arg(paths::root().join("tests/src/bin/upstream/map.mjs")).arg(feed).arg(recording);
    let output = node.arg(lasting.as_secs().to_string()).output().expect("Node can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    let number = |name: &str| told[name].as_f64().expect("a number");
    let work = Work { frames: number("frames"), cpu: Duration::from_secs_f64(number("cpu")) };
    (work, told["events"].as_u64().expect("a count"))
}

async fn source(server: &Server) -> Value {
    server.get("/sources").await.json()["sources"][0].take()
}

async fn frames(server: &Server) -> f64 {
    source(server).await["frames"].as_f64().unwrap_or_default()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

fn say(line: &str) {
    // Nobody is left to be told that it cannot be written.
    let _ = writeln!(io::stdout(), "{line}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut table = vec!["| feed | Standpipe | Node | ratio |".to_owned(), "|---|---|---|---|".to_owned()];
    for feed in &FEEDS {
        let Some(recording) = feeds::find(feed.recording) else {
            say(&format!("needs ../shared/feeds/{}.jsonl.gz", feed.recording));
            return ExitCode::FAILURE;
        };
        let (events, (_, theirs)) = (feed.events(&recording).await, in_node(feed.name, &recording, Duration::ZERO));
        assert_eq!(events, theirs, "{}: both make the same events", feed.name);
        let (mut standpipe, mut node, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let ours = feed.in_standpipe(&recording).await;
            let (theirs, _) = in_node(feed.name, &recording, LASTING);
            let (ours, theirs) = (ours.speed(), theirs.speed());
            say(&format!("{} {round}/{ROUNDS}: standpipe {ours:.0}, node {theirs:.0} frames a CPU-second", feed.name));
            standpipe.push(ours);
            node.push(theirs);
            ratios.push(ours / theirs);
        }
        let row = [median(standpipe), median(node)].map(|speed| format!("{:.0},000", speed / 1000.0));
        table.push(format!("| {} | {} | {} | {:.2} × |", feed.name, row[0], row[1], median(ratios)));
    }
    say(&format!("\nFrames for one second of CPU time, medians of {ROUNDS} rounds:\n\n{}", table.join("\n")));
    let mut kib = Vec::new();
    for _ in 0..ROUNDS {
        let bytes = u32::try_from(instances::memory_of_one().await).unwrap_or(u32::MAX);
        kib.push(f64::from(bytes) / 1024.0);
    }
    say(&format!("\nMemory of an instance, median of {ROUNDS} rounds: {:.0} KiB", median(kib)));
    ExitCode::SUCCESS
}
