//! A place in a log that survives the connection, and the process, that told it.

use std::{fmt, str::FromStr};

use crate::{MAX_SEQ, refusal::clip};

/// Which log a `seq` belongs to: 64 random bits, new for every log. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// A place in a log: everything up to `seq` of `epoch` is behind it. Written `epoch:seq` or `epoch:seq:event-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The log.
    pub epoch: Epoch,
    /// The last event before this place; 0 is before the first.
    pub seq: u64,
    /// That event's id, by which a log of another epoch can find the place.
    pub id: Option<Box<str>>,
}

/// Where delivery is asked to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// At the floor of the log, without a gap being told.
    Earliest,
    /// Behind this place.
    Cursor(Cursor),
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not of the form.
    #[error("a cursor is `epoch:seq` or `epoch:seq:event-id`, with 16 hexadecimal digits for the epoch; `{0}` is not")]
    Form(String),
    /// Not a number that a `seq` can be.
    #[error("the seq of a cursor is a whole number up to 2^53 - 1; `{0}` is not")]
    Seq(String),
}

/// The longest text that is tried as a cursor, in bytes.
pub const MAX_CURSOR_BYTES: usize = 1024;

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let form = || CursorError::Form(clip(text));
        if text.len() > MAX_CURSOR_BYTES {
            return Err(form());
        }
        let mut parts = text.splitn(3, ':');
        let epoch = parts.next().filter(|hex| hex.len() == 16 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let epoch = epoch.and_then(|hex| u64::from_str_radix(hex, 16).ok()).map(Epoch).ok_or_else(form)?;
        let digits = parts.next().ok_or_else(form)?;
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let seq = digits.parse().ok().filter(|seq| whole && *seq <= MAX_SEQ);
        let seq = seq.ok_or_else(|| CursorError::Seq(clip(digits)))?;
        let id = parts.next().filter(|id| !id.is_empty()).map(Into::into);
        Ok(Self { epoch, seq, id })
    }
}

impl FromStr for After {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text == "earliest" { Ok(Self::Earliest) } else { text.parse().map(Self::Cursor) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)?;
        self.id.as_ref().map_or(Ok(()), |id| write!(f, ":{id}"))
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Cursor(cursor) => cursor.fmt(f),
        }
    }
}

impl serde::Serialize for Epoch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_as_they_are_written() {
        for text in ["9f00000000000001:0", "00000000000000ff:1042", "9f00000000000001:17:t:17:x"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        assert_eq!("earliest".parse::<After>().unwrap(), After::Earliest);
    }

    #[test]
    fn what_is_no_cursor_is_told_apart() {
        for (text, seq_is_wrong) in [
            ("", false),
            ("abc", false),
            ("9f:1", false),
            ("9f00000000000001", false),
            ("+f00000000000001:1", false),
            ("9f00000000000001:", true),
            ("9f00000000000001:-1", true),
            ("9f00000000000001:+1", true),
            ("9f00000000000001:9007199254740992", true),
        ] {
            let error = text.parse::<Cursor>().unwrap_err();
            assert_eq!(matches!(error, CursorError::Seq(_)), seq_is_wrong, "{text:?}: {error}");
        }
    }
}
