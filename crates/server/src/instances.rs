//! Between the shards, who ask for instances of demand-driven sources, and the sources, who run them.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use standpipe_fanout::Demand;
use standpipe_protocol::{ErrorCode, Identity, Refusal, SourceState};
use standpipe_selection::{Instance, Lease, Params};
use standpipe_upstream::Share;

/// The demand-driven sources, once they are there: shards are started before them.
#[derive(Debug, Default)]
pub(crate) struct Instances(OnceLock<standpipe_upstream::Demand>);

impl Instances {
    /// From here on these are asked.
    pub(crate) fn are(&self, demand: standpipe_upstream::Demand) {
        // They are started once.
        let _ = self.0.set(demand);
    }
}

impl Demand for Instances {
    fn lease(&self, params: &Params, identity: &Identity, peer: SocketAddr, head: u64) -> Result<Lease, Refusal> {
        let Some(demand) = self.0.get() else {
            return Err(Refusal::new(ErrorCode::Draining, "the sources are not there yet").hint("try again"));
        };
        // As in the limits: a credential is a client, and where there is none an address is.
        let client = identity.subject.as_ref().map_or_else(|| Arc::from(peer.ip().to_string()), Arc::clone);
        let share = demand.share(params, &client, head)?;
        Ok(Lease::new(share.scope(), share.since(), Arc::new(Shared(share))))
    }
}

/// A share, as selection knows it.
struct Shared(Share);

impl Instance for Shared {
    fn source(&self) -> &Arc<str> {
        self.0.source()
    }

    fn state(&self) -> (SourceState, u64) {
        self.0.state()
    }
}
