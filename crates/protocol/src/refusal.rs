//! The answer to a request that cannot be followed: one command, or one HTTP request. Never the end of a connection.

use std::{fmt, time::Duration};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $text:literal, $status:literal;)+) => {
        /// Why a request was refused. A closed set: the wire, the documentation and the metrics share it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant,)+ }

        impl ErrorCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code as it stands on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The HTTP status that says the same to a request.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// What it means, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }
        }
    };
}

error_codes! {
    /// The frame is not one JSON object, or it is binary.
    InvalidJson => "INVALID_JSON", 400;
    /// `op` is missing, or names no command.
    UnknownOp => "UNKNOWN_OP", 400;
    /// The command has a field that it does not know.
    UnknownField => "UNKNOWN_FIELD", 400;
    /// The URL has a parameter that is not known.
    UnknownParameter => "UNKNOWN_PARAMETER", 400;
    /// The command lacks a field that it needs.
    MissingField => "MISSING_FIELD", 400;
    /// A field or parameter has a value that it cannot have.
    InvalidField => "INVALID_FIELD", 400;
    /// A topic pattern breaks the rules for topics.
    InvalidTopic => "INVALID_TOPIC", 400;
    /// A filter has an unknown operator, a wrong type or an impossible shape.
    InvalidFilter => "INVALID_FILTER", 400;
    /// `after` is no cursor.
    InvalidCursor => "INVALID_CURSOR", 400;
    /// `after` is ahead of the log.
    FutureCursor => "FUTURE_CURSOR", 400;
    /// `after` is below the floor of the log, or of another epoch, and `on_gap` is `fail`.
    HistoryExpired => "HISTORY_EXPIRED", 400;
    /// An `unsubscribe` names something that is not subscribed.
    NotSubscribed => "NOT_SUBSCRIBED", 400;
    /// A limit of this connection or server would be exceeded.
    LimitExceeded => "LIMIT_EXCEEDED", 400;
    /// This server does not offer what was asked for.
    NotAvailable => "NOT_AVAILABLE", 400;
    /// The credential is missing or not accepted.
    Unauthorized => "UNAUTHORIZED", 401;
    /// The credential has expired; a new one is needed.
    TokenExpired => "TOKEN_EXPIRED", 401;
    /// The credential does not allow it.
    Forbidden => "FORBIDDEN", 403;
    /// There is nothing of that name.
    NotFound => "NOT_FOUND", 404;
    /// The server takes no more of this now.
    OverCapacity => "OVER_CAPACITY", 503;
    /// Too much of this in too short a time.
    RateLimited => "RATE_LIMITED", 429;
    /// The server is draining; another one will answer.
    Draining => "DRAINING", 503;
    /// The client does not read as fast as events match; the connection is closed right after.
    BackpressureLimit => "BACKPRESSURE_LIMIT", 503;
}

/// A refused request: what was attempted, what was wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
#[error("{message}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people; names the field or parameter.
    pub message: String,
    /// What would be right.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub hint: Option<String>,
    /// The `id` of the command, if it could be read.
    #[cfg_attr(feature = "schema", schemars(skip_serializing_if = "Option::is_none"))]
    pub id: Option<String>,
    /// The earliest time at which the same request makes sense, if it is the time that is wrong with it.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub retry_after: Option<Duration>,
    /// A credential was shown, and that is what is wrong. Told in HTTP alone (RFC 6750 §3.1).
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub is_of_credential: bool,
}

impl Refusal {
    /// A refusal without hint, id or time.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, id: None, retry_after: None, is_of_credential: false }
    }

    /// The same, saying what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, saying when the request would make sense at the earliest.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, of a credential that was shown.
    #[must_use]
    pub fn of_credential(mut self) -> Self {
        self.is_of_credential = true;
        self
    }

    /// The same, as the answer to the command with this id.
    #[must_use]
    pub fn answering(mut self, id: Option<&str>) -> Self {
        self.id = id.map(str::to_owned);
        self
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The most of a peer's text that a refusal repeats, in characters.
const MAX_SHOWN: usize = 64;

/// The beginning of `text`, for a message: on one line, whatever is in it.
pub fn clip(text: &str) -> String {
    let (shown, end) = match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), "…"),
        None => (text, ""),
    };
    let mut clipped = String::with_capacity(shown.len() + end.len());
    for c in shown.chars() {
        if c.is_control() { clipped.extend(c.escape_default()) } else { clipped.push(c) }
    }
    clipped + end
}

/// The one of `known` that `word` was most likely meant to be, if any is close.
///
/// At most two edits (insert, delete, replace, swap) away, and less than half of the word.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(MAX_SHOWN).collect();
    let near = known.into_iter().map(|k| (edits(&word, &k.chars().collect::<Vec<_>>()), k));
    near.filter(|(n, _)| *n <= 2 && n * 2 < word.len().max(2)).min_by_key(|(n, _)| *n).map(|(_, k)| k)
}

/// The optimal string alignment distance of two words.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |r: &Vec<usize>, k: usize| r.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_a_line_and_no_more() {
        assert_eq!(clip("short \u{e9}\n"), "short é\\n");
        assert_eq!(clip(&"é".repeat(100)), format!("{}…", "é".repeat(64)));
    }

    #[test]
    fn a_typo_finds_its_word_and_nonsense_finds_none() {
        let known = ["subscribe", "unsubscribe", "ping", "ack"];
        assert_eq!(did_you_mean("subscirbe", known), Some("subscribe"));
        assert_eq!(did_you_mean("pin", known), Some("ping"));
        assert_eq!(did_you_mean("gtt", ["gt", "gte", "lt"]), Some("gt"));
        assert_eq!(did_you_mean("frobnicate", known), None);
        assert_eq!(did_you_mean("", known), None);
    }
}
