//! Delivering to a crowd: CPU, bytes and latency of one delivery.

use std::time::{Duration, Instant};

use super::Run;
use crate::{
    load::{Events, Load, Wanted},
    pace::Pace,
    sample::{Figure, Sample},
    server::{Contestant, Server},
    tally::Deliveries,
};

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// What a client that stalls has room for in the kernel.
const STALLED_BUFFER: usize = 16 * 1024;

/// How fast events are published.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rate {
    /// So many in a second.
    Steady(u32),
    /// As many as are answered.
    Saturated,
}

/// Who wants what.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    pub(super) topics: usize,
    pub(super) clients: usize,
    /// Of the topics, how many each client has. Client `i` has those from `i` on, in steps that spread them.
    pub(super) topics_each: usize,
    pub(super) rate: Rate,
    /// The size of a payload.
    pub(super) bytes: usize,
    /// Requests under way at the same time, at most.
    pub(super) publishers: usize,
    /// Of the clients, how many read nothing.
    pub(super) stalled: usize,
}

pub(super) fn run(contestant: &Contestant, crowd: &Crowd, run: &Run) -> anyhow::Result<Sample> {
    let server = Server::start(contestant, &run.cores, &[])?;
    let mut load = crowd.gather(&server, contestant)?;
    load.publish_all(crowd.events(), crowd.pace(WARM_UP))?;
    measure(&server, &mut load, crowd, run.lasting)
}

/// Measures a crowd that is there and warm.
pub(super) fn measure(server: &Server, load: &mut Load, crowd: &Crowd, lasting: Duration) -> anyhow::Result<Sample> {
    let lost = load.lost();
    let (before, begin) = (server.cpu()?, Instant::now());
    let deliveries = load.publish_all(crowd.events(), crowd.pace(lasting))?;
    let (cpu, lasted) = (server.cpu()?.since(before), begin.elapsed());

    let mut sample = Sample::default();
    sample.put(Figure::Cpu, deliveries.microseconds_each(cpu.total()));
    sample.put(Figure::UserCpu, deliveries.microseconds_each(cpu.user));
    sample.put(Figure::Busy, 100.0 * cpu.total().as_secs_f64() / lasted.as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    sample.put(Figure::Rate, deliveries.delivered as f64 / lasted.as_secs_f64());
    sample.put(Figure::Bytes, deliveries.bytes_each());
    latencies(&mut sample, &deliveries);
    let (memory, _) = server.memory()?;
    sample.put(Figure::Memory, f64::from(memory) / 1024.0);
    note_losses(&mut sample, &deliveries);
    // Those that stall may be closed: that is for each server to decide.
    if crowd.stalled == 0 {
        sample.notes.extend(load.lost_since(lost));
    }
    Ok(sample)
}

pub(super) fn latencies(sample: &mut Sample, deliveries: &Deliveries) {
    for (figure, share) in [(Figure::P50, 500), (Figure::P99, 990)] {
        sample.put(figure, deliveries.latency.per_mille(share).as_secs_f64() * 1000.0);
    }
}

pub(super) fn note_losses(sample: &mut Sample, deliveries: &Deliveries) {
    let missing = deliveries.expected - deliveries.delivered;
    for (count, what) in [(missing, "lost"), (deliveries.surplus, "surplus")] {
        if count > 0 {
            sample.notes.push(format!("{count} of {} deliveries {what}", deliveries.expected));
        }
    }
}

impl Crowd {
    /// Connects it.
    pub(super) fn gather(&self, server: &Server, contestant: &Contestant) -> anyhow::Result<Load> {
        let mut load = Load::new(server.address, contestant.dialect(), self.publishers)?;
        let clients = load.connect_all((0..self.clients).map(|client| self.client(client)))?;
        let stalled = clients.start..clients.start + self.stalled;
        load.stall(stalled, &[0]);
        Ok(load)
    }

    pub(super) fn events(&self) -> Events {
        Events { topics: (0..self.topics).map(topic).collect(), bytes: self.bytes }
    }

    pub(super) fn pace(&self, lasting: Duration) -> Pace {
        match self.rate {
            Rate::Steady(per_second) => Pace::steady(Instant::now(), per_second, lasting),
            Rate::Saturated => Pace::Saturated { end: Instant::now() + lasting },
        }
    }

    fn client(&self, client: usize) -> Wanted {
        // A step that has no divisor in common with the number of topics reaches each of them once.
        const STEP: usize = 7;
        let owed: Vec<_> = (0..self.topics_each).map(|i| (client + i * STEP) % self.topics).collect();
        let names: Vec<_> = owed.iter().copied().map(topic).collect();
        Wanted {
            path: format!("/ws?topics={}", names.join(",")),
            owed,
            receive_buffer: (client < self.stalled).then_some(STALLED_BUFFER),
        }
    }
}

fn topic(i: usize) -> String {
    format!("bench.{i}")
}
