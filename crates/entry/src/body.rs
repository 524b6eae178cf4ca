//! Reading a request's body within bounds: so many bytes, until such a time, whole or line by line.
//!
//! `Content-Length` is a promise that bodies of chunks do not make, so what is counted is what arrives.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::rejection::{Fault, Rejection};

/// A body on its way in.
#[derive(Debug)]
pub(crate) struct Body<T> {
    chunks: T,
    /// What may still come, in bytes.
    left: usize,
    max: usize,
    deadline: Instant,
}

impl<T, B, E> Body<T>
where
    T: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    /// At most `max` bytes, all of them there at `deadline`.
    pub(crate) fn new(chunks: T, max: usize, deadline: Instant) -> Self {
        Self { chunks, left: max, max, deadline }
    }

    /// The next bytes, or None at the end.
    ///
    /// # Errors
    /// 413 past the limit, 408 past the deadline, 400 if the body broke off.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        let next = timeout_at(self.deadline, self.chunks.next()).await.map_err(|_| late())?;
        let Some(chunk) = next else { return Ok(None) };
        let mut chunk = chunk.map_err(|_| Rejection::new(Fault::BadBody, "the body broke off"))?;
        let chunk = chunk.copy_to_bytes(chunk.remaining());
        self.left = self.left.checked_sub(chunk.len()).ok_or_else(|| too_large(self.max))?;
        Ok(Some(chunk))
    }

    /// Reads nothing for so long.
    ///
    /// # Errors
    /// 408, if the deadline comes first.
    pub(crate) async fn pause(&self, length: Duration) -> Result<(), Rejection> {
        timeout_at(self.deadline, sleep(length)).await.map_err(|_| late())
    }

    /// All of it.
    ///
    /// # Errors
    /// See [`Self::chunk`].
    pub(crate) async fn whole(mut self) -> Result<Bytes, Rejection> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

/// 413 for a body of more than `max` bytes.
pub(crate) fn too_large(max: usize) -> Rejection {
    Rejection::new(Fault::PayloadTooLarge, format!("a body of this type has at most {max} bytes"))
        .hint("send less at once; NDJSON (`Content-Type: application/x-ndjson`) has a limit of its own")
}

fn late() -> Rejection {
    Rejection::new(Fault::RequestTimeout, "the body did not arrive in time").hint("send faster, or less at once")
}

/// The lines of a body, put together from its chunks. Ends with `\n`, `\r\n`, or with the body; empty ones are left out.
#[derive(Debug)]
pub(crate) struct Lines {
    pending: BytesMut,
    /// How much of `pending` is known to hold no end of a line.
    searched: usize,
    max: usize,
}

impl Lines {
    /// Lines of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self { pending: BytesMut::new(), searched: 0, max }
    }

    /// Adds what has arrived.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.pending.extend_from_slice(chunk);
    }

    /// The next whole line.
    ///
    /// # Errors
    /// 413 if it is too long, whether or not its end has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Rejection> {
        loop {
            let unsearched = self.pending.get(self.searched..).unwrap_or_default();
            let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.pending.len();
                return if self.searched > self.max { Err(self.too_long()) } else { Ok(None) };
            };
            let line = self.pending.split_to(self.searched + at);
            self.pending.advance(1);
            self.searched = 0;
            if line.len() > self.max {
                return Err(self.too_long());
            }
            if let Some(line) = trim(&line.freeze()) {
                return Ok(Some(line));
            }
        }
    }

    /// The last line, which needs no end.
    pub(crate) fn last(&mut self) -> Option<Bytes> {
        self.searched = 0;
        trim(&self.pending.split().freeze())
    }

    fn too_long(&self) -> Rejection {
        Rejection::new(Fault::PayloadTooLarge, format!("a line has at most {} bytes", self.max))
            .hint("one event is one line; is the body NDJSON?")
    }
}

/// The line without white space around it, unless nothing is left.
fn trim(line: &Bytes) -> Option<Bytes> {
    let text = line.trim_ascii();
    (!text.is_empty()).then(|| line.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn chunks(list: &[&'static [u8]]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
        stream::iter(list.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_body_is_what_arrived_up_to_its_limit() {
        for (list, max, expected) in [
            (&[][..], 0, Some("")),
            (&[&b"ab"[..]], 2, Some("ab")),
            (&[b"ab", b"cd", b"e"], 5, Some("abcde")),
            (&[b"ab", b"cd", b"e"], 4, None),
            (&[b"abc"], 2, None),
        ] {
            let body = Body::new(chunks(list), max, Instant::now() + Duration::from_secs(1));
            assert_eq!(body.whole().await.ok().as_deref(), expected.map(str::as_bytes), "{list:?} {max}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_given_up_at_its_deadline() {
        let begun = Instant::now();
        let trickle = Box::pin(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        }));
        let rejection = Body::new(trickle, 1000, begun + Duration::from_millis(2500)).whole().await.unwrap_err();
        assert_eq!(rejection.into_response().status(), Fault::RequestTimeout.status());
        assert_eq!(begun.elapsed(), Duration::from_millis(2500));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_its_end() {
        for (text, fine) in
            [("12345\n", true), ("12345", true), ("123456\n", false), ("123456", false), ("1\n123456", false)]
        {
            let mut lines = Lines::new(5);
            lines.push(text.as_bytes());
            let mut result = lines.next();
            while let Ok(Some(_)) = result {
                result = lines.next();
            }
            assert_eq!(result.is_ok(), fine, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_body_is_cut(text in "[ab\r\n ]{0,40}", cuts in prop::collection::vec(1..5usize, 0..40)) {
            let mut lines = Lines::new(100);
            let mut found = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.into_iter().chain([text.len()]) {
                let (chunk, after) = rest.split_at(cut.min(rest.len()));
                rest = after;
                lines.push(chunk);
                while let Some(line) = lines.next().unwrap() {
                    found.push(line);
                }
            }
            found.extend(lines.last());
            let expected: Vec<&[u8]> = text.as_bytes().split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
