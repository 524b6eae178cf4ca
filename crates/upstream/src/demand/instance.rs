//! One instance of a demand-driven source, from its start to its end.

use std::{collections::HashMap, sync::Arc};

use standpipe_protocol::{SourceNews, SourceTurn, topic::Scope};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Demanded;
use crate::{
    config::SourceConfig,
    error::Error,
    status::{InstanceStatus, Status, unix_ms},
    stream::Stream,
    template::Params,
    upstream::{Engine, Variant},
};

/// An instance that runs.
pub(super) struct Instance {
    pub(super) scope: Scope,
    /// The last place in the log before its events.
    pub(super) since: u64,
    pub(super) status: Arc<Status>,
    pub(super) stop: CancellationToken,
    /// How many shares each client has.
    shares: HashMap<Arc<str>, usize>,
    /// Since when nobody has one.
    pub(super) idle_since: Option<Instant>,
}

impl Instance {
    pub(super) fn start(
        source: &Arc<Demanded>,
        engine: &Engine,
        config: SourceConfig,
        params: Arc<Params>,
        scope: Scope,
        since: u64,
    ) -> Result<Self, Error> {
        let (stop, tasks) = (engine.stop.child_token(), TaskTracker::new());
        let own = Engine { tasks: tasks.clone(), stop: stop.clone(), ..engine.clone() };
        let stream = Arc::new(Stream::of(&config, engine.news.clone()).within(scope));
        let place = stream.join();
        let status = own.run(config, stream, place, Variant { scope, params })?.status;
        engine.tasks.spawn(end(Arc::clone(source), own, Arc::clone(&status), scope));
        Ok(Self { scope, since, status, stop, shares: HashMap::new(), idle_since: None })
    }

    pub(super) fn is_shared_by(&self, client: &str) -> bool {
        self.shares.contains_key(client)
    }

    pub(super) fn enter(&mut self, client: &Arc<str>) {
        *self.shares.entry(Arc::clone(client)).or_default() += 1;
        self.idle_since = None;
    }

    /// One share of this client is given back. Whether nobody has any left.
    pub(super) fn leave(&mut self, client: &str, now: Instant) -> bool {
        if let Some(shares) = self.shares.get_mut(client) {
            *shares -= 1;
            if *shares == 0 {
                self.shares.remove(client);
            }
        }
        if self.shares.is_empty() {
            self.idle_since = Some(now);
        }
        self.shares.is_empty()
    }

    pub(super) fn status(&self, params: &Params) -> InstanceStatus {
        InstanceStatus { params: params.clone(), clients: self.shares.len(), status: self.status.snapshot() }
    }
}

/// Waits for the end of an instance, keeps its counts, and has forgotten what is kept of it elsewhere.
async fn end(source: Arc<Demanded>, engine: Engine, status: Arc<Status>, scope: Scope) {
    engine.stop.cancelled().await;
    engine.tasks.close();
    engine.tasks.wait().await;
    source.ended(&status);
    let gone = SourceNews { source: Arc::clone(status.name()), scope, since: unix_ms(), turn: SourceTurn::Ended };
    // Whoever has gone no longer wants to know.
    let _ = engine.news.send(gone).await;
}
