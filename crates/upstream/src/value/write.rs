//! Writes values as JSON text, for events and answers.
//!
//! This file decides what may leave a mapping: JSON alone. Values that have no JSON form (NaN, infinities, bytes, keys
//! that are not texts) are refused by name instead of being written as something else; so is what nests too deep for
//! readers, and what would be longer than the caller has room for.

use std::{cell::Cell, fmt::Write as _};

use jaq_json::Num;

use super::{
    Kind, Tree,
    read::{MAX_DEPTH, MAX_VERBATIM_DEPTH},
};

/// Why a value has no JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("NaN and infinities are not JSON")]
    NotFinite,
    #[error("a number in it is not written as JSON writes them")]
    Number,
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
pub(crate) fn text(value: &impl Tree, max: usize) -> Result<String, WriteError> {
    let (out, written) = put(String::with_capacity(USUAL.min(max)), value, max);
    written.map(|()| out)
}

/// The same, in memory of exactly its size.
pub(crate) fn exact(value: &impl Tree, max: usize) -> Result<Box<str>, WriteError> {
    let mut out = BUFFER.take();
    out.clear();
    let (out, written) = put(out, value, max);
    let text = written.map(|()| Box::from(&*out));
    if out.capacity() <= MAX_KEPT {
        BUFFER.set(out);
    }
    text
}

/// Writes `value` into `out`, which is empty.
fn put(out: String, value: &impl Tree, max: usize) -> (String, Result<(), WriteError>) {
    let mut writer = Writer { out, max };
    // Readers of events accept one level less than ours: the event itself is the outermost.
    let written = writer.value(value, MAX_DEPTH - 2);
    (writer.out, written)
}

/// Most payloads are shorter, in bytes.
const USUAL: usize = 256;

/// The largest buffer that a thread keeps, in bytes.
const MAX_KEPT: usize = 64 * 1024;

thread_local! {
    /// Where a text grows whose length is not known before.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

struct Writer {
    out: String,
    max: usize,
}

impl Writer {
    fn value<T: Tree>(&mut self, value: &T, depth: usize) -> Result<(), WriteError> {
        match value.kind() {
            Kind::Null => self.push("null"),
            Kind::Bool(true) => self.push("true"),
            Kind::Bool(false) => self.push("false"),
            Kind::Int(n) => self.digits(n),
            Kind::Float(f) if !f.is_finite() => Err(WriteError::NotFinite),
            Kind::Float(f) => self.push(&Num::Float(f).to_string()),
            Kind::Decimal(digits) => match digits.strip_prefix('-').unwrap_or(digits).as_bytes() {
                [b'0', b'0'..=b'9', ..] => Err(WriteError::Number),
                _ => self.push(digits),
            },
            Kind::Big(digits) => self.push(&digits),
            Kind::Text(text) => self.string(text),
            Kind::Bytes => Err(WriteError::Bytes),
            Kind::Array | Kind::Object
                if depth > MAX_VERBATIM_DEPTH
                    && let Some(text) = value.verbatim() =>
            {
                self.push(text)
            }
            Kind::Array => {
                let depth = depth.checked_sub(1).ok_or(WriteError::Depth)?;
                self.push("[")?;
                for (i, item) in value.items().iter().enumerate() {
                    if i > 0 {
                        self.push(",")?;
                    }
                    self.value(item, depth)?;
                }
                self.push("]")
            }
            Kind::Object => {
                let depth = depth.checked_sub(1).ok_or(WriteError::Depth)?;
                self.push("{")?;
                for (i, (name, value)) in value.fields().enumerate() {
                    if i > 0 {
                        self.push(",")?;
                    }
                    self.string(name.ok_or(WriteError::Key)?)?;
                    self.push(":")?;
                    self.value(value, depth)?;
                }
                self.push("}")
            }
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

    fn digits(&mut self, n: isize) -> Result<(), WriteError> {
        // Writing to a text does not fail.
        let before = self.out.len();
        let _ = write!(self.out, "{n}");
        if self.out.len() > self.max {
            self.out.truncate(before);
            return Err(WriteError::TooLong(self.max));
        }
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), WriteError> {
        if self.out.len() + text.len() > self.max {
            return Err(WriteError::TooLong(self.max));
        }
        self.out.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jaq_json::Val;

    use super::*;
    use crate::value::read;

    #[test]
    fn what_is_not_json_is_refused_by_name() {
        let of = |value: &Val| text(value, 1000).unwrap_err();
        assert_eq!(of(&Val::from(f64::NAN)), WriteError::NotFinite);
        assert_eq!(of(&Val::from(f64::INFINITY)), WriteError::NotFinite);
        assert_eq!(of(&Val::byte_str("a")), WriteError::Bytes);
        assert_eq!(of(&Val::utf8_str(&b"\xff"[..])), WriteError::NotUtf8);
        let odd = jaq_json::Map::from_iter([(Val::from(1_usize), Val::Null)]);
        assert_eq!(of(&Val::obj(odd)), WriteError::Key);
        assert_eq!(text(&Val::from("abc".to_owned()), 4), Err(WriteError::TooLong(4)));
    }

    #[test]
    fn a_program_cannot_write_what_readers_refuse() {
        let nested = |depth: usize| (0..depth).fold(Val::Null, |inner, _| std::iter::once(inner).collect());
        assert_eq!(text(&nested(MAX_DEPTH), 1000), Err(WriteError::Depth));
        let deepest = text(&nested(MAX_DEPTH - 2), 1000).unwrap();
        assert!(standpipe_protocol::Json::parse(format!("{{\"data\":{deepest}}}")).is_ok());
    }

    #[test]
    fn numbers_of_programs_are_numbers_of_json() {
        assert_eq!(text(&Val::from(1.5), 100).unwrap(), "1.5");
        assert_eq!(text(&Val::from(1e300), 100).unwrap(), "1e300");
        let odd = Val::Num(Num::Dec("00.5".to_owned().into()));
        assert_eq!(text(&odd, 100), Err(WriteError::Number), "jq's own numbers may begin with zeros");
        let fine = read::value(b"-0.50").unwrap();
        assert_eq!(text(&fine, 100).unwrap(), "-0.50");
    }
}
