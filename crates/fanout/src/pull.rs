//! Feeds a client from the log, a bounded step at a time, until it stands where its shard stands.

use std::sync::Arc;

use standpipe_connections::{Mark, Offer, Way};
use standpipe_protocol::{Gap, GapReason, Message, Record, Topic};
use standpipe_selection::Subscriptions;
use tokio::time::Instant;

use crate::{
    Log,
    client::{Bracket, Client, Mode, Reading},
    deliver::deliver,
    log::Expired,
    report::Counters,
};

/// Records read in one step: what one laggard may take before the others have their turn.
const STEP: usize = 64;

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

/// Reads at most [`STEP`] records for `client`, whose shard stands at `shard`.
pub(crate) fn step(
    client: &mut Client,
    log: &dyn Log,
    shard: u64,
    now: Instant,
    counters: &mut Counters,
    batch: &mut Vec<Arc<Record>>,
) -> Pulled {
    if !client.pulls() {
        return Pulled::Done;
    }
    if !client.connection.want_room(Way::Replay) {
        return Pulled::Waits;
    }
    if let Some(bracket) = client.brackets.pop_front() {
        return step_bracket(client, bracket, log, now, counters, batch);
    }
    if let Mode::Pull(reading) = &client.mode
        && reading.cursor > shard
    {
        // It was fed by a shard that is ahead of this one. Fed with the others now, it would get their past again.
        return Pulled::More;
    }
    let Mode::Pull(mut reading) = std::mem::replace(&mut client.mode, Mode::Push) else { return Pulled::Done };
    refresh(&mut reading, log, |topic| client.subscriptions.iter().any(|s| s.pattern.matches(topic)));
    let pulled = advance(client, &mut reading, None, shard, log, now, counters, batch);
    if pulled != Pulled::Done {
        client.mode = Mode::Pull(reading);
    } else if client.connection.is_closing() {
        client.mode = Mode::Ended { position: reading.cursor };
    }
    pulled
}

fn step_bracket(
    client: &mut Client,
    mut bracket: Bracket,
    log: &dyn Log,
    now: Instant,
    counters: &mut Counters,
    batch: &mut Vec<Arc<Record>>,
) -> Pulled {
    if !bracket.begun {
        let from = bracket.reading.cursor + 1;
        let replay = Message::Replay { id: bracket.id.as_deref(), from, to: bracket.to };
        client.connection.tell(&replay, Mark::Control, now);
        bracket.begun = true;
    }
    let Bracket { subscriptions, reading, to, .. } = &mut bracket;
    refresh(reading, log, |topic| subscriptions.iter().any(|s| s.pattern.matches(topic)));
    let pulled = advance(client, reading, Some(subscriptions), *to, log, now, counters, batch);
    if pulled != Pulled::Done {
        client.brackets.push_front(bracket);
        return pulled;
    }
    client.connection.tell(&Message::Replayed { id: bracket.id.as_deref() }, Mark::Control, now);
    // What follows the bracket: the next one, or the main cursor, which stood still.
    if client.pulls() { Pulled::More } else { Pulled::Done }
}

fn refresh(reading: &mut Reading, log: &dyn Log, wanted: impl Fn(&Topic) -> bool) {
    if reading.plan.as_ref().is_none_or(|plan| log.is_outdated(plan)) {
        reading.plan = Some(log.plan(&wanted));
    }
}

/// Moves `reading` towards `to`. Events are chosen by `only`, or by all of the client's subscriptions.
#[expect(clippy::too_many_arguments, reason = "the state of one step, borrowed from two owners")]
fn advance(
    client: &mut Client,
    reading: &mut Reading,
    only: Option<&Subscriptions>,
    to: u64,
    log: &dyn Log,
    now: Instant,
    counters: &mut Counters,
    batch: &mut Vec<Arc<Record>>,
) -> Pulled {
    batch.clear();
    let up_to = match log.read(reading.plan.as_ref(), reading.cursor, to, STEP, batch) {
        Ok(up_to) => up_to,
        Err(Expired { floor }) => {
            tell_expired(client, reading, only.is_some(), floor.min(to + 1), now, counters);
            return Pulled::More;
        }
    };
    for record in batch.drain(..) {
        let (wanted, mark) = match only {
            Some(subscriptions) => (subscriptions.matches(record.view()), Mark::Replayed),
            None => (client.subscriptions.matches(record.view()), Mark::Event(record.seq)),
        };
        if wanted {
            match deliver(client, &record, mark, Way::Replay, now) {
                Offer::Queued | Offer::Superseded => counters.pulled += 1,
                Offer::Full => {
                    reading.cursor = record.seq - 1;
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
fn tell_expired(
    client: &mut Client,
    reading: &mut Reading,
    in_bracket: bool,
    floor: u64,
    now: Instant,
    counters: &mut Counters,
) {
    let reason = GapReason::HistoryExpired;
    counters.gaps.count(&reason);
    let gap = Gap { from: Some(reading.cursor + 1), to: Some(floor - 1), matched: None, reason };
    let mark = if in_bracket { Mark::Control } else { Mark::Position(floor - 1) };
    client.connection.tell(&Message::Gap(gap), mark, now);
    reading.cursor = floor - 1;
}
