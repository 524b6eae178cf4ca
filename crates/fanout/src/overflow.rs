//! What follows when an event does not fit into the outbox of a client that is fed by push.

use crate::{
    client::{Client, Mode, Reading},
    pull::Desk,
    report::Counters,
};
use standpipe_connections::Closing;
use standpipe_protocol::{Gap, GapReason, Message, Overflow};

/// Applies the client's policy: the event at `seq` matched, and was not taken.
pub(crate) fn overflow(client: &mut Client, seq: u64, counters: &mut Counters) {
    let policy = client.policy();
    counters.overflows.count(&policy);
    client.mode = match policy {
        Overflow::Disconnect => {
            client.connection.close(Closing::slow_consumer("more than `client.max_queue_bytes` wait for it"));
            Mode::Ended { position: seq - 1 }
        }
        Overflow::CatchUp => Mode::Pull(Reading::behind(seq - 1)),
        Overflow::Skip => Mode::Skip { from: seq, matched: Some(0), reason: GapReason::SlowConsumer },
    };
    skip(client);
}

/// The event at `seq` matched, and is more than the client's plan gives it: who catches up gets it later, from the log; all
/// others skip until there is room in their plan, whatever they do when they are slow, which they are not.
pub(crate) fn throttle(client: &mut Client, seq: u64, counters: &mut Counters) {
    counters.throttled += 1;
    client.mode = match client.connection.opening.overflow {
        Overflow::CatchUp => Mode::Pull(Reading::behind(seq - 1)),
        Overflow::Disconnect | Overflow::Skip => {
            Mode::Skip { from: seq, matched: Some(0), reason: GapReason::RateLimited }
        }
    };
    skip(client);
}

/// Counts one more event that a skipping client does not get.
pub(crate) fn skip(client: &mut Client) {
    if let Mode::Skip { matched, .. } = &mut client.mode {
        *matched = matched.map(|matched| matched + 1);
        client.tally.matched += 1;
        client.tally.skipped += 1;
    }
}

/// Tells a client that skips, and has room again, what it missed up to `shard`, and feeds it again.
pub(crate) fn end_skip(client: &mut Client, desk: &mut Desk<'_>) {
    let Mode::Skip { from, matched, reason } = client.mode else { return };
    desk.counters.gaps.count(&reason);
    let gap = Gap { from: Some(from), to: Some(desk.shard), matched, reason };
    client.mode = Mode::Push;
    client.show_again(desk.log, desk.snapshot_until);
    client.connection.tell(&Message::Gap(gap), client.mark(desk.shard), desk.now);
    if !client.interludes.is_empty() {
        client.read_from(desk.shard);
    }
}
