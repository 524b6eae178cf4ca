//! Holding connections open: memory and CPU of clients that are left alone.

use std::time::{Duration, Instant};

use super::{
    Run,
    delivery::{self, Crowd, Rate},
};
use crate::{
    pace::Pace,
    sample::{Figure, Sample},
    server::{Contestant, Server},
};

const CROWD: Crowd =
    Crowd { topics: 1, clients: 15_000, topics_each: 1, rate: Rate::Steady(1), bytes: 250, publishers: 1, stalled: 0 };

/// Each client gets some events first: what was used once, and is kept, counts.
const EVENTS: Duration = Duration::from_secs(3);

pub(super) fn run(contestant: &Contestant, run: &Run) -> anyhow::Result<Sample> {
    let server = Server::start(contestant, &run.cores, &[])?;
    let (empty, _) = server.memory()?;
    let mut load = CROWD.gather(&server, contestant)?;
    let deliveries = load.publish_all(CROWD.events(), Pace::steady(Instant::now(), 1, EVENTS))?;
    let before = server.cpu()?;
    // Longer than from one ping to the next, if 20 s are asked for.
    let lasting = run.lasting * 3 / 2;
    load.run(lasting, |_| false)?;
    let cpu = server.cpu()?.since(before);
    let (memory, _) = server.memory()?;

    let mut sample = Sample::default();
    let clients = f64::from(u32::try_from(CROWD.clients)?);
    sample.put(Figure::MemoryEach, f64::from(memory.saturating_sub(empty)) / clients);
    sample.put(Figure::Memory, f64::from(memory) / 1024.0);
    sample.put(Figure::Busy, 100.0 * cpu.total().as_secs_f64() / lasting.as_secs_f64());
    delivery::note_losses(&mut sample, &deliveries);
    sample.notes.extend(load.lost_since(0));
    Ok(sample)
}
