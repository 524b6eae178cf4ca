//! The one way of an event into an outbox, whether it was pushed or pulled.

use standpipe_connections::{Mark, Offer};
use standpipe_protocol::Record;
use tokio::time::Instant;

use crate::client::Client;

/// Offers `record`, which is known to match. It counts as matched if it was taken: else the client's cursor stays before
/// it, and what follows is the overflow policy's.
pub(crate) fn deliver(client: &mut Client, record: &Record, mark: Mark, now: Instant) -> Offer {
    let offer = client.connection.offer(record.frame(), mark, now);
    if offer == Offer::Queued {
        client.tally.matched += 1;
        client.touched = true;
    }
    offer
}
