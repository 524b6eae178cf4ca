//! Where shards get shares in instances of demand-driven sources.
//!
//! Instances are started and ended elsewhere; here they are asked for when a client subscribes, and given back when
//! nothing is subscribed any more: the share is a part of the subscription.

use std::{fmt, net::SocketAddr, sync::Arc};

use standpipe_protocol::{ErrorCode, Identity, Refusal, refusal::clip};
use standpipe_selection::{Lease, Params};

/// The demand-driven sources.
pub trait Demand: fmt::Debug + Send + Sync {
    /// A share in the instance that these params name, of which there is at least one. It is started if it does not run, and
    /// then `head` is the last place in the log before its events. Never waits.
    ///
    /// # Errors
    /// `UNKNOWN_PARAMETER`, `INVALID_FIELD` or `FORBIDDEN` for params that no source takes; `OVER_CAPACITY` or
    /// `LIMIT_EXCEEDED` if there is no room for one more instance, in all or for this client.
    fn lease(&self, params: &Params, identity: &Identity, peer: SocketAddr, head: u64) -> Result<Lease, Refusal>;
}

/// The share that `params` ask for, if they ask for one.
///
/// # Errors
/// Those of [`Demand::lease`].
pub(crate) fn lease(
    demand: Option<&Arc<dyn Demand>>,
    params: &Params,
    identity: &Identity,
    peer: SocketAddr,
    head: u64,
) -> Result<Option<Lease>, Refusal> {
    let Some(name) = params.keys().next() else { return Ok(None) };
    if let Some(demand) = demand {
        return demand.lease(params, identity, peer, head).map(Some);
    }
    let shown = clip(name);
    let hint = "`params` are for sources that declare them; conditions on fields stand in `filter`";
    Err(Refusal::new(ErrorCode::UnknownParameter, format!("no source has a parameter `{shown}`")).hint(hint))
}
