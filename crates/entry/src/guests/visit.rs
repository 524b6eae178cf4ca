//! Connections that speak HTTP, or say nothing yet, by address: one address alone shall not take all the places for them.
//!
//! ```text
//! 0 …… max: served │ …… 2 × max: told that there are too many │ ……: closed without a word
//! ```
//! To be told costs a place as well, for a moment; so it has the bound of those who are served.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use standpipe_protocol::{ErrorCode, Refusal};

use super::{Guests, lock, remember};
use crate::{address::household, counts::Limit};

/// One connection of an address, for as long as it speaks HTTP. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    guests: Arc<Guests>,
    address: IpAddr,
}

/// What becomes of a connection that was accepted.
#[derive(Debug)]
pub(crate) enum Visitor {
    /// It is served. Without a visit where addresses are not counted.
    Served(Option<Visit>),
    /// It is told why not.
    Refused(Visit, Refusal),
    /// It is closed.
    Ignored,
}

impl Guests {
    /// A connection from this address was accepted.
    pub(crate) fn visit(self: &Arc<Self>, peer: SocketAddr) -> Visitor {
        let Some(max) = self.limits.max_http else { return Visitor::Served(None) };
        let (max, address) = (max.get(), household(peer.ip()));
        let here = remember(&self.addresses, address, |guest| {
            let here = guest.http;
            if here < max.saturating_mul(2) {
                guest.http += 1;
            }
            here
        });
        if here >= max {
            self.counts.exceeded(Limit::MaxHttpPerIp);
        }
        if here >= max.saturating_mul(2) {
            return Visitor::Ignored;
        }
        let visit = Visit { guests: Arc::clone(self), address };
        if here < max {
            return Visitor::Served(Some(visit));
        }
        let message = format!("your address has as many connections that are no WebSocket yet as it may have, {max}");
        let refusal = Refusal::new(ErrorCode::OverCapacity, message).hint("close those that you do not use");
        Visitor::Refused(visit, refusal)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(guest) = lock(&self.guests.addresses).get_mut(&self.address) {
            guest.http = guest.http.saturating_sub(1);
        }
    }
}
