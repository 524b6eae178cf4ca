//! The lines of an output, none of which takes more than its bound.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// The lines that come out of something.
pub(super) struct Lines<R> {
    from: BufReader<R>,
    max: usize,
    /// What of the line has come.
    begun: Vec<u8>,
    is_too_long: bool,
}

/// A line has more bytes than it may. It is dropped as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of `from`, of at most `max` bytes each.
    pub(super) fn new(from: R, max: usize) -> Self {
        Self { from: BufReader::new(from), max, begun: Vec::new(), is_too_long: false }
    }

    /// The next line, without its end. None once there are no more; the last one need not have an end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Result<Bytes, TooLong>>> {
        loop {
            let buffer = self.from.fill_buf().await?;
            if buffer.is_empty() {
                let is_over = self.begun.is_empty() && !self.is_too_long;
                return Ok((!is_over).then(|| self.take()));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            self.is_too_long |= self.begun.len() + piece.len() > self.max;
            if self.is_too_long {
                self.begun = Vec::new();
            } else {
                self.begun.extend_from_slice(piece);
            }
            let read = piece.len() + usize::from(end.is_some());
            self.from.consume(read);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Result<Bytes, TooLong> {
        let line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_too_long) { Err(TooLong) } else { Ok(line.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_long_costs_itself() {
        let mut lines = Lines::new(&b"1\n\n12345\n123456\n7\n123456789"[..], 5);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line.map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        let right = ["1", "", "12345"].map(|line| Ok(line.to_owned()));
        assert_eq!(all, [&right[..], &[Err(TooLong), Ok("7".to_owned()), Err(TooLong)]].concat());
        let mut last = Lines::new(&b"1"[..], 5);
        assert_eq!(last.next().await.unwrap(), Some(Ok("1".into())));
        assert_eq!(last.next().await.unwrap(), None);
    }
}
