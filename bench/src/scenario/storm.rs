//! Everybody comes back at once: replaying to many with a filter each, beside clients that are served as before.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use serde::Deserialize;

use super::{Run, delivery::note_losses};
use crate::{
    dialect::{self, payload},
    load::{Events, Load, Wanted},
    pace::Pace,
    sample::{Figure, Sample},
    server::{Contestant, Cpu, Server},
};

/// Each of them resumes all events of one author.
const CLIENTS: usize = 5_000;
const AUTHORS: u32 = 200;
const EVENTS: u32 = 200_000;
const EVENTS_EACH: u32 = EVENTS / AUTHORS;
const WANTED: u64 = CLIENTS as u64 * EVENTS_EACH as u64;
/// Events of one request.
const BATCH: u32 = 500;
const BYTES: usize = 250;

/// Clients that are connected already, and what they get in the meantime.
const BYSTANDERS: usize = 100;
const LIVE: &str = "live";
const LIVE_PER_SECOND: u32 = 100;

/// Handshakes at the same time. With more, publishers would wait behind them for a place to speak HTTP.
const OPENING: usize = 400;
/// What is read of one socket before the others are looked at: five thousand clients do not wait for each other.
const READ: usize = 32 * 1024;

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

    let begin = Instant::now();
    let (returned, during) = thread::scope(|scope| {
        let crowd = Crowd { contestant, server: &server, first, after: format!("{epoch}:{head}") };
        let crowd = scope.spawn(move || crowd.come_back());
        load.publish(live, Pace::steady(begin, LIVE_PER_SECOND, 2 * PATIENCE));
        let served = load.run(2 * PATIENCE, |_| crowd.is_finished());
        load.stop_publishing();
        let during = served.and_then(|()| load.settle());
        (crowd.join(), during)
    });
    let Returned { replayed, cpu, lasted, wrong, lost } =
        returned.map_err(|_| anyhow!("the thread of the crowd panicked"))?.context("replay")?;
    let during = during?;

    let mut sample = Sample::default();
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    sample.put(Figure::Replayed, replayed as f64 / cpu.total().as_secs_f64());
    sample.put(Figure::Lasted, lasted.as_secs_f64());
    sample.put(Figure::P99, during.latency.per_mille(990).as_secs_f64() * 1000.0);
    sample.put(Figure::QuietP99, quiet.latency.per_mille(990).as_secs_f64() * 1000.0);
    sample.put(Figure::PeakMemory, f64::from(server.memory()?.1) / 1024.0);
    note_losses(&mut sample, &quiet);
    note_losses(&mut sample, &during);
    if replayed < WANTED {
        sample.notes.push(format!("given up after {replayed} of {WANTED} events"));
    } else if wrong > 0 {
        sample.notes.push(format!("{wrong} of {CLIENTS} clients did not get exactly what they missed"));
    }
    sample.notes.extend(lost.into_iter().chain(load.lost_since(0)));
    Ok(sample)
}

/// Those who come back, all at once. They are on a thread of their own: what bystanders get is not read behind what these do.
struct Crowd<'a> {
    contestant: &'a Contestant,
    server: &'a Server,
    /// The number of the first event that they missed.
    first: u32,
    /// Their last cursor.
    after: String,
}

/// What they got.
struct Returned {
    replayed: u64,
    /// The server's, for all that it did meanwhile.
    cpu: Cpu,
    lasted: Duration,
    /// How many did not get exactly what they missed.
    wrong: usize,
    /// What was said of connections that were lost.
    lost: Option<String>,
}

impl Crowd<'_> {
    fn come_back(self) -> anyhow::Result<Returned> {
        let Self { contestant, server, first, after } = self;
        // Of the two threads of the load, the one that measures goes first.
        rustix::process::nice(10).context("leave the core to the bystanders")?;
        let mut load = Load::new(server.address, contestant.dialect(), 0)?;
        load.reserve(first + EVENTS);
        load.max_opening = OPENING;
        load.max_read = READ;
        let (before, begin) = (server.cpu()?, Instant::now());
        let clients = load.connect((0..CLIENTS).map(|client| Wanted {
            path: format!("/ws?topics=posts&where.author=a{}&after={after}", author(client)),
            owed: Vec::new(),
            receive_buffer: None,
        }));
        load.run(PATIENCE, |load| load.earlier() >= WANTED)?;
        let (cpu, lasted, replayed) = (server.cpu()?.since(before), begin.elapsed(), load.earlier());
        let wrong = load.got(clients).enumerate().filter(|(client, got)| *got != whole_replay(first, *client)).count();
        Ok(Returned { replayed, cpu, lasted, wrong, lost: load.lost_since(0) })
    }
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
