//! Feeds a client from the log, a bounded step at a time, until it stands where its shard stands.

use std::sync::Arc;

use standpipe_connections::{Closing, Mark, Offer, Way};
use standpipe_protocol::{Gap, GapReason, Message, Overflow, Record, Topic};
use standpipe_selection::Subscriptions;
use tokio::time::Instant;

use crate::{
    Log,
    client::{Client, Mode, Reading},
    deliver::deliver,
    interlude::{Interlude, Replay},
    log::Expired,
    report::Counters,
    snapshot,
};

/// Records read in one step: what one laggard may take before the others have their turn.
pub(crate) const STEP: usize = 64;

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// There is more to read.
    More,
    /// The outbox is full; its signal will come.
    Waits,
    /// It stands where the shard stands, or it has ended.
    Done,
}

/// What a shard lends to a step.
pub(crate) struct Desk<'a> {
    pub(crate) log: &'a dyn Log,
    /// Where the shard stands.
    pub(crate) shard: u64,
    pub(crate) now: Instant,
    /// When a snapshot that begins now must have been read.
    pub(crate) snapshot_until: Instant,
    pub(crate) counters: &'a mut Counters,
    /// Kept between steps for its memory only.
    pub(crate) batch: &'a mut Vec<Arc<Record>>,
}

/// Reads at most [`STEP`] records for `client`.
pub(crate) fn step(client: &mut Client, desk: &mut Desk<'_>) -> Pulled {
    if !client.pulls() {
        return Pulled::Done;
    }
    if !client.connection.want_room(Way::Replay) {
        client.wait();
        return Pulled::Waits;
    }
    match client.interludes.pop_front() {
        Some(Interlude::Replay(replay)) => step_replay(client, replay, desk),
        Some(Interlude::Snapshot(snapshot)) => snapshot::step(client, snapshot, desk),
        None => step_main(client, desk),
    }
}

fn step_main(client: &mut Client, desk: &mut Desk<'_>) -> Pulled {
    if let Mode::Pull(reading) = &client.mode
        && reading.cursor > desk.shard
    {
        // It was fed by a shard that is ahead of this one. Fed with the others now, it would get their past again.
        return Pulled::More;
    }
    let Mode::Pull(mut reading) = std::mem::replace(&mut client.mode, Mode::Push) else { return Pulled::Done };
    refresh(&mut reading, desk.shard, desk.log, |topic| client.subscriptions.iter().any(|s| s.pattern.matches(topic)));
    let pulled = advance(client, &mut reading, None, desk.shard, desk);
    if pulled != Pulled::Done {
        client.mode = Mode::Pull(reading);
    } else if client.connection.is_closing() {
        client.mode = Mode::Ended { position: reading.cursor };
    }
    pulled
}

fn step_replay(client: &mut Client, mut replay: Replay, desk: &mut Desk<'_>) -> Pulled {
    let id = replay.id.as_deref();
    if !replay.begun {
        let from = replay.reading.cursor + 1;
        client.connection.tell(&Message::Replay { id, from, to: replay.to }, Mark::Control, desk.now);
        replay.begun = true;
    }
    let Replay { subscriptions, reading, to, .. } = &mut replay;
    refresh(reading, *to, desk.log, |topic| subscriptions.iter().any(|s| s.pattern.matches(topic)));
    let pulled = advance(client, reading, Some(subscriptions), *to, desk);
    if pulled != Pulled::Done {
        client.interludes.push_front(Interlude::Replay(replay));
        return pulled;
    }
    client.connection.tell(&Message::Replayed { id: replay.id.as_deref() }, Mark::Control, desk.now);
    after_interlude(client)
}

/// What follows an interlude: the next one, or the main cursor, which stood still.
pub(crate) fn after_interlude(client: &Client) -> Pulled {
    if client.pulls() { Pulled::More } else { Pulled::Done }
}

/// Makes a plan, unless what is left to read is quickly read without one.
fn refresh(reading: &mut Reading, to: u64, log: &dyn Log, wanted: impl Fn(&Topic) -> bool) {
    if to <= reading.cursor + STEP as u64 {
        reading.plan = None;
    } else if reading.plan.as_ref().is_none_or(|plan| log.is_outdated(plan)) {
        reading.plan = Some(log.plan(&wanted));
    }
}

/// Moves `reading` towards `to`. Events are chosen by `only`, or by all of the client's subscriptions.
fn advance(
    client: &mut Client,
    reading: &mut Reading,
    only: Option<&Subscriptions>,
    to: u64,
    desk: &mut Desk<'_>,
) -> Pulled {
    desk.batch.clear();
    let up_to = match desk.log.read(reading.plan.as_ref(), reading.cursor, to, STEP, desk.batch) {
        Ok(up_to) => up_to,
        Err(Expired { .. }) if reading.waits && client.policy() == Overflow::Disconnect => {
            let limit = "the log has let go of what it was to read next";
            client.connection.close(Closing::slow_consumer(limit));
            return Pulled::Done;
        }
        Err(Expired { floor }) => {
            tell_expired(client, reading, only.is_some(), floor.min(to + 1), desk);
            return Pulled::More;
        }
    };
    reading.waits = false;
    for record in desk.batch.drain(..) {
        let (wanted, mark) = match only {
            Some(subscriptions) => (subscriptions.matches(record.view()), Mark::Replayed),
            None => (client.subscriptions.matches(record.view()), Mark::Event(record.seq)),
        };
        if wanted && !client.may_have(desk.now) {
            desk.counters.throttled += 1;
            reading.cursor = record.seq - 1;
            return Pulled::Waits;
        }
        if wanted {
            match deliver(client, &record, mark, Way::Replay, desk.now) {
                Offer::Queued | Offer::Superseded => desk.counters.pulled += 1,
                Offer::Full => {
                    reading.cursor = record.seq - 1;
                    reading.waits = true;
                    return Pulled::Waits;
                }
                Offer::Closed => {
                    reading.cursor = record.seq - 1;
                    return Pulled::Done;
                }
            }
        }
        reading.cursor = record.seq;
    }
    reading.cursor = up_to;
    if up_to >= to { Pulled::Done } else { Pulled::More }
}

/// The log has let go of what was to be read next.
fn tell_expired(client: &mut Client, reading: &mut Reading, in_replay: bool, floor: u64, desk: &mut Desk<'_>) {
    let reason = GapReason::HistoryExpired;
    desk.counters.gaps.count(&reason);
    let gap = Gap { from: Some(reading.cursor + 1), to: Some(floor - 1), matched: None, reason };
    reading.cursor = floor - 1;
    let mark = if in_replay {
        Mark::Control
    } else {
        client.show_again(desk.log, desk.snapshot_until);
        client.mark(floor - 1)
    };
    client.connection.tell(&Message::Gap(gap), mark, desk.now);
}
