//! What hyper does not do for us about the head of a request.
//!
//! **Characters of a URL.** `>` is a wildcard and filters are JSON, but `>`, `<` and `"` have to be escaped in a URL
//! (RFC 3986 §2.1). Browsers and Node do that by themselves; curl and Python send what they were given, and hyper refuses it.
//! In the first line of a connection, where every handshake is, such characters are escaped on their way in.
//!
//! **Words.** hyper refuses a head that is too large, or is none, before any service sees it: a status, and nothing that
//! would tell a client what to do instead. It cannot be told to say more, so its answer is held back on its way out, and ours
//! is written once hyper has ended.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    connection::MAX_HEAD_BYTES,
    rejection::{Fault, Rejection},
};

/// How hyper's own answers begin, and what they mean.
///
/// Invariant: no route answers with 431 or 414, and none with 400 and no body.
const OWN_ANSWERS: [(&[u8], Fault); 6] = [
    (b"HTTP/1.1 431 ", Fault::HeadTooLarge),
    (b"HTTP/1.0 431 ", Fault::HeadTooLarge),
    (b"HTTP/1.1 414 ", Fault::HeadTooLarge),
    (b"HTTP/1.0 414 ", Fault::HeadTooLarge),
    (b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n", Fault::BadRequest),
    (b"HTTP/1.0 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n", Fault::BadRequest),
];

/// What is read at once of the first line.
const PIECE: usize = 1024;

/// A stream whose first line is mended, and that does not let hyper's own answers pass.
///
/// hyper flushes one answer before it reads the next request, unless requests came at once (pipelining): then its own
/// answer may leave together with the one before it, and passes.
#[derive(Debug)]
pub(crate) struct Head<T> {
    stream: T,
    /// The first line has come to its end.
    is_past_first_line: bool,
    /// Read, mended, and not yet handed on.
    mended: VecDeque<u8>,
    held_back: Option<Fault>,
}

impl<T> Head<T> {
    pub(crate) fn new(stream: T) -> Self {
        Self { stream, is_past_first_line: false, mended: VecDeque::new(), held_back: None }
    }

    /// The stream, what was read of it and not handed on, and what is still to be said on it.
    pub(crate) fn into_parts(self) -> (T, VecDeque<u8>, Option<Rejection>) {
        (self.stream, self.mended, self.held_back.map(in_our_words))
    }

    /// Whether `text` is hyper's own answer, which is then taken as written.
    fn holds_back(&mut self, text: &[u8]) -> bool {
        let own = OWN_ANSWERS.iter().find(|(start, _)| text.starts_with(start));
        self.held_back = own.map(|(_, fault)| *fault).or(self.held_back);
        own.is_some()
    }

    fn mend(&mut self, piece: &[u8]) {
        for byte in piece {
            self.is_past_first_line |= *byte == b'\n';
            let is_refused = matches!(byte, b'"' | b'<' | b'>' | 0x80..);
            if is_refused && !self.is_past_first_line {
                self.mended.extend([b'%', hex(byte >> 4), hex(byte & 0xF)]);
            } else {
                self.mended.push_back(*byte);
            }
        }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let (front, _) = self.mended.as_slices();
        let handed = front.len().min(buf.remaining());
        buf.put_slice(front.get(..handed).unwrap_or_default());
        self.mended.drain(..handed);
        if self.mended.is_empty() {
            self.mended = VecDeque::new();
        }
    }
}

/// One digit, below 16.
fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'A' + digit - 10 }
}

fn in_our_words(fault: Fault) -> Rejection {
    if fault == Fault::HeadTooLarge {
        let message = format!("the head of the request, with its URL, has more than {MAX_HEAD_BYTES} bytes");
        return Rejection::new(fault, message).hint(
            "connect without a selection, and send it: {\"op\":\"subscribe\",\"topics\":[\"…\"],\"filter\":{…}}",
        );
    }
    Rejection::new(fault, "the request is not as HTTP/1.1 has it: its first line, or a header")
        .hint("in a URL a space is %20, `>` is %3E, `<` is %3C, `\"` is %22")
}

impl<T: AsyncRead + Unpin> AsyncRead for Head<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let head = self.get_mut();
        if head.mended.is_empty() {
            if head.is_past_first_line {
                return Pin::new(&mut head.stream).poll_read(cx, buf);
            }
            let mut space = [0; PIECE];
            let mut piece = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut head.stream).poll_read(cx, &mut piece))?;
            head.mend(piece.filled());
        }
        head.hand_on(buf);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Head<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.holds_back(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.first().is_some_and(|first| self.holds_back(first)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn hypers_own_answers_are_held_back_and_all_others_pass() {
        for (own, code) in [
            ("HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n", "HEAD_TOO_LARGE"),
            ("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "BAD_REQUEST"),
        ] {
            let (ours, mut theirs) = duplex(1024);
            let mut stream = Head::new(ours);
            let passes = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\r\n";
            stream.write_all(passes.as_bytes()).await.unwrap();
            assert_eq!(stream.held_back, None);
            stream.write_all(own.as_bytes()).await.unwrap();
            let (stream, _, last) = stream.into_parts();
            assert!(last.unwrap().json().contains(code));
            drop(stream);
            let mut written = String::new();
            theirs.read_to_string(&mut written).await.unwrap();
            assert_eq!(written, passes);
        }
    }

    #[tokio::test]
    async fn what_a_url_must_not_hold_is_escaped_in_the_first_line_and_nowhere_else() {
        let sent = "GET /ws?topics=a.>,ü&filter={\"a\":\"<%3E\"} HTTP/1.1\r\nA: \"<>ü\"\r\n\r\n<>\"";
        let mended = "GET /ws?topics=a.%3E,%C3%BC&filter={%22a%22:%22%3C%3E%22} HTTP/1.1\r\nA: \"<>ü\"\r\n\r\n<>\"";
        for at_once in [1, 7, 1000] {
            let (ours, mut theirs) = duplex(at_once);
            let mut stream = Head::new(ours);
            let (mut read, mut piece) = (Vec::new(), vec![0; at_once]);
            let send = async {
                theirs.write_all(sent.as_bytes()).await.unwrap();
                drop(theirs);
            };
            let receive = async {
                while let n @ 1.. = stream.read(&mut piece).await.unwrap() {
                    read.extend_from_slice(&piece[..n]);
                }
            };
            tokio::join!(send, receive);
            assert_eq!(String::from_utf8(read).unwrap(), mended, "{at_once} bytes at once");
        }
    }
}
