//! The header field `Idempotency-Key`: what a key is.

use http::HeaderMap;

use crate::rejection::{Fault, Rejection};

/// The name of the field.
const FIELD: &str = "idempotency-key";

/// The longest key, in bytes.
const MAX_BYTES: usize = 255;

/// A key that a client has made for one request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(Box<str>);

impl Key {
    /// The key of a request, if it carries one.
    ///
    /// # Errors
    /// There are several, or it is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Rejection> {
        let mut fields = headers.get_all(FIELD).iter();
        let Some(field) = fields.next() else { return Ok(None) };
        let key = field.to_str().ok().and_then(Self::parse).filter(|_| fields.next().is_none());
        key.map(Some).ok_or_else(|| {
            Rejection::new(Fault::BadRequest, "`Idempotency-Key` is not one key of 1 to 255 characters of ASCII")
                .hint("send a new UUID for each request, and the same one with each attempt at it")
        })
    }

    /// Reads a key: a String of RFC 8941 §3.3.3, as the draft has it, or the same without its quotes, as most clients have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let key = match text.strip_prefix('"') {
            None => text.to_owned(),
            Some(quoted) => unquoted(quoted)?,
        };
        let is_printable = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        ((1..=MAX_BYTES).contains(&key.len()) && is_printable).then(|| Self(key.into()))
    }
}

/// What stands before the closing quote, which has to be the last character.
fn unquoted(text: &str) -> Option<String> {
    let mut key = String::with_capacity(text.len());
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(key),
            '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_of_structured_fields_or_its_bare_text() {
        let long = "x".repeat(MAX_BYTES);
        for (field, key) in [
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", Some("8e03978e-40d5-43e8-bc93-6894a57f9324")),
            (r#""8e03978e""#, Some("8e03978e")),
            (r#""a \"b\" \\""#, Some(r#"a "b" \"#)),
            (&*long, Some(&*long)),
            (r#"  "a" "#, Some("a")),
            ("", None),
            (r#""""#, None),
            (r#""a"#, None),
            (r#""a"b"#, None),
            (r#""a\b""#, None),
            ("a\u{7f}", None),
            (&*format!("{long}x"), None),
        ] {
            assert_eq!(Key::parse(field).as_ref().map(|key| &*key.0), key, "{field}");
        }
    }

    #[test]
    fn a_request_has_at_most_one_key() {
        let mut headers = HeaderMap::new();
        assert_eq!(Key::of(&headers).unwrap(), None);
        headers.append(FIELD, "a".parse().unwrap());
        assert_eq!(Key::of(&headers).unwrap(), Key::parse("a"));
        headers.append(FIELD, "a".parse().unwrap());
        assert!(Key::of(&headers).is_err());
    }
}
