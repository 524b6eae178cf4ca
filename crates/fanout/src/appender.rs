//! The one task that gives events their place in the log.

use std::{sync::Arc, time::Duration};

use standpipe_protocol::Item;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::Log;

/// What is appended in one go. While the queue holds less, sources wait for nothing but their own events.
const BATCH: usize = 256;

/// Appends what comes, until every source has let go of its end of the queue, or until `cancel`: then what is queued is
/// appended, and nothing more is taken.
pub(crate) async fn append_all(log: Arc<dyn Log>, mut items: mpsc::Receiver<Item>, cancel: CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut placed = Vec::with_capacity(BATCH);
    let mut trim = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased; // Events first: a trim that comes late costs memory for a moment, an event that waits is late.
            received = items.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = cancel.cancelled(), if !items.is_closed() => {
                items.close();
                continue;
            }
            _ = trim.tick() => {
                log.trim(Instant::now());
                continue;
            }
        }
        let (events, accepted): (Vec<_>, Vec<_>) = batch.drain(..).map(|item| (item.event, item.accepted)).unzip();
        placed.clear();
        log.append(events, Instant::now(), &mut placed);
        for (seq, accepted) in placed.iter().zip(accepted) {
            if let Some(accepted) = accepted {
                accepted(*seq);
            }
        }
    }
}
