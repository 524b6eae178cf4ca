//! From a frame that waits to the bytes of its transport.
//!
//! What waits is a WebSocket frame, made once for all who get it. To a WebSocket it goes as it is. In an event stream its
//! payload, which is JSON on one line, stands between what the format of server-sent events puts around it (HTML §9.2.6),
//! so that nothing is encoded anew:
//!
//! ```text
//! id: 9f…01:1042:t-17     where a message says a place to resume from; the event's own id finds it in another log
//! data: {"op":"event",…}
//!
//! id: 9f…01:1043
//! : heartbeat             a comment: the `id` counts, and no message is dispatched
//!
//! ```

use std::{fmt::Write as _, io::Write as _};

use bytes::Bytes;
use standpipe_protocol::{Cursor, Epoch, cursor::MAX_CURSOR_BYTES, frame};

use crate::{
    Mark,
    queued::{Body, Queued},
};

/// How the frames of one connection are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    /// As they are.
    WebSocket,
    /// As messages of an event stream, whose places are in this log.
    Sse(Epoch),
}

/// `id: `, and a place: 16 digits, a colon, at most 16 digits.
type Place = [u8; 40];

/// A message in pieces, of which some are empty.
type Pieces<'a> = [&'a [u8]; 6];

impl Framing {
    /// How many bytes are written for a frame.
    pub(crate) fn len(self, queued: &Queued) -> usize {
        match self {
            Self::WebSocket => queued.len(),
            Self::Sse(epoch) => pieces(epoch, queued, &mut [0; 40]).iter().map(|piece| piece.len()).sum(),
        }
    }

    /// Puts all but the first `offset` bytes of a frame behind `out`.
    pub(crate) fn put(self, queued: &Queued, offset: usize, out: &mut Vec<u8>) {
        match self {
            Self::WebSocket => out.extend_from_slice(queued.frame().get(offset..).unwrap_or_default()),
            Self::Sse(epoch) => {
                let mut skip = offset;
                for piece in pieces(epoch, queued, &mut [0; 40]) {
                    out.extend_from_slice(piece.get(skip..).unwrap_or_default());
                    skip = skip.saturating_sub(piece.len());
                }
            }
        }
    }

    /// Gives `write` what can be written by reference from `offset` on: as much as lies together.
    pub(crate) fn refer<T>(self, queued: &Queued, offset: usize, write: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::WebSocket => write(queued.frame().get(offset..).unwrap_or_default()),
            Self::Sse(epoch) => {
                let mut skip = offset;
                for piece in pieces(epoch, queued, &mut [0; 40]) {
                    if skip < piece.len() {
                        return write(piece.get(skip..).unwrap_or_default());
                    }
                    skip -= piece.len();
                }
                write(&[])
            }
        }
    }
}

/// A message of an event stream.
fn pieces<'a>(epoch: Epoch, queued: &'a Queued, place: &'a mut Place) -> Pieces<'a> {
    if matches!(queued.mark, Mark::Plain | Mark::Heartbeat(_)) {
        return [queued.frame(), &[], &[], &[], &[], &[]];
    }
    let payload = frame::payload(queued.frame());
    let Some(seq) = queued.mark.position() else { return [b"data: ", payload, b"\n\n", &[], &[], &[]] };
    let mut rest = &mut place[..];
    let written = write!(rest, "id: {}", Cursor { epoch, seq, id: None });
    debug_assert!(written.is_ok(), "{seq} has its place");
    let left = rest.len();
    let place = place.get(..place.len() - left).unwrap_or_default();
    let (colon, id): (&[u8], &[u8]) = id(queued, seq).map_or((&[], &[]), |id| (b":", id.as_bytes()));
    [place, colon, id, b"\ndata: ", payload, b"\n\n"]
}

/// The id of the event at `seq`, if that is what waits, and its id can be part of a cursor.
fn id(queued: &Queued, seq: u64) -> Option<&str> {
    let Body::Record(record) = &queued.body else { return None };
    record.id.as_deref().filter(|id| record.seq == seq && may_be_told(id))
}

/// Whether an event's id can be part of an `id`: of a cursor that is read again, on one line, and in a header (HTML §9.2.6: an
/// `id` with a NUL does not count).
fn may_be_told(id: &str) -> bool {
    id.len() + size_of::<Place>() <= MAX_CURSOR_BYTES && !id.contains(['\0', '\r', '\n'])
}

