//! What the routes show and forward, answered by those who own it.

use std::{net::SocketAddr, sync::Arc};

use standpipe_connections::{Closing, clock::unix_ms, measured};
use standpipe_entry::{
    Auth, Counts, Guests, Pass, Published, Readiness, Service, Upgrade,
    service::{Order, Page, TopicOrder, TopicPage},
};
use standpipe_fanout::{Listing, ListingOrder, Log as _, Which};
use standpipe_protocol::{CloseReason, ConnectionId, ErrorCode, Identity, Json, Refusal, SourceState, Transport};
use standpipe_selection::{Lease, Query};
use standpipe_upstream::Upstream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    audit::Audit,
    hosted::Told,
    metrics::{self, LogNumbers, Numbers},
    readiness::Required,
    session::{Seat, Sessions},
    vitals::Heart,
};

/// The server behind the routes.
pub(crate) struct Standpipe {
    pub(crate) sessions: Sessions,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) entry: Arc<Counts>,
    pub(crate) guests: Arc<Guests>,
    pub(crate) audit: Audit,
    pub(crate) required: Required,
    pub(crate) heart: Arc<Heart>,
    /// Cancelled when the drain begins.
    pub(crate) draining: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) started_at: u64,
    /// What the platform tells, if this is a run of it.
    pub(crate) told: Option<Arc<Told>>,
}

impl Standpipe {
    /// How many sources deliver, and how many there are.
    pub(crate) fn live_sources(&self) -> (usize, usize) {
        let statuses = self.upstream.statuses();
        (statuses.iter().filter(|source| source.state == SourceState::Live).count(), statuses.len())
    }
}

impl Service for Standpipe {
    type Permit = Seat;
    type Claim = Option<Lease>;

    fn auth(&self) -> &Auth {
        &self.sessions.rules.auth
    }

    fn check(
        &self,
        query: &Query,
        pass: &Pass,
        transport: Transport,
        peer: SocketAddr,
        request_id: Option<&str>,
    ) -> Result<Option<Lease>, Refusal> {
        self.sessions.check(query, pass, transport, peer, request_id)
    }

    fn admit(&self, peer: SocketAddr, identity: &Identity, claim: Option<Option<Lease>>) -> Result<Seat, Refusal> {
        if self.draining.is_cancelled() {
            return Err(Refusal::new(ErrorCode::Draining, "the server is going away").hint("another one will answer"));
        }
        let place = self.guests.enter(peer, identity)?;
        Ok(Seat { place, lease: claim.flatten() })
    }

    fn serve(&self, upgrade: Upgrade<Seat>) -> impl Future<Output = ()> + Send {
        self.sessions.serve(upgrade)
    }

    async fn ready(&self) -> Readiness {
        let (ready, said) = self.required.judge(&self.upstream.statuses(), self.draining.is_cancelled());
        let body = json(&said);
        if ready { Readiness::Ready(body) } else { Readiness::NotReady(body) }
    }

    async fn status(&self) -> Json {
        let report = self.sessions.fanout.report().await;
        let bounds = self.sessions.fanout.log().bounds();
        let oldest = u64::try_from(report.queue_age.as_millis()).unwrap_or(u64::MAX);
        let statuses = self.upstream.statuses();
        let count = |state| statuses.iter().filter(|source| source.state == state).count();
        let states: serde_json::Map<_, _> =
            SourceState::ALL.iter().map(|state| (state.as_str().to_owned(), count(*state).into())).collect();
        json(&serde_json::json!({
            "name": "standpipe",
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started_at,
            "uptime_s": self.started.elapsed().as_secs(),
            "draining": self.draining.is_cancelled(),
            "connections": {
                "active": self.sessions.registry.len(),
                "subscribed": report.subscribed,
                "consuming": report.consuming,
                "opened": self.sessions.registry.opened(),
            },
            "subscriptions": report.subscriptions,
            "log": { "epoch": self.sessions.fanout.epoch(), "floor": bounds.floor, "head": bounds.head },
            "sources": states,
            "ledger": report.totals.tally,
            "written": report.totals.written,
            "waiting": { "bytes": report.queue_bytes, "oldest_ms": oldest },
        }))
    }

