//! The two ways of saying the same: what a publisher posts, and what a frame means.
//!
//! All servers take `POST /publish` and deliver it to the clients that connected to `/ws?topics=a,b`. Most deliver the
//! body as it came; Standpipe takes an event and delivers an envelope. In both, the event's number is the last thing
//! in the payload, so that it is found without reading the rest.

use std::io::Write as _;

use crate::frame::{Frame, Opcode};

/// Events are numbered from here, so that a number always has ten digits.
pub const FIRST_NUMBER: u32 = 1_000_000_000;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The topic stands in the URL; the payload is the message.
    Plain,
    /// Standpipe's own.
    Standpipe,
}

/// What a frame from the server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// The event of this number.
    Event(u32),
    /// All topics are subscribed to.
    Subscribed,
    /// To be answered.
    Ping(&'a [u8]),
    /// Standpipe's first message.
    Welcome(&'a [u8]),
    /// A heartbeat, a pong.
    Nothing,
    /// Something that tells of a loss or an end.
    Complaint(&'a [u8]),
}

impl Dialect {
    /// Whether a client may count on its topics as soon as it is connected.
    pub fn subscribes_by_connecting(self) -> bool {
        self == Self::Plain
    }

    /// What `frame` means.
    pub fn read<'a>(self, frame: &Frame<'a>) -> Meaning<'a> {
        let payload = frame.payload;
        match (frame.opcode, self) {
            (Opcode::Ping, _) => Meaning::Ping(payload),
            (Opcode::Pong, _) => Meaning::Nothing,
            (Opcode::Close, _) => Meaning::Complaint(payload),
            (_, Self::Plain) => event(payload),
            (_, Self::Standpipe) => match payload {
                [b'{', b'"', b'o', b'p', b'"', b':', b'"', op @ ..] => match op {
                    [b'e', b'v', b'e', b'n', b't', b'"', ..] => event(payload),
                    [b's', b'u', b'b', b's', ..] => Meaning::Subscribed,
                    [b'w', b'e', b'l', b'c', ..] => Meaning::Welcome(payload),
                    [b'h', b'e', b'a', b'r', ..] | [b's', b'o', b'u', b'r', ..] => Meaning::Nothing,
                    _ => Meaning::Complaint(payload),
                },
                _ => Meaning::Complaint(payload),
            },
        }
    }

    /// Makes the request that publishes the event `number` to `topic`.
    pub fn request(self, out: &mut Vec<u8>, topic: &str, fields: &str, bytes: usize, number: u32) {
        let mut body = Vec::with_capacity(bytes + 64);
        if self == Self::Standpipe {
            body.extend_from_slice(b"{\"topic\":\"");
            body.extend_from_slice(topic.as_bytes());
            body.extend_from_slice(b"\",\"data\":");
        }
        payload(&mut body, fields, bytes, number);
        let query = match self {
            Self::Standpipe => String::new(),
            Self::Plain => format!("?topic={topic}"),
        };
        if self == Self::Standpipe {
            body.push(b'}');
        }
        post(out, &format!("/publish{query}"), &body);
    }
}

/// Appends a request.
pub fn post(out: &mut Vec<u8>, path: &str, body: &[u8]) {
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(body);
}

/// Appends a payload of `bytes` bytes, or of as many as its `fields` (`"a":1,` and so on) take.
pub fn payload(out: &mut Vec<u8>, fields: &str, bytes: usize, number: u32) {
    const AROUND: usize = r#"{"pad":"","n":1000000000}"#.len();
    let _ = write!(out, "{{{fields}\"pad\":\"");
    let padding = bytes.saturating_sub(AROUND + fields.len());
    out.resize(out.len() + padding, b'.');
    let _ = write!(out, "\",\"n\":{number}}}");
}

/// The event whose payload stands at the end of `text`.
fn event(text: &[u8]) -> Meaning<'_> {
    let end = text.iter().rposition(|byte| *byte != b'}').map_or(0, |last| last + 1);
    let digits = end.checked_sub(10).and_then(|begin| text.get(begin..end));
    let number = digits.and_then(|digits| {
        digits.iter().try_fold(0_u32, |number, digit| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            if digit > 9 { None } else { number.checked_mul(10)?.checked_add(digit) }
        })
    });
    number.map_or(Meaning::Complaint(text), Meaning::Event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &[u8]) -> Frame<'_> {
        Frame { opcode: Opcode::Text, payload }
    }

    #[test]
    fn a_payload_has_the_size_that_was_asked_for_and_tells_its_number() {
        for bytes in [40, 250, 4096] {
            let mut out = Vec::new();
            payload(&mut out, r#""author":"a7","#, bytes, FIRST_NUMBER + 17);
            assert_eq!(out.len(), bytes);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["author"], "a7");
            assert_eq!(Dialect::Plain.read(&text(&out)), Meaning::Event(FIRST_NUMBER + 17));
            let envelope = format!(r#"{{"op":"event","seq":1,"data":{}}}"#, String::from_utf8(out).unwrap());
            assert_eq!(Dialect::Standpipe.read(&text(envelope.as_bytes())), Meaning::Event(FIRST_NUMBER + 17));
        }
    }

    #[test]
    fn messages_of_standpipe_are_told_apart() {
        for (payload, meaning) in [
            (r#"{"op":"subscribed","topics":[]}"#, Meaning::Subscribed),
            (r#"{"op":"heartbeat","cursor":"x:1"}"#, Meaning::Nothing),
            (r#"{"op":"source","source":"in"}"#, Meaning::Nothing),
            (r#"{"op":"event","seq":1}"#, Meaning::Complaint(br#"{"op":"event","seq":1}"#)),
            (r#"{"op":"gap","from":1}"#, Meaning::Complaint(br#"{"op":"gap","from":1}"#)),
            ("x", Meaning::Complaint(b"x")),
        ] {
            assert_eq!(Dialect::Standpipe.read(&text(payload.as_bytes())), meaning, "{payload}");
        }
    }

    #[test]
    fn the_request_is_what_each_server_takes() {
        for (dialect, path, begin) in [
            (Dialect::Plain, "/publish?topic=t.1", r#"{"pad":"."#),
            (Dialect::Standpipe, "/publish", r#"{"topic":"t.1","data":{"pad":"."#),
        ] {
            let mut out = Vec::new();
            dialect.request(&mut out, "t.1", "", 100, FIRST_NUMBER);
            let out = String::from_utf8(out).unwrap();
            let (head, body) = out.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            assert!(body.starts_with(begin), "{body}");
        }
    }
}
