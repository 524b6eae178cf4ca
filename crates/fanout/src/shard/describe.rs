//! What a shard answers to those who ask about it. Nothing is changed by asking.

use standpipe_connections::clock::unix_ms;
use standpipe_protocol::ConnectionId;

use super::Shard;
use crate::{
    client::{Client, Mode},
    report::{CONSUMING, DescribedSubscription, Description, Report},
};

impl Shard {
    pub(super) fn describe(&self, only: Option<ConnectionId>) -> Vec<Description> {
        let wanted = self.clients.iter().filter(|(_, client)| only.is_none_or(|id| client.connection.id() == id));
        wanted.map(|(_, client)| self.describe_client(client)).collect()
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
            peer: match connection.opening.peer {
                // Behind a proxy: which port the client has, it does not say.
                peer if peer.port() == 0 => peer.ip().to_string(),
                peer => peer.to_string(),
            },
            identity: connection.identity(),
            since: connection.opening.since,
            mode: client.mode.word(),
            subscriptions: subscriptions.collect(),
            transport: connection.opening.transport(),
            confirm: connection.opening.confirm(),
            overflow: connection.opening.overflow,
            position: connection.position(),
            lag: self.log.bounds().head.saturating_sub(self.position(client)),
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
        let now = unix_ms();
        report.unproven = self.signal.unproven();
        report.errors = self.signal.errors().map(|(code, count)| (code.as_str(), count)).collect();
        report.entries = self.index.len() as u64;
        report.lag = self.log.bounds().head.saturating_sub(self.cursor);
        for (_, client) in &self.clients {
            report.connections += 1;
            report.subscribed += u64::from(!client.subscriptions.is_empty());
            report.consuming += u64::from(client.connection.last_progress() + CONSUMING > now);
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
