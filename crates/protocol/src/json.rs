//! JSON text that is passed on, digit for digit, without being taken apart.

use std::fmt;

/// One valid JSON value as text, on one line. What a source wrote (`0.1000`, a 20-digit id) is what a client reads.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

/// How deep arrays and objects may be nested: what reads JSON often recurses, here and at the clients.
pub const MAX_NESTING: usize = 128;

/// Why a text is not one JSON value that is passed on.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It breaks the grammar of RFC 8259.
    #[error("not one JSON value: {0}")]
    Grammar(#[from] serde_json::Error),
    /// Deeper than [`MAX_NESTING`].
    #[error("nested more than {MAX_NESTING} deep")]
    TooDeep,
}

impl Json {
    /// Checks that `text` is exactly one JSON value (RFC 8259), nested at most [`MAX_NESTING`] deep, and keeps it.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, JsonError> {
        let text = text.into();
        serde_json::from_str::<&serde_json::value::RawValue>(&text)?;
        if nesting(&text) > MAX_NESTING { Err(JsonError::TooDeep) } else { Ok(Self(on_one_line(text))) }
    }

    /// Keeps what a JSON writer has just written, without reading it again.
    ///
    /// Invariant: `text` is one valid JSON value on one line. Debug builds check it.
    pub fn written(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        debug_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "not JSON: {text}");
        debug_assert!(!has_lines(&text), "more than one line: {text}");
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Box<serde_json::value::RawValue>> for Json {
    fn from(raw: Box<serde_json::value::RawValue>) -> Self {
        Self(on_one_line(raw.into()))
    }
}

impl From<&serde_json::value::RawValue> for Json {
    fn from(raw: &serde_json::value::RawValue) -> Self {
        Self(on_one_line(raw.get().into()))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_lines(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// The same value without line ends, by which some transports separate messages. In valid JSON they are white space
/// between tokens: within a text they are escaped (RFC 8259 §2, §7).
fn on_one_line(text: Box<str>) -> Box<str> {
    if has_lines(&text) { text.replace(['\n', '\r'], " ").into() } else { text }
}

/// How deep arrays and objects are nested in `text`, which is valid JSON.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => drop(bytes.next()),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::parse(nested(MAX_NESTING)).is_ok());
        for depth in [MAX_NESTING + 1, 1_000_000] {
            assert!(matches!(Json::parse(nested(depth)), Err(JsonError::TooDeep)));
        }
    }

    #[test]
    fn a_value_stands_on_one_line_however_it_was_written() {
        let pretty = "{\r\n  \"text\": \"a\\nb\",\n  \"n\": 0.1000\n}";
        let raw: &serde_json::value::RawValue = serde_json::from_str(pretty).unwrap();
        let expected = r#"{    "text": "a\nb",   "n": 0.1000 }"#;
        assert_eq!(Json::parse(pretty).unwrap().as_str(), expected);
        assert_eq!(Json::from(raw).as_str(), expected);
        assert_eq!(Json::from(raw.to_owned()).as_str(), expected);
    }

    #[test]
    fn brackets_in_strings_nest_nothing() {
        for (text, depth) in [(r#""[[[""#, 0), (r#"["\"[[", {}]"#, 2), (r#"{"\\": [1], "[": [[]]}"#, 3), ("1", 0)] {
            assert!(Json::parse(text).is_ok(), "{text}");
            assert_eq!(nesting(text), depth, "{text}");
        }
    }
}
