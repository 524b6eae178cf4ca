//! A request head that is too large, answered in our own words.
//!
//! hyper refuses such a head before any service sees it: 431, and nothing that would tell a client what to do instead.
//! It cannot be told to say more, so its answer is held back on its way out, and ours is written once hyper has ended.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    connection::MAX_HEAD_BYTES,
    rejection::{Fault, Rejection},
};

/// How hyper's own answers begin: to a head, or a URL in it, that is too large.
///
/// Invariant: no route answers with either of the two.
const OWN_ANSWERS: [&[u8]; 4] = [b"HTTP/1.1 431 ", b"HTTP/1.0 431 ", b"HTTP/1.1 414 ", b"HTTP/1.0 414 "];

/// A stream that does not let hyper's own answer pass.
///
/// hyper flushes one answer before it reads the next request, unless requests came at once (pipelining): then its own
/// answer may leave together with the one before it, and passes.
#[derive(Debug)]
pub(crate) struct Overlong<T> {
    stream: T,
    is_held_back: bool,
}

impl<T> Overlong<T> {
    pub(crate) fn new(stream: T) -> Self {
        Self { stream, is_held_back: false }
    }

    /// The stream, and what is still to be said on it.
    pub(crate) fn into_parts(self) -> (T, Option<Rejection>) {
        (self.stream, self.is_held_back.then(too_large))
    }

    /// Whether `text` is hyper's own answer, which is then taken as written.
    fn holds_back(&mut self, text: &[u8]) -> bool {
        let is_own = OWN_ANSWERS.iter().any(|start| text.starts_with(start));
        self.is_held_back |= is_own;
        is_own
    }
}

fn too_large() -> Rejection {
    let message = format!("the head of the request, with its URL, has more than {MAX_HEAD_BYTES} bytes");
    Rejection::new(Fault::HeadTooLarge, message)
        .hint("connect without a selection, and send it: {\"op\":\"subscribe\",\"topics\":[\"…\"],\"filter\":{…}}")
}

impl<T: AsyncRead + Unpin> AsyncRead for Overlong<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Overlong<T> {
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
    async fn hypers_own_answer_is_held_back_and_all_others_pass() {
        let (ours, mut theirs) = duplex(1024);
        let mut stream = Overlong::new(ours);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert!(!stream.is_held_back);
        stream.write_all(b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n").await.unwrap();
        let (stream, last) = stream.into_parts();
        assert!(last.unwrap().json().contains("HEAD_TOO_LARGE"));
        drop(stream);
        let mut written = String::new();
        theirs.read_to_string(&mut written).await.unwrap();
        assert_eq!(written, "HTTP/1.1 200 OK\r\n\r\n");
    }
}