/// A heartbeat of an event stream, and the place that it tells.
pub(crate) fn heartbeat(cursor: Option<&Cursor>) -> Bytes {
    let mut text = String::new();
    if let Some(cursor) = cursor {
        let place = Cursor { id: cursor.id.clone().filter(|id| may_be_told(id)), ..*cursor };
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "id: {place}");
    }
    text.push_str(": heartbeat\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use standpipe_protocol::{Event, Json, Record, Topic};
    use tokio::time::Instant;

    use super::*;

    const SSE: Framing = Framing::Sse(Epoch(0x9f));

    fn queued(text: &str, mark: Mark) -> Queued {
        let frame = if mark == Mark::Plain { Bytes::copy_from_slice(text.as_bytes()) } else { frame::text(text) };
        Queued::own(frame, mark, Instant::now())
    }

    fn event(seq: u64, id: &str, mark: Mark) -> Queued {
        let event = Event {
            topic: Topic::new("t").unwrap(),
            key: None,
            id: Some(id.into()),
            ts: None,
            n: None,
            source: "s".into(),
            data: Json::written("1"),
        };
        Queued { body: Body::Record(Arc::new(Record::new(seq, event))), mark, at: Instant::now() }
    }

    fn written(framing: Framing, queued: &Queued) -> String {
        let mut out = Vec::new();
        framing.put(queued, 0, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_says_its_place_if_it_has_one() {
        let last = standpipe_protocol::MAX_SEQ;
        for (mark, expected) in [
            (Mark::Event(7), "id: 000000000000009f:7\ndata: {}\n\n".to_owned()),
            (Mark::Position(last), format!("id: 000000000000009f:{last}\ndata: {{}}\n\n")),
            (Mark::Replayed, "data: {}\n\n".to_owned()),
            (Mark::Farewell, "data: {}\n\n".to_owned()),
            (Mark::Plain, "{}".to_owned()),
        ] {
            assert_eq!(written(SSE, &queued("{}", mark)), expected);
        }
        let (event, mut whole) = (queued("{}", Mark::Event(7)), Vec::new());
        Framing::WebSocket.put(&event, 0, &mut whole);
        assert_eq!(whole, event.frame());
    }

    #[test]
    fn the_id_of_an_event_is_part_of_its_place_if_it_is_that_event_and_can_be() {
        let id = |queued: &Queued| written(SSE, queued).lines().next().unwrap().to_owned();
        assert_eq!(id(&event(7, "a:b ü", Mark::Event(7))), "id: 000000000000009f:7:a:b ü");
        assert_eq!(id(&event(9, "newer", Mark::Event(7))), "id: 000000000000009f:7", "it stands for an older one");
        for no_id in ["a\nid: evil", "a\rb", "\0", &"x".repeat(MAX_CURSOR_BYTES)] {
            assert_eq!(id(&event(7, no_id, Mark::Event(7))), "id: 000000000000009f:7");
        }
        assert!(written(SSE, &event(7, "x", Mark::Replayed)).starts_with("data: "));
    }

    #[test]
    fn a_heartbeat_is_a_comment_that_says_a_place() {
        let cursor = |id: Option<&str>| Cursor { epoch: Epoch(0x9f), seq: 8, id: id.map(Into::into) };
        assert_eq!(heartbeat(Some(&cursor(Some("x")))), "id: 000000000000009f:8:x\n: heartbeat\n\n");
        assert_eq!(heartbeat(Some(&cursor(Some("x\ny")))), "id: 000000000000009f:8\n: heartbeat\n\n");
        assert_eq!(heartbeat(None), ": heartbeat\n\n");
    }

    proptest! {
        #[test]
        fn from_wherever_it_is_gone_on_with_the_bytes_are_the_same(
            text in "[a-z]{0,200}", seq in 0..standpipe_protocol::MAX_SEQ, kind in 0_usize..4, offset in 0_usize..300
        ) {
            let mark = [Mark::Event(seq), Mark::Replayed, Mark::Plain][kind % 3];
            let queued = if kind == 3 { event(seq, &text, mark) } else { queued(&text, mark) };
            for framing in [Framing::WebSocket, SSE] {
                let mut all = Vec::new();
                framing.put(&queued, 0, &mut all);
                prop_assert_eq!(framing.len(&queued), all.len());
                let offset = offset.min(all.len());
                let (mut put, mut referred) = (Vec::new(), Vec::new());
                framing.put(&queued, offset, &mut put);
                prop_assert_eq!(&put, &all[offset..]);
                while offset + referred.len() < all.len() {
                    let at = offset + referred.len();
                    framing.refer(&queued, at, |piece| referred.extend_from_slice(piece));
                    prop_assert!(at < offset + referred.len());
                }
                prop_assert_eq!(&referred, &all[offset..]);
            }
        }
    }
}
