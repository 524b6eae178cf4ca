//! What the server used, moment by moment, and whether that is more than it was.

use std::fmt::Write;

use standpipe_tests::{Server, Usage};

/// The figures of one moment, in the order of [`FIGURES`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample([u64; FIGURES.len()]);

/// All samples of a run.
pub(crate) struct Watch {
    before: Sample,
    during: Vec<Sample>,
}

/// One thing that must not grow.
struct Figure {
    name: &'static str,
    /// A metric; without one it is asked of the kernel.
    metric: Option<&'static str>,
    /// What the last third may be above the first: so much in a hundred, and so much anyway.
    percent: u64,
    allowance: u64,
    end: End,
}

/// What is left when everybody has gone.
#[derive(PartialEq)]
enum End {
    /// Nothing.
    Empty,
    /// What was there before, and so much for what is kept.
    AsBefore(u64),
    /// Not more than while it was busy.
    AsBusy,
}

const MIB: u64 = 1024 * 1024;

/// How many there are of things that chance adds and takes away varies, how many there can be does not.
const FIGURES: [Figure; 14] = [
    Figure { name: "resident bytes", metric: None, percent: 10, allowance: 4 * MIB, end: End::AsBusy },
    Figure { name: "descriptors", metric: None, percent: 20, allowance: 40, end: End::AsBefore(8) },
    Figure { name: "tasks", metric: Some("process_tasks"), percent: 20, allowance: 40, end: End::AsBefore(8) },
    Figure { name: "connections", metric: Some("connections_active"), percent: 20, allowance: 40, end: End::Empty },
    Figure { name: "… in shards", metric: Some("fanout_connections"), percent: 20, allowance: 40, end: End::Empty },
    Figure {
        name: "subscriptions",
        metric: Some("selection_subscriptions"),
        percent: 20,
        allowance: 100,
        end: End::Empty,
    },
    Figure { name: "index entries", metric: Some("selection_entries"), percent: 20, allowance: 100, end: End::Empty },
    Figure {
        name: "queue bytes",
        metric: Some("connections_queue_bytes"),
        percent: 100,
        allowance: MIB,
        end: End::Empty,
    },
    Figure {
        name: "… beside the log",
        metric: Some("connections_queue_memory_bytes"),
        percent: 100,
        allowance: MIB,
        end: End::Empty,
    },
    Figure { name: "in flight", metric: Some("ledger_in_flight"), percent: 100, allowance: 10_000, end: End::Empty },
    Figure { name: "log bytes", metric: Some("log_bytes"), percent: 10, allowance: MIB, end: End::AsBusy },
    Figure { name: "log topics", metric: Some("log_topics"), percent: 20, allowance: 20, end: End::AsBusy },
    Figure { name: "keys", metric: Some("snapshot_keys"), percent: 10, allowance: 100, end: End::AsBusy },
    Figure { name: "key bytes", metric: Some("snapshot_bytes"), percent: 10, allowance: MIB, end: End::AsBusy },
];

impl Sample {
    pub(crate) async fn of(server: &Server) -> Self {
        let metrics = server.metrics().await;
        let usage = Usage::of(server.id());
        let of_kernel = |name: &str| if name == "descriptors" { usage.descriptors } else { usage.resident } as u64;
        Self(FIGURES.each_ref().map(|figure| match figure.metric {
            Some(metric) => metrics.count(&format!("standpipe_{metric}")),
            None => of_kernel(figure.name),
        }))
    }

    /// Whether nothing is left of the clients.
    pub(crate) fn is_quiet(&self) -> bool {
        FIGURES.iter().zip(self.0).all(|(figure, value)| figure.end != End::Empty || value == 0)
    }
}

impl Watch {
    pub(crate) fn new(before: Sample) -> Self {
        Self { before, during: Vec::new() }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.during.push(sample);
    }

    /// A table of all figures, and the names of those that grew.
    pub(crate) fn judge(&self, after: Sample) -> (String, Vec<&'static str>) {
        let third = self.during.len().div_ceil(3);
        let (first, last) = (self.during.iter().take(third), self.during.iter().rev().take(third));
        let (first, last) = (medians(first), medians(last));
        let mut table =
            String::from("| | before | first third | last third | at most | after | |\n|---|---|---|---|---|---|---|");
        let mut grew = Vec::new();
        let rows = FIGURES.iter().zip(self.before.0).zip(first).zip(last).zip(after.0).enumerate();
        for (i, ((((figure, before), first), last), after)) in rows {
            let busy = first + first * figure.percent / 100 + figure.allowance;
            let end = match figure.end {
                End::Empty => 0,
                End::AsBefore(kept) => before + kept,
                End::AsBusy => busy,
            };
            let is_flat = last <= busy && after <= end;
            let most = self.during.iter().filter_map(|sample| sample.0.get(i)).max().copied().unwrap_or_default();
            let verdict = if is_flat { "flat" } else { "grew" };
            let name = figure.name;
            // A text takes whatever is written to it.
            let _ = write!(table, "\n| {name} | {before} | {first} | {last} | {most} | {after} | {verdict} |");
            grew.extend((!is_flat).then_some(name));
        }
        (table, grew)
    }
}

/// The value in the middle of each figure: what comes and goes within seconds is not growth.
fn medians<'a>(samples: impl Iterator<Item = &'a Sample>) -> [u64; FIGURES.len()] {
    let samples: Vec<_> = samples.collect();
    std::array::from_fn(|i| {
        let mut values: Vec<_> = samples.iter().filter_map(|sample| sample.0.get(i).copied()).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    })
}
