//! What different parts hold of the same clients, compared now and then: a drift is seen the minute it begins.
//!
//! Clients come and go while they are counted, and parts change one after the other. So a part agrees if it has a number
//! that another one had before or after it was asked, or any between; and a difference counts if it was there at each of
//! several looks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::TaskTracker;

use crate::{service::Standpipe, sockets};

/// Looks after which a difference is believed, and the time from one to the next.
const LOOKS: usize = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What is compared, in the words of the metric.
pub(crate) const COMPARED: [&str; 5] = ["connections", "subscriptions", "tasks", "sockets", "ledger"];

/// How far two sides of a comparison are apart; 0 where they cannot be compared here.
type Differences = [u64; COMPARED.len()];

/// The outcome of the last audit.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    audits: AtomicU64,
    differences: [AtomicU64; COMPARED.len()],
}

impl Audit {
    /// How many were made.
    pub(crate) fn count(&self) -> u64 {
        self.audits.load(Relaxed)
    }

    /// What the last one found. All 0, or there is a bug.
    pub(crate) fn differences(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COMPARED.into_iter().zip(&self.differences).map(|(word, difference)| (word, difference.load(Relaxed)))
    }

    fn found(&self, differences: Differences) {
        for ((word, before), now) in COMPARED.iter().zip(&self.differences).zip(differences) {
            if now > 0 && before.swap(now, Relaxed) != now {
                tracing::error!(of = word, difference = now, "the books do not agree; please report this");
            }
            before.store(now, Relaxed);
        }
        self.audits.fetch_add(1, Relaxed);
    }
}

/// What the parts of one server hold.
#[derive(Debug, Clone, Copy, Default)]
struct Holdings {
    /// In the registry, before the shards were asked and behind.
    registered: Range,
    of_shards: u64,
    subscriptions: u64,
    entries: u64,
    /// In the registry, and those that speak HTTP: before the system was asked and behind.
    open: Range,
    /// Of the port that clients connect to; where the system tells.
    sockets: Option<u64>,
    /// One for each connection, and the one that accepts them.
    tasks: u64,
    unbalanced: u64,
}

/// A number that was once the one and then the other.
#[derive(Debug, Clone, Copy, Default)]
struct Range(u64, u64);

impl Range {
    /// How far `number` is from all between the two.
    fn distance(self, number: u64) -> u64 {
        let (low, high) = (self.0.min(self.1), self.0.max(self.1));
        low.saturating_sub(number) + number.saturating_sub(high)
    }
}

impl Holdings {
    fn differences(&self) -> Differences {
        [
            self.registered.distance(self.of_shards),
            self.subscriptions.abs_diff(self.entries),
            self.open.distance(self.tasks.saturating_sub(1)),
            self.sockets.map_or(0, |sockets| self.open.distance(sockets)),
            self.unbalanced,
        ]
    }
}

/// Audits every `period`, for as long as it is polled. `clients` are the tasks that serve them, `port` is where they connect.
pub(crate) async fn keep_auditing(standpipe: Arc<Standpipe>, clients: TaskTracker, port: u16, period: Duration) {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let mut least = look(&standpipe, &clients, port).await.differences();
        for _ in 1..LOOKS {
            if least.iter().all(|difference| *difference == 0) {
                break;
            }
            sleep(BETWEEN_LOOKS).await;
            let again = look(&standpipe, &clients, port).await.differences();
            for (least, again) in least.iter_mut().zip(again) {
                *least = (*least).min(again);
            }
        }
        standpipe.audit.found(least);
    }
}

async fn look(standpipe: &Standpipe, clients: &TaskTracker, port: u16) -> Holdings {
    let registered = || standpipe.sessions.registry.len() as u64;
    let open = || registered() + standpipe.entry.http();
    let before = registered();
    let report = standpipe.sessions.fanout.report().await;
    let (behind, open_before) = (registered(), open());
    // The system's list of a server with many sockets is long: not on a thread that serves clients.
    let sockets = tokio::task::spawn_blocking(move || sockets::held_at(port)).await.ok().flatten();
    Holdings {
        registered: Range(before, behind),
        of_shards: report.connections,
        subscriptions: report.subscriptions,
        entries: report.entries,
        tasks: clients.len() as u64,
        open: Range(open_before, open()),
        sockets,
        unbalanced: report.totals.difference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_agree_or_the_difference_has_a_name() {
        let good = Holdings {
            registered: Range(8, 6),
            of_shards: 7,
            subscriptions: 9,
            entries: 9,
            open: Range(9, 9),
            tasks: 10,
            sockets: Some(9),
            unbalanced: 0,
        };
        assert_eq!(good.differences(), [0; COMPARED.len()]);
        assert_eq!(Holdings { sockets: None, ..good }.differences(), [0; COMPARED.len()]);
        for (bad, of) in [
            (Holdings { of_shards: 5, ..good }, "connections"),
            (Holdings { entries: 11, ..good }, "subscriptions"),
            (Holdings { tasks: 11, ..good }, "tasks"),
            (Holdings { sockets: Some(8), ..good }, "sockets"),
            (Holdings { unbalanced: 3, ..good }, "ledger"),
        ] {
            let audit = Audit::default();
            audit.found(bad.differences());
            let found: Vec<_> =
                audit.differences().filter(|(_, difference)| *difference > 0).map(|(of, _)| of).collect();
            assert_eq!(found, [of]);
            audit.found(good.differences());
            assert!(audit.differences().all(|(_, difference)| difference == 0), "what is mended is not told for ever");
            assert_eq!(audit.count(), 2);
        }
    }
}
