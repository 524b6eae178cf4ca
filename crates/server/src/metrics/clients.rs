//! Who is connected, how they are served, and what the shards do for them.

use standpipe_connections::{Measured, Registry};
use standpipe_fanout::{Kept, Report};

use super::page::{BYTES, COUNT, MICROS, Page};

pub(super) fn fill_connections(
    page: &Page,
    registry: &Registry,
    report: &Report,
    measured: &Measured,
    kept: Kept,
) -> prometheus::Result<()> {
    page.gauge("connections_active", "Open connections, by WebSocket or as an event stream.", registry.len() as u64)?;
    page.gauge("connections_subscribed", "Open connections that have a subscription.", report.subscribed)?;
    let help = "Open connections whose clients have proven within a minute to have received something.";
    page.gauge("connections_consuming", help, report.consuming)?;
    page.gauge("connections_queue_bytes", "Bytes that wait for clients.", report.queue_bytes)?;
    let help = "How long the frame has waited that waits longest for its client to take it.";
    page.seconds("connections_queue_age_seconds", help, report.queue_age)?;
    let help = "Memory that what waits for clients takes beside the log and the snapshots.";
    page.gauge("connections_queue_memory_bytes", help, kept.bytes as u64)?;
    let help = "The most that it may take: client.max_queue_bytes_total.";
    page.gauge("connections_queue_memory_max_bytes", help, kept.max as u64)?;
    let help = "Bytes of each write to a socket.";
    page.histogram("connections_write_bytes", help, &BYTES, &measured.write_bytes)?;
    let help = "How long the first frame of each write had waited in its queue.";
    page.histogram("connections_wait_seconds", help, &MICROS, &measured.waits)?;
    let help = "From a ping, written behind events, to the pong that proves them: the way there and back, and the client's own time.";
    page.histogram("connections_receipt_seconds", help, &MICROS, &measured.receipts)?;
    let help = "From when an event was queued for its client to the proof that it was received: of one event at a time of each connection, \
        the first one behind the proof of the one before.";
    page.histogram("connections_confirmation_seconds", help, &MICROS, &measured.confirmations)?;
    page.counter("connections_opened_total", "Connections ever opened.", registry.opened())?;
    let closed: Vec<_> = registry.closed().map(|(reason, n)| (reason.name(), n)).collect();
    page.labelled_counter("connections_closed_total", "Connections that ended, by reason.", "reason", &closed)?;
    let errors: Vec<_> = report.errors.iter().map(|(code, n)| (*code, *n)).collect();
    page.labelled_counter(
        "connections_errors_total",
        "Errors told to clients on their connections, by code.",
        "code",
        &errors,
    )?;
    page.gauge("selection_subscriptions", "Subscriptions of all open connections.", report.subscriptions)?;
    page.gauge("selection_entries", "Entries of the index, one for each subscription.", report.entries)
}

pub(super) fn fill_fanout(page: &Page, report: &Report) -> prometheus::Result<()> {
    let counters = &report.counters;
    page.gauge("fanout_connections", "Connections that the shards know.", report.connections)?;
    page.gauge("fanout_pulling", "Connections that read the log at a cursor of their own.", report.pulling)?;
    page.gauge("fanout_lag_events", "How far the last shard is behind the head of the log.", report.lag)?;
    let help = "Events matched against the index, summed over shards.";
    page.counter("fanout_dispatched_total", help, counters.dispatched)?;
    let help = "For how many clients of a shard each event was, once for each shard.";
    page.histogram("fanout_audience_clients", help, &COUNT, &counters.audiences)?;
    page.counter("fanout_pulled_total", "Deliveries read from the log for one client.", counters.pulled)?;
    let help = "Clients that joined others to read the log with them.";
    page.counter("fanout_rides_total", help, counters.rides)?;
    page.counter("fanout_snapshots_total", "Snapshots that were shown to their end.", counters.snapshots)?;
    page.counter("fanout_snapshot_keys_total", "Keys shown in snapshots.", counters.shown)?;
    let overflows: Vec<_> = counters.overflows.0.iter().map(|(policy, n)| (*policy, *n)).collect();
    page.labelled_counter("fanout_overflows_total", "Clients that did not keep up, by policy.", "policy", &overflows)?;
    let reliefs: Vec<_> = counters.reliefs.0.iter().map(|(what, n)| (*what, *n)).collect();
    let help = "Clients that gave up what waited for them because too much waited for all, by what followed.";
    page.labelled_counter("fanout_reliefs_total", help, "followed", &reliefs)?;
    page.counter("fanout_throttled_total", "Times that a client had had what its plan gives it.", counters.throttled)?;
    let gaps: Vec<_> = counters.gaps.0.iter().map(|(reason, n)| (*reason, *n)).collect();
    page.labelled_counter("fanout_gaps_total", "Gaps told to clients, by reason.", "reason", &gaps)
}
