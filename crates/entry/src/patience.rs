//! A stream on which no write waits for ever: a peer that takes not one byte for the deadline is given up.
//!
//! hyper waits for a slow reader as long as it likes to be slow, and what waits holds memory and a place.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// See the module. Reading is passed through: hyper and the body reader have deadlines of their own.
#[derive(Debug)]
pub(crate) struct Patient<T> {
    stream: T,
    deadline: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    pub(crate) fn new(stream: T, deadline: Duration) -> Self {
        Self { stream, deadline, stalled: None }
    }

    /// Whether the peer has not yet taken what was written last.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    pub(crate) fn into_inner(self) -> T {
        self.stream
    }

    /// Turns a wait into an error once it has lasted too long.
    fn bounded(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.deadline)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP has nothing to flush and shuts down without waiting.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_after_the_deadline() {
        let (ours, _theirs) = duplex(4);
        let mut stream = Patient::new(ours, DEADLINE);
        let begun = Instant::now();
        let error = stream.write_all(b"eight by").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_byte_now_and_then_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = Patient::new(ours, DEADLINE);
        let write = async {
            stream.write_all(b"eight by").await.unwrap();
            drop(stream);
        };
        let read = async {
            let mut taken = Vec::new();
            let mut byte = [0];
            loop {
                sleep(Duration::from_millis(9999)).await;
                match theirs.read(&mut byte).await.unwrap() {
                    0 => break taken,
                    _ => taken.push(byte[0]),
                }
            }
        };
        let ((), taken) = tokio::join!(write, read);
        assert_eq!(taken, b"eight by");
    }
}
