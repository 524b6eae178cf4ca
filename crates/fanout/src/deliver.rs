//! The one way of an event into an outbox, whether it was pushed or pulled.

use std::sync::Arc;

use standpipe_connections::{Mark, Offer, Way};
use standpipe_protocol::{Record, codec};
use tokio::time::Instant;

use crate::client::Client;

/// Offers `record`, which is known to match. It counts as matched if it was taken: else the client's cursor stays before
/// it, and what follows is the overflow policy's.
pub(crate) fn deliver(client: &mut Client, record: &Arc<Record>, mark: Mark, way: Way, now: Instant) -> Offer {
    let offer = client.connection.offer(record, mark, way, now);
    account(client, offer)
}

/// Shows the latest event of a key, as [`deliver`] does an event.
pub(crate) fn show(client: &mut Client, record: &Record, now: Instant) -> Offer {
    let offer = client.connection.offer_frame(codec::snapshot_frame(record), Mark::Replayed, Way::Replay, now);
    account(client, offer)
}

fn account(client: &mut Client, offer: Offer) -> Offer {
    match offer {
        Offer::Queued => client.tally.matched += 1,
        Offer::Superseded => {
            // One of the two events will be written and was counted; the other, the older one, never will be.
            client.tally.matched += 1;
            client.tally.conflated += 1;
        }
        Offer::Full | Offer::Closed => return offer,
    }
    client.touched = true;
    offer
}
