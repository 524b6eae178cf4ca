//! Reads JSON strictly, from bytes that anyone may have sent.
//!
//! This file decides what is accepted: RFC 8259 to the letter, nested at most [`MAX_DEPTH`] deep, and nothing of what
//! jaq's own reader adds to it (comments, NaN, leading zeros) or costs (its recursion has no bound, a number of a
//! million digits takes a second). Numbers keep their digits: what does not fit a machine integer exactly is kept as
//! text or as a big integer, so that `0.10`, `1e400` and a 20-digit id go out as they came in.
//!
//! A lone surrogate (`"\ud83d"`, which languages with UTF-16 texts write when they cut one) becomes U+FFFD: one
//! character is lost rather than the frame. Of a key that stands twice the last value counts, as in JavaScript.
//!
//! The size of the input is bounded by whoever calls: time and memory are linear in it.

use bytes::Bytes;
use jaq_json::{Map, Num, Rc, Val};

/// The deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 128;

/// Integers of more digits than this are kept as text: computing with them would cost more than linear time.
const MAX_INTEGER_DIGITS: usize = 64;

/// Why bytes are not one JSON value, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct ReadError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, from 0.
    pub at: usize,
}

/// Reads exactly one value.
pub(crate) fn value(bytes: &[u8]) -> Result<Val, ReadError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(MAX_DEPTH)?;
    reader.space();
    if reader.at < bytes.len() { reader.fail("more than one value") } else { Ok(value) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, ReadError> {
        let what = if self.at < self.bytes.len() { what } else { "the text ends too early" };
        Err(ReadError { what, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Moves on if the next byte is `byte`.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Recurses once per level, at most `depth` times.
    fn value(&mut self, depth: usize) -> Result<Val, ReadError> {
        self.space();
        match self.peek() {
            Some(b'"') => Ok(Val::utf8_str(self.text()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Val::Bool(true)),
            Some(b'f') => self.word("false", Val::Bool(false)),
            Some(b'n') => self.word("null", Val::Null),
            _ => self.fail("expected a value"),
        }
    }

    fn word(&mut self, word: &str, value: Val) -> Result<Val, ReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Val, ReadError> {
        let Some(depth) = depth.checked_sub(1) else { return self.fail("nested too deep") };
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(Val::Arr(Rc::new(items)));
        }
        loop {
            items.push(self.value(depth)?);
            self.space();
            if self.eat(b']') {
                return Ok(Val::Arr(Rc::new(items)));
            }
            if !self.eat(b',') {
                return self.fail("expected `,` or `]`");
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Val, ReadError> {
        let Some(depth) = depth.checked_sub(1) else { return self.fail("nested too deep") };
        self.at += 1;
        let mut entries = Map::default();
        self.space();
        if self.eat(b'}') {
            return Ok(Val::obj(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a key");
            }
            let key = Val::utf8_str(self.text()?);
            self.space();
            if !self.eat(b':') {
                return self.fail("expected `:`");
            }
            let value = self.value(depth)?;
            entries.insert(key, value);
            self.space();
            if self.eat(b'}') {
                return Ok(Val::obj(entries));
            }
            if !self.eat(b',') {
                return self.fail("expected `,` or `}`");
            }
        }
    }

    fn number(&mut self) -> Result<Val, ReadError> {
        let start = self.at;
        let negative = self.eat(b'-');
        let digits = self.at;
        if !self.eat(b'0') {
            self.digits()?;
        }
        let integer_digits = self.at - digits;
        let mut is_integer = true;
        if self.eat(b'.') {
            is_integer = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            is_integer = false;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("0");
        // As an integer, `-0` would lose its sign.
        let is_integer = is_integer && integer_digits <= MAX_INTEGER_DIGITS && !(negative && text == "-0");
        let integer = if is_integer { Num::from_str_radix(text, 10) } else { None };
        Ok(Val::Num(integer.unwrap_or_else(|| Num::Dec(Rc::new(text.to_owned())))))
    }

    fn digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    fn text(&mut self) -> Result<Bytes, ReadError> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        if self.eat(b'"') {
            let plain = self.bytes.get(start..self.at - 1).unwrap_or_default();
            return utf8(start, plain).map(Bytes::copy_from_slice);
        }
        let mut text = Vec::new();
        let mut from = start;
        loop {
            let plain = self.bytes.get(from..self.at).unwrap_or_default();
            text.extend_from_slice(utf8(from, plain)?);
            if self.eat(b'"') {
                return Ok(text.into());
            }
            self.escape(&mut text)?;
            from = self.at;
            self.plain()?;
        }
    }

    /// Moves to the next quote or backslash.
    fn plain(&mut self) -> Result<(), ReadError> {
        loop {
            match self.peek() {
                Some(b'"' | b'\\') => return Ok(()),
                Some(0..0x20) | None => return self.fail("a control character inside of a text"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), ReadError> {
        self.at += 1;
        let Some(byte) = self.peek() else { return self.fail("") };
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let c = self.unicode()?;
                text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return self.fail("an unknown escape"),
        };
        self.at += 1;
        text.push(plain);
        Ok(())
    }

    /// The character of `\uXXXX`, or of two of them that make a surrogate pair.
    fn unicode(&mut self) -> Result<char, ReadError> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let behind = self.at;
        if self.eat(b'\\') && self.eat(b'u') {
            let second = self.hex()?;
            if (0xDC00..0xE000).contains(&second) {
                let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        // The next escape is not its other half: it is read on its own.
        self.at = behind;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, ReadError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return self.fail("expected four hexadecimal digits");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// `plain`, which begins at `start`, if it is UTF-8.
fn utf8(start: usize, plain: &[u8]) -> Result<&[u8], ReadError> {
    match std::str::from_utf8(plain) {
        Ok(_) => Ok(plain),
        Err(e) => Err(ReadError { what: "not UTF-8", at: start + e.valid_up_to() }),
    }
}
