//! As much of HTTP/1.1 (RFC 9112) as publishing and the handshake need, read in place from a stream of bytes.
//!
//! Bodies have a `Content-Length`; other framing is a fault, so that it is noticed.

use anyhow::{Context as _, bail};

/// The `Sec-WebSocket-Key` of all clients, and the answer to it: the example of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// See [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A head with what stands behind it: the first line, the headers, the body.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `POST /publish HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first_line: &'a str,
    headers: &'a str,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message in `bytes` and what stands behind it; nothing if it has not come completely.
    ///
    /// # Errors
    /// If it is not one.
    pub fn first(bytes: &'a [u8]) -> anyhow::Result<Option<(Self, &'a [u8])>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let (head, behind) = bytes.split_at(end);
        let head = std::str::from_utf8(head).context("read the head of a message")?;
        let (first_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let mut message = Self { first_line, headers, body: &[] };
        if message.header("Transfer-Encoding").is_some() {
            bail!("a body without a length is not read here");
        }
        let length = message.header("Content-Length").map_or(Ok(0), str::parse).context("read a length")?;
        let Some((body, rest)) = behind.get(4..).and_then(|behind| behind.split_at_checked(length)) else {
            return Ok(None);
        };
        message.body = body;
        Ok(Some((message, rest)))
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut lines = self.headers.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.first_line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// The method, the path and the value of one query parameter of a request.
    pub fn target(&self, parameter: &str) -> Option<(&'a str, &'a str, &'a str)> {
        let mut words = self.first_line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(name, _)| *name == parameter).map_or("", |(_, value)| value);
        Some((method, path, value))
    }
}

/// The request that opens a WebSocket.
pub fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_once_it_is_whole() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-length:  3\r\nX: y\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\n";
        let whole = bytes.len() - b"HTTP/1.1 204 No Content\r\n\r\n".len();
        for end in 0..bytes.len() {
            let found = Message::first(&bytes[..end]).unwrap().map(|(message, rest)| (message.body, rest.len()));
            assert_eq!(found, (end >= whole).then(|| (&b"abc"[..], end - whole)), "{end}");
        }
        let (message, rest) = Message::first(bytes).unwrap().unwrap();
        assert_eq!((message.status(), message.header("x")), (Some(200), Some("y")));
        let (message, rest) = Message::first(rest).unwrap().unwrap();
        assert_eq!((message.status(), message.body, rest), (Some(204), &[][..], &[][..]));
    }

    #[test]
    fn a_request_is_told_by_its_parts() {
        let request = upgrade("/ws?x=1&topics=a,b");
        let (message, _) = Message::first(request.as_bytes()).unwrap().unwrap();
        assert_eq!(message.target("topics"), Some(("GET", "/ws", "a,b")));
        assert_eq!(message.header("Sec-WebSocket-Key"), Some(KEY));
    }

    #[test]
    fn another_framing_is_a_fault() {
        assert!(Message::first(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }
}
