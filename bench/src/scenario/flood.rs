//! What a flood costs those who behave: their latency beside it, and before.

use std::time::Instant;

use anyhow::Context as _;

use super::{Run, delivery::note_losses};
use crate::{
    flood::Flood,
    load::{Events, Load, Wanted},
    pace::Pace,
    sample::{Figure, Sample},
    server::{Contestant, Server},
};

/// Those who behave, and what they get.
const CLIENTS: usize = 20;
const PER_SECOND: u32 = 200;
const BYTES: usize = 250;
const TOPIC: &str = "live";

/// As many attempts of an address, and sockets, as those who behave need, who have one; the rest is as it comes.
const LIMITS: [(&str, &str); 2] =
    [("STANDPIPE__LIMITS__CONNECT_RATE_PER_IP", "30/m"), ("STANDPIPE__LIMITS__MAX_CONNECTIONS_PER_IP", "20")];

pub(super) fn run(contestant: &Contestant, run: &Run) -> anyhow::Result<Sample> {
    let server = Server::start(contestant, &run.cores, &LIMITS)?;
    let mut load = Load::new(server.address, contestant.dialect(), 8)?;
    let client = Wanted { path: format!("/ws?topics={TOPIC}"), owed: vec![0], receive_buffer: None };
    load.connect_all(vec![client; CLIENTS])?;
    let live = Events { topics: vec![TOPIC.to_owned()], bytes: BYTES };
    let pace = || Pace::steady(Instant::now(), PER_SECOND, run.lasting);
    let quiet = load.publish_all(live.clone(), pace())?;

    let flood = Flood::start(server.address);
    let during = load.publish_all(live, pace());
    let flooded = flood.stop().context("flood the server")?;
    let during = during?;

    let mut sample = Sample::default();
    let milliseconds = |of: &crate::tally::Deliveries| of.latency.per_mille(990).as_secs_f64() * 1000.0;
    let (quiet_p99, p99) = (milliseconds(&quiet), milliseconds(&during));
    sample.put(Figure::P99, p99);
    sample.put(Figure::QuietP99, quiet_p99);
    sample.put(Figure::Slower, p99 / quiet_p99);
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    sample.put(Figure::Attempts, flooded.begun as f64 / flooded.lasted.as_secs_f64());
    sample.put(Figure::PeakMemory, f64::from(server.memory()?.1) / 1024.0);
    note_losses(&mut sample, &quiet);
    note_losses(&mut sample, &during);
    sample.notes.extend(load.lost_since(0));
    if flooded.answered * 2 < flooded.begun {
        sample.notes.push(format!("of {} attempts only {} were answered", flooded.begun, flooded.answered));
    }
    Ok(sample)
}
