//! JSON text that is passed on, digit for digit, without being taken apart.

use std::fmt;

/// One valid JSON value as text. What a source wrote (`0.1000`, a 20-digit id) is what a client reads.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

/// Why a text is not one JSON value.
#[derive(Debug, thiserror::Error)]
#[error("not one JSON value: {0}")]
pub struct JsonError(#[from] serde_json::Error);

impl Json {
    /// Checks that `text` is exactly one JSON value (RFC 8259, nesting ≤ 127), and keeps it.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        serde_json::from_str::<&serde_json::value::RawValue>(&text)?;
        Ok(Self(text))
    }

    /// Keeps what a JSON writer has just written, without reading it again.
    ///
    /// Invariant: `text` is one valid JSON value. Debug builds check it.
    pub fn written(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        debug_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "not JSON: {text}");
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Box<serde_json::value::RawValue>> for Json {
    fn from(raw: Box<serde_json::value::RawValue>) -> Self {
        Self(raw.into())
    }
}

impl From<&serde_json::value::RawValue> for Json {
    fn from(raw: &serde_json::value::RawValue) -> Self {
        Self(raw.get().into())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
