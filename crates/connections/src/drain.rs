//! Tells every client goodbye, spread over a window, and waits until they are gone.

use std::{sync::Arc, time::Duration};

use standpipe_liveness::DrainPlan;
use standpipe_protocol::CloseReason;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{Closing, Registry};

/// How long what is queued for a client may still be written to it before its goodbye.
const FLUSH: Duration = Duration::from_secs(2);

/// Closes all connections with `RESTART`. Returns how many are left at `plan.deadline`; `hurry` ends the spreading.
///
/// Connections that open meanwhile are the caller's to refuse; those that slipped in are closed with the last ones.
pub async fn drain(registry: &Arc<Registry>, plan: DrainPlan, hurry: &CancellationToken) -> usize {
    let start = Instant::now();
    let connections = registry.all();
    let total = connections.len();
    for (index, connection) in connections.into_iter().enumerate() {
        let at = start + plan.goodbye_at(index, total);
        if Instant::now() < at && !hurry.is_cancelled() {
            tokio::select! {
                () = sleep_until(at) => {}
                () = hurry.cancelled() => {}
            }
        }
        connection.close(goodbye(connection.id().0));
    }
    let deadline = start + plan.deadline;
    let mut look_again = tokio::time::interval(Duration::from_millis(50));
    while !registry.is_empty() && Instant::now() < deadline {
        for late in registry.all() {
            late.close(goodbye(late.id().0));
        }
        look_again.tick().await;
    }
    registry.len()
}

fn goodbye(random: u64) -> Closing {
    Closing { retry_after: Some(DrainPlan::retry_after(random)), flush: FLUSH, ..Closing::now(CloseReason::Restart) }
}
