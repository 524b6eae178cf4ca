//! What is measured: the one table of scenarios, with the servers that take part in each.

mod delivery;
mod flood;
mod idle;
mod small;
mod storm;

use std::time::Duration;

use crate::{
    cores::Cores,
    sample::{Figure, Sample},
    server::{BILLED, BUN, Contestant, FLOOR, FLUSH_0, MAPPED, NAIVE, NODE, STANDPIPE, TWO_WORKERS},
};

use self::delivery::{Crowd, Rate};

/// One scenario.
pub struct Scenario {
    /// As it is called.
    pub name: &'static str,
    /// In one line, for the reader of its table.
    pub about: &'static str,
    /// Who takes part.
    pub contestants: &'static [Contestant],
    /// What is compared with Bun; and what was aimed at.
    pub compared: Figure,
    /// What was aimed at, in words.
    pub aim: &'static str,
    /// One run.
    pub run: fn(&Contestant, &Run) -> anyhow::Result<Sample>,
}

/// How one run is made.
#[derive(Debug, Clone)]
pub struct Run {
    /// Who runs where.
    pub cores: Cores,
    /// How long is measured.
    pub lasting: Duration,
}

const BROADCAST: Crowd =
    Crowd { topics: 1, clients: 10_000, topics_each: 1, rate: Rate::Steady(5), bytes: 250, publishers: 8, stalled: 0 };
const TOPICS: Crowd = Crowd { topics: 1_000, rate: Rate::Steady(4_000), ..BROADCAST };
const BURST: Crowd = Crowd { clients: 1_000, rate: Rate::Saturated, ..BROADCAST };
const DENSE: Crowd = Crowd { topics: 100, clients: 200, topics_each: 50, rate: Rate::Steady(1_000), ..BROADCAST };
const STALLED: Crowd = Crowd { clients: 1_000, rate: Rate::Steady(20), bytes: 4096, stalled: 100, ..BROADCAST };

/// All scenarios, in the order in which they are told.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "broadcast",
        about: "1 topic, 10,000 clients, 5 events/s",
        contestants: &[FLOOR, BUN, NODE, NAIVE, STANDPIPE, BILLED],
        compared: Figure::Cpu,
        aim: "≤ 1.0 × Bun; billed ≤ 1.10 ×",
        run: |contestant, run| delivery::run(contestant, &BROADCAST, run),
    },
    Scenario {
        name: "topics",
        about: "1,000 topics, 10 clients each, 4,000 events/s",
        contestants: &[FLOOR, BUN, NODE, NAIVE, STANDPIPE, MAPPED, BILLED],
        compared: Figure::Cpu,
        aim: "≤ 1.10 × Bun",
        run: |contestant, run| delivery::run(contestant, &TOPICS, run),
    },
    Scenario {
        name: "burst",
        about: "1 topic, 1,000 clients, 8 publishers that each publish again as soon as they are answered",
        contestants: &[FLOOR, BUN, NODE, NAIVE, STANDPIPE, BILLED],
        compared: Figure::Cpu,
        aim: "≤ 1.3 × Bun",
        run: |contestant, run| delivery::run(contestant, &BURST, run),
    },
    Scenario {
        name: "dense",
        about: "100 topics, 200 clients with 50 of them each, 1,000 events/s",
        contestants: &[BUN, NODE, NAIVE, STANDPIPE, FLUSH_0, BILLED],
        compared: Figure::Cpu,
        aim: "≤ 0.6 × Bun, p99 ≤ 15 ms",
        run: |contestant, run| delivery::run(contestant, &DENSE, run),
    },
    Scenario {
        name: "stalled",
        about: "1 topic, 1,000 clients of which 100 read nothing, 20 events/s of 4 KB; figures are of the other 900",
        contestants: &[BUN, NODE, NAIVE, STANDPIPE, BILLED],
        compared: Figure::P99,
        aim: "p99 ≤ 1.2 × Bun",
        run: |contestant, run| delivery::run(contestant, &STALLED, run),
    },
    Scenario {
        name: "idle",
        about: "15,000 clients that were sent 3 events and are then left alone, but for pings",
        contestants: &[FLOOR, BUN, NODE, NAIVE, STANDPIPE],
        compared: Figure::MemoryEach,
        aim: "≤ 4 KiB a connection",
        run: idle::run,
    },
    Scenario {
        name: "storm",
        about: "5,000 clients, each with a filter, resume 1,000 of 200,000 events at once, beside 100 clients with 100 \
                live events/s",
        contestants: &[STANDPIPE],
        compared: Figure::Replayed,
        aim: "≥ 500,000 replayed/CPU-second, p99 ≤ 3 × quiet, nothing lost",
        run: storm::run,
    },
    Scenario {
        name: "flood",
        about: "20 clients with 200 live events/s, beside 2,000 attempts/s from 200 addresses that connect, command, never \
                end their handshake, or send 64 KiB of headers",
        contestants: &[STANDPIPE],
        compared: Figure::Slower,
        aim: "p99 ≤ 2 × quiet, nothing lost",
        run: flood::run,
    },
    Scenario {
        name: "workers",
        about: "as `topics`, with one and with two threads on both cores, beside the load",
        contestants: &[STANDPIPE, TWO_WORKERS],
        compared: Figure::Cpu,
        aim: "2 workers ≤ 1.15 × 1 worker",
        run: |contestant, run| {
            let run = Run { cores: run.cores.shared(), ..run.clone() };
            delivery::run(contestant, &TOPICS, &run)
        },
    },
    Scenario {
        name: "small",
        about: "a quarter of a core, and told that there are 256 MB: 1 topic, 2,000 clients; latencies at 5 events/s, then \
                deliveries with one publisher that publishes again as soon as it is answered",
        contestants: &[BUN, NODE, STANDPIPE],
        compared: Figure::Rate,
        aim: "what one gets",
        run: small::run,
    },
];
