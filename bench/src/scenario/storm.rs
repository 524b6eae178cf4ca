//! Everybody comes back at once: replaying to many with a filter each, beside clients that are served as before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::{Run, delivery::note_losses};
use crate::{
    dialect::{self, payload},
    load::{Events, Load, Wanted},
    pace::Pace,
    sample::{Figure, Sample},
    server::{Contestant, Server},
};

/// Each of them resumes all events of one author.
const CLIENTS: usize = 5_000;
const AUTHORS: u32 = 200;
const EVENTS: u32 = 200_000;
const EVENTS_EACH: u32 = EVENTS / AUTHORS;
/// Events of one request.
const BATCH: u32 = 500;
const BYTES: usize = 250;

/// Clients that are connected already, and what they get in the meantime.
const BYSTANDERS: usize = 100;
const LIVE: &str = "live";
const LIVE_PER_SECOND: u32 = 100;

/// Handshakes at the same time. With more, publishers would wait behind them for a place to speak HTTP.
const OPENING: usize = 400;

/// When a storm counts as one that does not end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is wanted of Standpipe's first message.
#[derive(Deserialize)]
struct Welcome {
    epoch: String,
    head: u64,
}

pub(super) fn run(contestant: &Contestant, run: &Run) -> anyhow::Result<Sample> {
    let server = Server::start(contestant, &run.cores, &[])?;
    let mut load = Load::new(server.address, contestant.dialect(), 8)?;
    let bystander = Wanted { path: format!("/ws?topics={LIVE}"), owed: vec![0], receive_buffer: None };
    load.connect_all(vec![bystander; BYSTANDERS])?;
    let Welcome { epoch, head } = serde_json::from_str(load.welcome()).context("read a welcome")?;
    let first = fill(&mut load).context("fill the log")?;

    let live = Events { topics: vec![LIVE.to_owned()], bytes: BYTES };
    let quiet = load.publish_all(live.clone(), Pace::steady(Instant::now(), LIVE_PER_SECOND, run.lasting / 2))?;

    let (before, begin) = (server.cpu()?, Instant::now());
    load.publish(live, Pace::steady(begin, LIVE_PER_SECOND, PATIENCE));
    load.max_opening = OPENING;
    let returned = load.connect((0..CLIENTS).map(|client| Wanted {
        path: format!("/ws?topics=posts&where.author=a{}&after={epoch}:{head}", author(client)),
        owed: Vec::new(),
        receive_buffer: None,
    }));
    let wanted = CLIENTS as u64 * u64::from(EVENTS_EACH);
    load.run(PATIENCE, |load| load.earlier() >= wanted).context("replay")?;
    let (cpu, lasted, replayed) = (server.cpu()?.since(before), begin.elapsed(), load.earlier());
    load.stop_publishing();
    let during = load.settle()?;

    let mut sample = Sample::default();
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    sample.put(Figure::Replayed, replayed as f64 / cpu.total().as_secs_f64());
    sample.put(Figure::Lasted, lasted.as_secs_f64());
    sample.put(Figure::P99, during.latency.per_mille(990).as_secs_f64() * 1000.0);
    sample.put(Figure::QuietP99, quiet.latency.per_mille(990).as_secs_f64() * 1000.0);
    sample.put(Figure::PeakMemory, f64::from(server.memory()?.1) / 1024.0);
    note_losses(&mut sample, &quiet);
    note_losses(&mut sample, &during);
    let got = load.got(returned).enumerate();
    let wrong = got.filter(|(client, got)| *got != whole_replay(first, *client)).count();
    if replayed < wanted {
        sample.notes.push(format!("given up after {replayed} of {wanted} events"));
    } else if wrong > 0 {
        sample.notes.push(format!("{wrong} of {CLIENTS} clients did not get exactly what they missed"));
    }
    if load.lost() > 0 {
        sample.notes.push(format!("{} connections lost ({})", load.lost(), load.complaint()));
    }
    Ok(sample)
}

/// Publishes what is resumed later; tells the number of the first event.
fn fill(load: &mut Load) -> anyhow::Result<u32> {
    let first = load.reserve(EVENTS);
    for batch in 0..EVENTS / BATCH {
        let mut body = vec![b'['];
        for i in batch * BATCH..(batch + 1) * BATCH {
            body.extend_from_slice(if body.len() > 1 { b"," } else { b"" });
            body.extend_from_slice(b"{\"topic\":\"posts\",\"data\":");
            payload(&mut body, &format!("\"author\":\"a{}\",", i % AUTHORS), BYTES, first + i);
            body.push(b'}');
        }
        body.push(b']');
        load.post(|out| dialect::post(out, "/publish", &body))?;
    }
    ensure!(load.lost() == 0, "a bystander was lost: {}", load.complaint());
    Ok(first)
}

/// Whom a client follows.
fn author(client: usize) -> u32 {
    u32::try_from(client).unwrap_or_default() % AUTHORS
}

/// How many events that is, and the sum of their numbers.
fn whole_replay(first: u32, client: usize) -> (u64, u64) {
    let numbers = (0..EVENTS_EACH).map(|i| u64::from(first + i * AUTHORS + author(client)));
    (u64::from(EVENTS_EACH), numbers.sum())
}
