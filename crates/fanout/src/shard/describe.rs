//! What a shard answers to those who ask about it. Nothing is changed by asking.

use tokio::time::Instant;

use super::Shard;
use crate::{
    client::{Client, Mode},
    mailbox::Which,
    report::{CONSUMING, DescribedSubscription, Description, Report, waiting},
};

impl Shard {
    /// In no order. No more are described than are asked for: that costs more than to look who they are.
    pub(super) fn describe(&self, which: Which) -> Vec<Description> {
        let clients = self.clients.iter().map(|(_, client)| client);
        let wanted: Vec<_> = match which {
            Which::One(id) => self.slots.get(&id).and_then(|slot| self.clients.get(*slot)).into_iter().collect(),
            Which::Behind(after, limit) => {
                let behind = clients.filter(|client| after.is_none_or(|after| client.connection.id() > after));
                first(limit, behind.map(|client| (client.connection.id(), client)))
            }
            Which::Waiting(limit) => {
                let waiting = |client: &Client| waiting(client.connection.queue_bytes(), self.lag(client));
                first(limit, clients.map(|client| ((waiting(client), client.connection.id()), client)))
            }
        };
        wanted.into_iter().map(|client| self.describe_client(client)).collect()
    }

    /// How many places the log is ahead of what was evaluated for a client.
    fn lag(&self, client: &Client) -> u64 {
        self.log.bounds().head.saturating_sub(self.position(client))
    }

    fn describe_client(&self, client: &Client) -> Description {
        let connection = &client.connection;
        let mut ledger = client.tally;
        ledger.report(connection.progress());
        let subscriptions = client.subscriptions.iter().map(|subscription| DescribedSubscription {
            topics: subscription.pattern.as_str().to_owned(),
            params: subscription.params.clone(),
            filter: subscription.filter.as_ref().and_then(|f| serde_json::from_str(&f.to_string()).ok()),
            snapshot: subscription.options.snapshot,
            conflate: subscription.options.conflate,
        });
        Description {
            id: connection.id(),
            peer: connection.opening.shown_peer(),
            identity: connection.identity(),
            since: connection.opening.since,
            mode: client.mode.word(),
            subscriptions: subscriptions.collect(),
            transport: connection.opening.transport(),
            confirm: connection.opening.confirm(),
            overflow: connection.opening.overflow,
            position: connection.position(),
            lag: self.lag(client),
            queue_bytes: connection.queue_bytes(),
            last_receipt: connection.last_receipt(),
            unproven: connection.unproven(),
            ledger,
            billed: connection.billed(),
            unsettled: connection.unsettled(),
        }
    }

    fn position(&self, client: &Client) -> u64 {
        let position = client.position(self.cursor);
        match &client.mode {
            Mode::Ride(ride) => self.convoys.get(ride.convoy).map_or(position, |convoy| convoy.cursor.max(position)),
            _ => position,
        }
    }

    pub(super) fn report(&self) -> Report {
        let mut report = Report { totals: self.ended, counters: self.counters.clone(), ..Report::default() };
        let now = Instant::now();
        report.unproven = self.signal.unproven();
        report.errors = self.signal.errors().map(|(code, count)| (code.as_str(), count)).collect();
        report.entries = self.index.len() as u64;
        report.lag = self.log.bounds().head.saturating_sub(self.cursor);
        for (_, client) in &self.clients {
            report.connections += 1;
            report.subscribed += u64::from(!client.subscriptions.is_empty());
            report.consuming += u64::from(client.connection.last_progress().is_some_and(|at| at.age(now) < CONSUMING));
            report.subscriptions += client.subscriptions.len() as u64;
            report.pulling += u64::from(client.pulls() || matches!(client.mode, Mode::Ride(_)));
            let queue_bytes = client.connection.queue_bytes();
            report.queue_bytes += queue_bytes as u64;
            if queue_bytes > 0
                && let Some(since) = client.connection.queued_since()
            {
                report.queue_age = report.queue_age.max(since.elapsed());
            }
            let progress = client.connection.progress();
            let mut tally = client.tally;
            tally.report(progress);
            report.totals.add(&tally, progress);
        }
        report
    }
}

/// Those with the `limit` least keys.
fn first<K: Ord, T>(limit: usize, keyed: impl Iterator<Item = (K, T)>) -> Vec<T> {
    let mut all: Vec<_> = keyed.collect();
    if limit < all.len() {
        all.select_nth_unstable_by(limit, |(one, _), (other, _)| one.cmp(other));
        all.truncate(limit);
    }
    all.into_iter().map(|(_, value)| value).collect()
}
