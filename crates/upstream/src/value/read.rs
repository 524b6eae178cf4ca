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
//! What is made of it is a [`Build`]'s business, so that values of both kinds are read by the same rules.
//!
//! The size of the input is bounded by whoever calls: time and memory are linear in it.

use std::borrow::Cow;

use bytes::Bytes;
use jaq_json::{Map, Num, Rc, Val};

/// The deepest nesting of arrays and objects.
pub(crate) const MAX_DEPTH: usize = 128;

/// What nests deeper is written part by part, which counts the levels.
pub(crate) const MAX_VERBATIM_DEPTH: usize = 32;

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

/// Makes values of what is read.
pub(crate) trait Build<'a> {
    type Value;
    /// The items of an array that is not closed yet.
    type Items;
    /// The fields of an object that is not closed yet.
    type Fields;

    fn null(&mut self) -> Self::Value;
    fn bool(&mut self, is: bool) -> Self::Value;
    fn number(&mut self, digits: &'a str, integer: Integer) -> Self::Value;
    fn text(&mut self, text: Cow<'a, str>) -> Self::Value;
    fn items(&mut self) -> Self::Items;
    fn item(&mut self, items: &mut Self::Items, item: Self::Value);
    fn array(&mut self, items: Self::Items, span: Span<'a>) -> Self::Value;
    fn fields(&mut self) -> Self::Fields;
    fn field(&mut self, fields: &mut Self::Fields, name: Cow<'a, str>, value: Self::Value);
    /// The object, and whether a name stood twice in it.
    fn object(&mut self, fields: Self::Fields, span: Span<'a>) -> (Self::Value, bool);
}

/// Whether digits are an integer that may be computed with as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integer {
    Yes,
    No,
}

/// The text of an array or object, if that is what would be written of it: without white space, without escapes that are
/// not needed, and with each name once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a>(pub Option<&'a str>);

/// Reads exactly one value, for jaq.
pub(crate) fn value(bytes: &[u8]) -> Result<Val, ReadError> {
    read(bytes, &mut Owned)
}

/// Reads exactly one value.
pub(crate) fn read<'a, B: Build<'a>>(bytes: &'a [u8], build: &mut B) -> Result<B::Value, ReadError> {
    let text = std::str::from_utf8(bytes).or_else(|e| std::str::from_utf8(bytes.get(..e.valid_up_to()).unwrap_or(&[])));
    let mut reader = Reader { bytes, text: text.unwrap_or_default(), at: 0, changed: 0, build };
    let value = reader.value(MAX_DEPTH)?;
    reader.space();
    if reader.at < bytes.len() { reader.fail("more than one value") } else { Ok(value) }
}

struct Reader<'a, 'b, B> {
    bytes: &'a [u8],
    /// The bytes, as far as they are UTF-8.
    text: &'a str,
    at: usize,
    /// Where the last thing ends that would be written otherwise than it stands here.
    changed: usize,
    build: &'b mut B,
}

impl<'a, B: Build<'a>> Reader<'a, '_, B> {
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
            self.changed = self.at;
        }
    }

    /// What began at `start` and ends here.
    fn span(&self, start: usize) -> Span<'a> {
        Span(if self.changed > start { None } else { self.text.get(start..self.at) })
    }

    /// Recurses once per level, at most `depth` times.
    fn value(&mut self, depth: usize) -> Result<B::Value, ReadError> {
        self.space();
        match self.peek() {
            Some(b'"') => {
                let text = self.text()?;
                Ok(self.build.text(text))
            }
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => {
                self.word("true")?;
                Ok(self.build.bool(true))
            }
            Some(b'f') => {
                self.word("false")?;
                Ok(self.build.bool(false))
            }
            Some(b'n') => {
                self.word("null")?;
                Ok(self.build.null())
            }
            _ => self.fail("expected a value"),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), ReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return self.fail("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// One level deeper.
    fn deeper(&mut self, depth: usize) -> Result<usize, ReadError> {
        let Some(depth) = depth.checked_sub(1) else { return self.fail("nested too deep") };
        self.at += 1;
        if depth < MAX_DEPTH - MAX_VERBATIM_DEPTH {
            self.changed = self.at;
        }
        Ok(depth)
    }

    fn array(&mut self, depth: usize) -> Result<B::Value, ReadError> {
        let start = self.at;
        let depth = self.deeper(depth)?;
        let mut items = self.build.items();
        self.space();
        if self.eat(b']') {
            return Ok(self.build.array(items, self.span(start)));
        }
        loop {
            let item = self.value(depth)?;
            self.build.item(&mut items, item);
            self.space();
            if self.eat(b']') {
                return Ok(self.build.array(items, self.span(start)));
            }
            if !self.eat(b',') {
                return self.fail("expected `,` or `]`");
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<B::Value, ReadError> {
        let start = self.at;
        let depth = self.deeper(depth)?;
        let mut fields = self.build.fields();
        self.space();
        if !self.eat(b'}') {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return self.fail("expected a key");
                }
                let name = self.text()?;
                self.space();
                if !self.eat(b':') {
                    return self.fail("expected `:`");
                }
                let value = self.value(depth)?;
                self.build.field(&mut fields, name, value);
                self.space();
                if self.eat(b'}') {
                    break;
                }
                if !self.eat(b',') {
                    return self.fail("expected `,` or `}`");
                }
            }
        }
        let (object, repeats) = self.build.object(fields, self.span(start));
        if repeats {
            self.changed = self.at;
        }
        Ok(object)
    }

    fn number(&mut self) -> Result<B::Value, ReadError> {
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
        let text = self.text.get(start..self.at).unwrap_or("0");
        // As an integer, `-0` would lose its sign.
        let is_integer = is_integer && integer_digits <= MAX_INTEGER_DIGITS && !(negative && text == "-0");
        Ok(self.build.number(text, if is_integer { Integer::Yes } else { Integer::No }))
    }

    fn digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    fn text(&mut self) -> Result<Cow<'a, str>, ReadError> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        let plain = self.utf8(start)?;
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while !self.eat(b'"') {
            self.escape(&mut text)?;
            let from = self.at;
            self.plain()?;
            text.push_str(self.utf8(from)?);
        }
        Ok(Cow::Owned(text))
    }

    /// What stands from `start` to here, which was not looked at but for quotes.
    fn utf8(&self, start: usize) -> Result<&'a str, ReadError> {
        self.text.get(start..self.at).ok_or(ReadError { what: "not UTF-8", at: self.text.len() })
    }

    /// Moves to the next quote or backslash.
    fn plain(&mut self) -> Result<(), ReadError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
        match self.peek() {
            Some(b'"' | b'\\') => Ok(()),
            _ => self.fail("a control character inside of a text"),
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), ReadError> {
        let start = self.at;
        self.at += 1;
        let Some(byte) = self.peek() else { return self.fail("") };
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                text.push(self.unicode()?);
                // Few characters are written so, and not by many: it is not worth finding out.
                self.changed = self.at;
                return Ok(());
            }
            _ => return self.fail("an unknown escape"),
        };
        self.at += 1;
        text.push(plain);
        if matches!(byte, b'/' | b'b' | b'f') {
            self.changed = start + 2;
        }
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

/// Makes values for jaq.
struct Owned;

impl<'a> Build<'a> for Owned {
    type Value = Val;
    type Items = Vec<Val>;
    type Fields = Map<Val, Val>;

    fn null(&mut self) -> Val {
        Val::Null
    }

    fn bool(&mut self, is: bool) -> Val {
        Val::Bool(is)
    }

    fn number(&mut self, digits: &'a str, integer: Integer) -> Val {
        let integer = if integer == Integer::Yes { Num::from_str_radix(digits, 10) } else { None };
        Val::Num(integer.unwrap_or_else(|| Num::Dec(Rc::new(digits.to_owned()))))
    }

    fn text(&mut self, text: Cow<'a, str>) -> Val {
        Val::utf8_str(match text {
            Cow::Borrowed(text) => Bytes::copy_from_slice(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        })
    }

    fn items(&mut self) -> Vec<Val> {
        Vec::new()
    }

    fn item(&mut self, items: &mut Vec<Val>, item: Val) {
        items.push(item);
    }

    fn array(&mut self, items: Vec<Val>, _: Span<'a>) -> Val {
        Val::Arr(Rc::new(items))
    }

    fn fields(&mut self) -> Map<Val, Val> {
        Map::default()
    }

    fn field(&mut self, fields: &mut Map<Val, Val>, name: Cow<'a, str>, value: Val) {
        let name = self.text(name);
        fields.insert(name, value);
    }

    fn object(&mut self, fields: Map<Val, Val>, _: Span<'a>) -> (Val, bool) {
        (Val::obj(fields), false)
    }
}
