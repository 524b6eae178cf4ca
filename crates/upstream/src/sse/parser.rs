//! The form of a stream of server-sent events (WHATWG HTML §9.2.6), read as it comes, within a bound.

use std::time::Duration;

use bytes::Bytes;

/// The longest id that is kept, in bytes.
const MAX_ID_BYTES: usize = 1024;

/// What a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// An event with data.
    Event {
        /// Its data, as it stands there.
        data: Bytes,
        /// Its type, if it has one.
        event: Option<Box<str>>,
    },
    /// How long to wait after the end of the stream.
    Retry(Duration),
}

/// A line, or an event, is longer than the bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// A stream, read up to some place in it.
#[derive(Debug)]
pub(super) struct Parser {
    max: usize,
    /// The line that has begun.
    line: Vec<u8>,
    /// The last byte ended a line as a carriage return: a line feed now is a part of that.
    after_return: bool,
    is_first_line: bool,
    data: Vec<u8>,
    event: Option<Box<str>>,
    id: Option<Vec<u8>>,
    /// The id of the last event that is complete.
    last_id: Option<Vec<u8>>,
}

impl Parser {
    /// A stream of which no line and no event has more than `max` bytes. It goes on behind the event `last_id`.
    pub(super) fn new(max: usize, last_id: Option<Vec<u8>>) -> Self {
        Self {
            max,
            line: Vec::new(),
            after_return: false,
            is_first_line: true,
            data: Vec::new(),
            event: None,
            id: None,
            last_id,
        }
    }

    /// The id of the last event that is complete, or of one before it.
    pub(super) fn last_id(&self) -> Option<&[u8]> {
        self.last_id.as_deref()
    }

    /// Reads on in `rest`, and takes from it what was read. None once all of it was.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Result<Heard, TooLong>> {
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(behind) = rest.strip_prefix(b"\n")
            {
                *rest = behind;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (begun, behind) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + self.data.len() + begun.len() > self.max {
                return Some(Err(TooLong));
            }
            self.line.extend_from_slice(begun);
            *rest = behind;
            let Some((end, behind)) = rest.split_first() else { break };
            self.after_return = *end == b'\r';
            *rest = behind;
            let line = std::mem::take(&mut self.line);
            let heard = self.read(&line);
            self.line = line;
            self.line.clear();
            if let Some(heard) = heard {
                return Some(Ok(heard));
            }
        }
        None
    }

    fn read(&mut self, line: &[u8]) -> Option<Heard> {
        let is_first = std::mem::take(&mut self.is_first_line);
        let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| is_first).unwrap_or(line);
        if line.is_empty() {
            return self.dispatch();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.event = (!value.is_empty()).then(|| String::from_utf8_lossy(value).into());
            }
            b"id" if value.len() <= MAX_ID_BYTES && !value.contains(&0) => self.id = Some(value.to_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
                return Some(Heard::Retry(Duration::from_millis(millis)));
            }
            // A comment has no name. Fields that are not known are passed over, as the form has it.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Heard> {
        if let Some(id) = self.id.take() {
            // An empty one says that there is none from here on.
            self.last_id = Some(id).filter(|id| !id.is_empty());
        }
        let event = self.event.take();
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        (!data.is_empty()).then(|| Heard::Event { data: data.into(), event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(parser: &mut Parser, pieces: &[&[u8]]) -> Result<Vec<Heard>, TooLong> {
        let mut all = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(heard) = parser.next(&mut rest) {
                all.push(heard?);
            }
        }
        Ok(all)
    }

    fn event(data: &'static str, event: Option<&str>) -> Heard {
        Heard::Event { data: data.into(), event: event.map(Into::into) }
    }

    #[test]
    fn the_examples_of_the_standard_are_read_as_it_says() {
        let of = |text: &str| heard(&mut Parser::new(1000, None), &[text.as_bytes()]).unwrap();
        assert_eq!(of("data: YHOO\ndata: +2\ndata: 10\n\n"), [event("YHOO\n+2\n10", None)]);
        assert_eq!(of("data\n\ndata\ndata\n\ndata:"), [event("\n", None)]);
        assert_eq!(of("data:test\n\ndata: test\n\n"), [event("test", None), event("test", None)]);
        assert_eq!(of("event: add\ndata: 1\n\ndata: 2\n\n"), [event("1", Some("add")), event("2", None)]);
        assert_eq!(of("\u{feff}data: 1\r\n\r\n: comment\rdata: 2\r\r"), [event("1", None), event("2", None)]);
        assert_eq!(of("retry: 1500\nretry: soon\n\n"), [Heard::Retry(Duration::from_millis(1500))]);
        assert_eq!(of("data: not ended\n"), []);
    }

    #[test]
    fn the_id_counts_once_its_event_is_complete() {
        let mut parser = Parser::new(1000, None);
        heard(&mut parser, &[b"id: 1\ndata: a\n"]).unwrap();
        assert_eq!(parser.last_id(), None);
        heard(&mut parser, &[b"\nid: 2"]).unwrap();
        assert_eq!(parser.last_id(), Some(&b"1"[..]));
        heard(&mut parser, &[b"\n\nid: 3\0\n\n"]).unwrap();
        assert_eq!(parser.last_id(), Some(&b"2"[..]));
        heard(&mut parser, &[b"id\n\n"]).unwrap();
        assert_eq!(parser.last_id(), None);
    }

    #[test]
    fn neither_a_line_nor_an_event_grows_beyond_the_bound() {
        assert_eq!(heard(&mut Parser::new(10, None), &[b"data: 0123", b"4567"]), Err(TooLong));
        assert_eq!(heard(&mut Parser::new(10, None), &[b"data: 012\n", b"data: 345\n"]), Err(TooLong));
        assert_eq!(heard(&mut Parser::new(10, None), &[b": 01234567\n", b": 01234567\n"]), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn where_a_stream_is_cut_into_pieces_does_not_matter(
            lines in prop::collection::vec("(data|event|id|retry|x)?(:| )? ?[a0\u{e9}]{0,3}", 0..20),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 20),
            cuts in prop::collection::vec(1_usize..5, 1..20),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let whole = heard(&mut Parser::new(10_000, None), &[text.as_bytes()]);
            let (mut pieces, mut rest, mut cuts) = (Vec::new(), text.as_bytes(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            prop_assert_eq!(heard(&mut Parser::new(10_000, None), &pieces), whole);
        }
    }
}
