//! The one way of an event into an outbox, whether it was pushed or pulled.

use std::sync::Arc;

use standpipe_connections::{Mark, Offer, Way};
use standpipe_protocol::Record;
use tokio::time::Instant;

use crate::client::Client;

/// Offers `record`, which is known to match. It counts as matched if it was taken: else the client's cursor stays before
/// it, and what follows is the overflow policy's.
pub(crate) fn deliver(client: &mut Client, record: &Arc<Record>, mark: Mark, way: Way, now: Instant) -> Offer {
    let offer = client.connection.offer(record, mark, way, now);
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