    async fn metrics(&self) -> String {
        let (fanout, now) = (&self.sessions.fanout, Instant::now());
        let log = fanout.log();
        metrics::render(&Numbers {
            entry: &self.entry,
            guests: &self.guests,
            fetches: self.sessions.rules.auth.fetches(),
            audit: &self.audit,
            registry: &self.sessions.registry,
            report: fanout.report().await,
            measured: measured(),
            kept: fanout.kept(),
            billing: self.sessions.billing.as_ref().map(|billing| billing.report()),
            resumed: self.sessions.resumption.numbers(),
            log: LogNumbers {
                bounds: log.bounds(),
                bytes: log.bytes(),
                topics: log.topics(),
                age: log.age(now),
                max_age: log.max_age(),
                keys: log.keys(),
            },
            sources: self.upstream.statuses(),
            told: self.told.as_deref(),
            vitals: self.heart.vitals(self.started, self.started_at),
        })
    }

    async fn connections(&self, page: Page) -> Json {
        let which = match page.order {
            // One more, to know whether there is one.
            Order::Id => Which::Behind(page.after, page.limit + 1),
            Order::Waiting => Which::Waiting(page.limit),
        };
        let mut all = self.sessions.fanout.describe(which).await;
        let more = all.len() > page.limit;
        all.truncate(page.limit);
        let next = all.last().filter(|_| more).map(|last| last.id);
        let total = self.sessions.registry.len();
        json(&match next {
            Some(next) => serde_json::json!({ "connections": all, "total": total, "next": next }),
            None => serde_json::json!({ "connections": all, "total": total }),
        })
    }

    async fn connection(&self, id: ConnectionId) -> Option<Json> {
        self.sessions.registry.find(id)?;
        self.sessions.fanout.describe(Which::One(id)).await.first().map(json)
    }

    async fn close(&self, id: ConnectionId) -> Result<(), Refusal> {
        let not_found = || {
            Refusal::new(ErrorCode::NotFound, format!("there is no connection {id}"))
                .hint("`GET /connections` lists those that are open")
        };
        self.sessions.registry.find(id).ok_or_else(not_found)?.close(Closing::now(CloseReason::Kicked));
        Ok(())
    }

    async fn close_all(&self, subject: &str) -> usize {
        let all = self.sessions.registry.all();
        let theirs = all.iter().filter(|connection| connection.identity().subject.as_deref() == Some(subject));
        let open = theirs.filter(|connection| !connection.is_closing());
        open.map(|connection| connection.close(Closing::now(CloseReason::Kicked))).count()
    }

    async fn sources(&self) -> Json {
        json(&serde_json::json!({ "now": unix_ms(), "sources": self.upstream.statuses() }))
    }

    async fn topics(&self, page: TopicPage) -> Json {
        let TopicPage { order, prefix, limit, after } = page;
        let (order, may_follow) = match order {
            TopicOrder::Name => (ListingOrder::Name(after), true),
            TopicOrder::Events => (ListingOrder::Events, false),
        };
        // One more, to know whether there is one.
        let listing = Listing { prefix, order, limit: limit + usize::from(may_follow) };
        let (mut topics, total) = self.sessions.fanout.topics(listing).await;
        let more = topics.len() > limit;
        topics.truncate(limit);
        let next = topics.last().filter(|_| more).map(|last| last.topic.clone());
        json(&match next {
            Some(next) => serde_json::json!({ "topics": topics, "total": total, "next": next }),
            None => serde_json::json!({ "topics": topics, "total": total }),
        })
    }

    async fn publish(&self, source: Option<&str>, pass: &Pass, inputs: Vec<Json>) -> Result<Vec<Published>, Refusal> {
        self.sessions.publishing.publish(source, &pass.grant, inputs).await
    }

    async fn drain(&self) {
        self.draining.cancel();
    }
}

fn json(value: &impl serde::Serialize) -> Json {
    Json::written(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
}
