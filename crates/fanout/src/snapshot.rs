//! Shows a client the latest event of each key that it selects, a bounded step at a time.
//!
//! All of it is as of one place in the log, whatever happens meanwhile: the main cursor stands at that place or before
//! it, so everything newer follows.

use standpipe_connections::{Closing, Mark, Offer};
use standpipe_protocol::Message;
use tokio::time::Instant;

use crate::{
    client::Client,
    deliver::show,
    interlude::{Interlude, Snapshot},
    pull::{Desk, Pulled, STEP, after_interlude},
    state::Place,
};

/// Visits at most [`STEP`] keys for `client`.
pub(crate) fn step(client: &mut Client, mut snapshot: Snapshot, desk: &mut Desk<'_>) -> Pulled {
    let Some(pattern) = snapshot.subscriptions.iter().nth(snapshot.pattern).map(|s| s.pattern.clone()) else {
        return end(client, &snapshot, desk);
    };
    desk.batch.clear();
    let next = snapshot.state.read(&pattern, snapshot.place.clone(), STEP, desk.batch);
    for record in desk.batch.drain(..) {
        // What an earlier pattern has shown is not shown again.
        let shown = snapshot.subscriptions.iter().take(snapshot.pattern).any(|s| s.pattern.matches(&record.topic));
        if !shown && snapshot.subscriptions.matches(record.view()) {
            match show(client, &record, desk.now) {
                Offer::Closed => return Pulled::Done,
                Offer::Full => {
                    client.interludes.push_front(Interlude::Snapshot(snapshot));
                    return Pulled::Waits;
                }
                Offer::Queued | Offer::Superseded => {
                    snapshot.count += 1;
                    desk.counters.shown += 1;
                }
            }
        }
        snapshot.place = Place::Behind(record);
    }
    if next.is_none() {
        snapshot.pattern += 1;
    }
    snapshot.place = next.unwrap_or_default();
    client.interludes.push_front(Interlude::Snapshot(snapshot));
    Pulled::More
}

fn end(client: &Client, snapshot: &Snapshot, desk: &mut Desk<'_>) -> Pulled {
    let Snapshot { id, state, count, .. } = snapshot;
    let (id, seq, complete) = (id.as_deref(), state.seq, state.complete);
    let mark = if snapshot.is_owed { client.mark(client.position(desk.shard)) } else { Mark::Control };
    client.connection.tell(&Message::SnapshotEnd { id, seq, count: *count, complete }, mark, desk.now);
    desk.counters.snapshots += 1;
    after_interlude(client)
}

/// Ends a client that does not take its snapshot in time.
pub(crate) fn expire(client: &Client, now: Instant) {
    if let Some(Interlude::Snapshot(snapshot)) = client.interludes.front()
        && snapshot.until <= now
    {
        client.connection.close(Closing::slow_consumer("its snapshot was not read within `snapshot.patience`"));
    }
}
