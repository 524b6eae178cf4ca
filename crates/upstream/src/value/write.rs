//! Writes values as JSON text, for events and answers.
//!
//! This file decides what may leave a mapping: JSON alone. Values that have no JSON form (NaN, infinities, bytes, keys
//! that are not texts) are refused by name instead of being written as something else; so is what nests too deep for
//! readers, and what would be longer than the caller has room for.

use jaq_json::{Num, Val};

use super::read::MAX_DEPTH;

/// Why a value has no JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("NaN and infinities are not JSON")]
    NotFinite,
    #[error("bytes are not JSON: use `@base64`, or `tostring` if they are text")]
    Bytes,
    #[error("a text in it is not UTF-8")]
    NotUtf8,
    #[error("a key of an object in it is not a text")]
    Key,
    #[error("it nests deeper than {MAX_DEPTH} levels")]
    Depth,
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
}

/// The JSON text of `value`, at most `max` bytes long.
pub(crate) fn text(value: &Val, max: usize) -> Result<String, WriteError> {
    let mut writer = Writer { out: String::new(), max };
    // Readers of events accept one level less than ours: the event itself is the outermost.
    writer.value(value, MAX_DEPTH - 2)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    max: usize,
}

impl Writer {
    fn value(&mut self, value: &Val, depth: usize) -> Result<(), WriteError> {
        match value {
            Val::Null => self.push("null"),
            Val::Bool(true) => self.push("true"),
            Val::Bool(false) => self.push("false"),
            Val::Num(n) => self.number(n),
            Val::TStr(text) => self.string(text),
            Val::BStr(_) => Err(WriteError::Bytes),
            Val::Arr(items) => {
                let depth = depth.checked_sub(1).ok_or(WriteError::Depth)?;
                self.push("[")?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.push(",")?;
                    }
                    self.value(item, depth)?;
                }
                self.push("]")
            }
            Val::Obj(entries) => {
                let depth = depth.checked_sub(1).ok_or(WriteError::Depth)?;
                self.push("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        self.push(",")?;
                    }
                    let Val::TStr(key) = key else { return Err(WriteError::Key) };
                    self.string(key)?;
                    self.push(":")?;
                    self.value(value, depth)?;
                }
                self.push("}")
            }
        }
    }

    fn number(&mut self, number: &Num) -> Result<(), WriteError> {
        match number {
            Num::Float(f) if !f.is_finite() => Err(WriteError::NotFinite),
            Num::Dec(digits) => self.push(digits),
            _ => self.push(&number.to_string()),
        }
    }

    fn string(&mut self, text: &[u8]) -> Result<(), WriteError> {
        let text = std::str::from_utf8(text).map_err(|_| WriteError::NotUtf8)?;
        self.push("\"")?;
        let mut plain_from = 0;
        for (i, byte) in text.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.push(text.get(plain_from..i).unwrap_or_default())?;
            plain_from = i + 1;
            match byte {
                b'"' => self.push("\\\"")?,
                b'\\' => self.push("\\\\")?,
                b'\n' => self.push("\\n")?,
                b'\r' => self.push("\\r")?,
                b'\t' => self.push("\\t")?,
                control => self.push(&format!("\\u{control:04x}"))?,
            }
        }
        self.push(text.get(plain_from..).unwrap_or_default())?;
        self.push("\"")
    }

    fn push(&mut self, text: &str) -> Result<(), WriteError> {
        if self.out.len() + text.len() > self.max {
            return Err(WriteError::TooLong(self.max));
        }
        self.out.push_str(text);
        Ok(())
    }
}
