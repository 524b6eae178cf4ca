//! Where delivery begins: the cursor rule for `after`. Pure.

use std::time::Duration;

use standpipe_protocol::{After, Cursor, ErrorCode, Gap, GapReason, OnGap, Refusal};
use standpipe_selection::Grant;
use tokio::time::Instant;

use crate::Log;

/// Where delivery begins, and what is missing before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// Everything up to here is behind the client.
    pub(crate) cursor: u64,
    /// What it is told first.
    pub(crate) gap: Option<Gap>,
}

/// Before which time nothing is for a client that may go back as far as `history`, of what the log holds.
pub(crate) fn reach(history: Option<Duration>, now: Instant) -> Option<Instant> {
    // A clock that has not run for as long has nothing older to hold back.
    history.and_then(|history| now.checked_sub(history))
}

/// What of the log is there for a client, besides what its grant says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Past {
    /// What came before is not for it. See [`reach`].
    pub(crate) reach: Option<Instant>,
    /// Up to and with this place, nobody collected what it asks for.
    pub(crate) since: u64,
}

/// Resolves `after` against the log as it is now, of which there is `past` for this client; an event that `grant` does not
/// show is not found by its id.
///
/// # Errors
/// `FUTURE_CURSOR` if it is ahead of this log; `HISTORY_EXPIRED` if something is missing and `on_gap` is `fail`.
pub(crate) fn start(after: &After, on_gap: OnGap, grant: &Grant, log: &dyn Log, past: Past) -> Result<Start, Refusal> {
    let bounds = log.bounds();
    let reached = past.reach.map_or(bounds.floor, |reach| log.since(reach));
    let floor = reached.max(bounds.floor).max(past.since + 1);
    let from_floor = Start { cursor: floor - 1, gap: None };
    let After::Cursor(cursor) = after else { return Ok(from_floor) };
    let Cursor { epoch, seq, id } = cursor;
    let place = if *epoch == log.epoch() {
        if *seq > bounds.head {
            let message = format!("`after` is {cursor}, but the last event of this log is {}", bounds.head);
            return Err(Refusal::new(ErrorCode::FutureCursor, message)
                .hint("resume from a cursor that this server has told you"));
        }
        Some(*seq)
    } else {
        id.as_deref().and_then(|id| log.find(id)).filter(|seq| is_shown(*seq, grant, log))
    };
    let gap = match place {
        Some(cursor) if cursor + 1 >= floor => return Ok(Start { cursor, gap: None }),
        Some(seq) => Gap { from: Some(seq + 1), to: Some(floor - 1), matched: None, reason: GapReason::HistoryExpired },
        None => Gap { from: None, to: None, matched: None, reason: GapReason::EpochChanged },
    };
    match on_gap {
        OnGap::Continue => Ok(Start { gap: Some(gap), ..from_floor }),
        OnGap::Fail => {
            let message = match gap.reason {
                GapReason::EpochChanged => {
                    format!("`after` is {cursor}, of another log than this one ({})", log.epoch())
                }
                _ if floor > bounds.floor => {
                    format!("`after` is {cursor}, but what this client may see of the past begins at {floor}")
                }
                _ => format!("`after` is {cursor}, but this log begins at {floor}"),
            };
            Err(Refusal::new(ErrorCode::HistoryExpired, message)
                .hint("after=earliest begins with what is held; on_gap=continue tells the gap and goes on"))
        }
    }
}

/// The id of the event at this place, for the cursor of a client with this grant: nothing of what it may not see.
pub(crate) fn id_at(seq: u64, grant: &Grant, log: &dyn Log) -> Option<Box<str>> {
    if is_shown(seq, grant, log) { log.id_at(seq) } else { None }
}

fn is_shown(seq: u64, grant: &Grant, log: &dyn Log) -> bool {
    if grant.shows_everything() {
        return true;
    }
    let mut found = Vec::new();
    let Some(before) = seq.checked_sub(1) else { return false };
    log.read(None, before, seq, 1, &mut found).is_ok() && found.iter().all(|record| grant.shows(record.view()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Ring};
    use standpipe_protocol::{Epoch, Event, Json, Topic};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_a_clients_reach_is_missing_for_it_as_if_the_log_did_not_hold_it() {
        let log = log();
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(60)).await;
        let later = Event { id: Some("id6".into()), ..event(6) };
        log.append(vec![later], Instant::now(), &mut Vec::new());
        let expired =
            |from| Some(Gap { from: Some(from), to: Some(5), matched: None, reason: GapReason::HistoryExpired });
        for (after, reach, cursor, gap) in [
            (After::Earliest, 60, 5, None),
            (at(7, 3, None), 60, 5, expired(4)),
            (at(7, 5, None), 60, 5, None),
            (at(8, 9, Some("id4")), 60, 5, expired(5)),
            (at(7, 3, None), 0, 3, None),
            (at(7, 6, None), 61, 6, None),
        ] {
            let reach = Some(begun + Duration::from_secs(reach));
            let started = start(&after, OnGap::Continue, &Grant::everything(), &log, Past { reach, since: 0 });
            assert_eq!(started, Ok(Start { cursor, gap: gap.clone() }), "{after}");
            assert_eq!(
                start(&after, OnGap::Fail, &Grant::everything(), &log, Past { reach, since: 0 }).is_err(),
                gap.is_some(),
                "{after}"
            );
        }
        let nothing = Some(begun + Duration::from_secs(61));
        assert_eq!(
            start(&After::Earliest, OnGap::Continue, &Grant::everything(), &log, Past { reach: nothing, since: 0 }),
            Ok(Start { cursor: 6, gap: None })
        );
    }

    fn log() -> Ring {
        let config = Config::of_events(3);
        let ring = Ring::new(Epoch(7), &config);
        ring.append((1..=5).map(event).collect(), Instant::now(), &mut Vec::new());
        ring
    }

    fn event(n: u64) -> Event {
        Event {
            topic: Topic::new("t").unwrap(),
            key: None,
            id: Some(format!("id{n}").into()),
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse("1").unwrap(),
        }
    }

    fn at(epoch: u64, seq: u64, id: Option<&str>) -> After {
        After::Cursor(Cursor { epoch: Epoch(epoch), seq, id: id.map(Into::into) })
    }

    #[test]
    fn the_cursor_rule() {
        let expired = Gap { from: Some(1), to: Some(2), matched: None, reason: GapReason::HistoryExpired };
        let changed = Gap { from: None, to: None, matched: None, reason: GapReason::EpochChanged };
        for (after, cursor, gap) in [
            (After::Earliest, 2, None),
            (at(7, 5, None), 5, None),
            (at(7, 3, None), 3, None),
            (at(7, 2, None), 2, None),
            (at(7, 0, None), 2, Some(expired)),
            (at(8, 99, Some("id4")), 4, None),
            (at(8, 99, Some("id1")), 2, Some(changed.clone())),
            (at(8, 4, None), 2, Some(changed)),
        ] {
            assert_eq!(
                start(&after, OnGap::Continue, &Grant::everything(), &log(), Past::default()),
                Ok(Start { cursor, gap: gap.clone() }),
                "{after}"
            );
            let strict = start(&after, OnGap::Fail, &Grant::everything(), &log(), Past::default());
            assert_eq!(strict.map_err(|r| r.code).is_err(), gap.is_some(), "{after}");
        }
        assert_eq!(
            start(&at(7, 6, None), OnGap::Continue, &Grant::everything(), &log(), Past::default()).unwrap_err().code,
            ErrorCode::FutureCursor
        );
    }
}
