//! Walking over JSON text that is known to be valid, without taking it apart.
//!
//! serde reads a number as a float, or the text of every value it meets into a tree; a filter needs the digits of a few
//! fields and nothing of the others. So this is a cursor on the text of its own: it steps over what nobody asked for,
//! does not recurse, and never copies. It trusts the text: on JSON that is not valid it finds nothing or nonsense, but
//! always ends and never panics. `fields.rs` tests it against `serde_json`.

/// A place in JSON text.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// The inside of a JSON string, as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    /// What stands between the quotes.
    pub(crate) inside: &'a str,
    /// The same with the quotes.
    pub(crate) quoted: &'a str,
    /// Whether there are escapes in it.
    pub(crate) is_escaped: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not white space. Stays before it.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let blank = self.rest().iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t'))?;
        self.at += blank;
        self.rest().first().copied()
    }

    /// Steps over the byte that [`Scan::peek`] told.
    pub(crate) fn step(&mut self) {
        self.at += 1;
    }

    /// Steps over a string, which begins here.
    pub(crate) fn string(&mut self) -> Option<Raw<'a>> {
        let from = self.at;
        self.at += 1;
        let mut is_escaped = false;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.rest())?;
            if self.rest().first() == Some(&b'"') {
                self.at += 1;
                let quoted = self.text.get(from..self.at)?;
                return Some(Raw { inside: self.text.get(from + 1..self.at - 1)?, quoted, is_escaped });
            }
            is_escaped = true;
            self.at += 2;
        }
    }

    /// Steps over a number or a literal, which begins here, and returns its text.
    pub(crate) fn word(&mut self) -> Option<&'a str> {
        let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let from = self.at;
        self.at += self.rest().iter().position(ends).unwrap_or(self.rest().len());
        self.text.get(from..self.at).filter(|word| !word.is_empty())
    }

    /// Steps over one value of any kind. `None` at the end of the text.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_nested(),
            _ => self.word().map(drop),
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut open = 0_usize;
        loop {
            self.at += self.rest().iter().position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))?;
            match self.rest().first()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                _ => open = open.saturating_sub(1),
            }
            self.at += 1;
            if open == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_stepped_over_whatever_it_is() {
        for value in ["null", "-1.5e+3", r#""a\"b\\""#, r#"{"a":[1,{"b":"}]"}],"c":{}}"#, "[[],[[\"]\"]]]", "[ ]"] {
            let text = format!(" {value} , next");
            let mut scan = Scan::new(&text);
            assert_eq!(scan.skip(), Some(()), "{value}");
            assert_eq!((scan.peek(), scan.at), (Some(b','), value.len() + 2), "{value}");
        }
    }

    #[test]
    fn text_that_ends_early_ends_the_walk() {
        for text in ["", " ", "\"", "\"a\\", "[", "[\"a", "{\"a\":", "[[]"] {
            assert_eq!(Scan::new(text).skip(), None, "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_not_recurse() {
        let text = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(Scan::new(&text).skip(), Some(()));
    }
}
