//! Where delivery begins: the cursor rule for `after`. Pure.

use standpipe_protocol::{After, Cursor, ErrorCode, Gap, GapReason, OnGap, Refusal};

use crate::Log;

/// Where delivery begins, and what is missing before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// Everything up to here is behind the client.
    pub(crate) cursor: u64,
    /// What it is told first.
    pub(crate) gap: Option<Gap>,
}

/// Resolves `after` against the log as it is now.
///
/// # Errors
/// `FUTURE_CURSOR` if it is ahead of this log; `HISTORY_EXPIRED` if something is missing and `on_gap` is `fail`.
pub(crate) fn start(after: &After, on_gap: OnGap, log: &dyn Log) -> Result<Start, Refusal> {
    let bounds = log.bounds();
    let floor = Start { cursor: bounds.floor - 1, gap: None };
    let After::Cursor(cursor) = after else { return Ok(floor) };
    let Cursor { epoch, seq, id } = cursor;
    let gap = if *epoch == log.epoch() {
        if *seq > bounds.head {
            let message = format!("`after` is {cursor}, but the last event of this log is {}", bounds.head);
            return Err(Refusal::new(ErrorCode::FutureCursor, message)
                .hint("resume from a cursor that this server has told you"));
        }
        if *seq + 1 >= bounds.floor {
            return Ok(Start { cursor: *seq, gap: None });
        }
        Gap { from: Some(*seq + 1), to: Some(bounds.floor - 1), matched: None, reason: GapReason::HistoryExpired }
    } else {
        if let Some(cursor) = id.as_deref().and_then(|id| log.find(id)) {
            return Ok(Start { cursor, gap: None });
        }
        Gap { from: None, to: None, matched: None, reason: GapReason::EpochChanged }
    };
    match on_gap {
        OnGap::Continue => Ok(Start { gap: Some(gap), ..floor }),
        OnGap::Fail => {
            let message = match gap.reason {
                GapReason::EpochChanged => {
                    format!("`after` is {cursor}, of another log than this one ({})", log.epoch())
                }
                _ => format!("`after` is {cursor}, but this log begins at {}", bounds.floor),
            };
            Err(Refusal::new(ErrorCode::HistoryExpired, message)
                .hint("after=earliest begins with what is held; on_gap=continue tells the gap and goes on"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Ring};
    use standpipe_protocol::{Epoch, Event, Json, Topic};
    use tokio::time::Instant;

    fn log() -> Ring {
        let config = Config::of_events(3);
        let ring = Ring::new(Epoch(7), &config);
        let events = (1..=5).map(|n| Event {
            topic: Topic::new("t").unwrap(),
            key: None,
            id: Some(format!("id{n}").into()),
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::parse("1").unwrap(),
        });
        ring.append(events.collect(), Instant::now(), &mut Vec::new());
        ring
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
            assert_eq!(start(&after, OnGap::Continue, &log()), Ok(Start { cursor, gap: gap.clone() }), "{after}");
            let strict = start(&after, OnGap::Fail, &log());
            assert_eq!(strict.map_err(|r| r.code).is_err(), gap.is_some(), "{after}");
        }
        assert_eq!(start(&at(7, 6, None), OnGap::Continue, &log()).unwrap_err().code, ErrorCode::FutureCursor);
    }
}
