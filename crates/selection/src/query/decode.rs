//! Percent-decoding, strictly: what is broken is refused instead of passed on as it stands.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use standpipe_protocol::{ErrorCode, Refusal};

/// The text that `raw` stands for. `what` names it in a refusal, which never shows the text itself.
pub(super) fn decode(raw: &str, what: impl Fn() -> String) -> Result<String, Refusal> {
    let refuse = |why, hint| Refusal::new(ErrorCode::InvalidField, format!("{} {why}", what())).hint(hint);
    let is_escape = |escape: &str| escape.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !raw.split('%').skip(1).all(is_escape) {
        return Err(refuse("has a `%` without two hexadecimal digits", "a percent sign itself is written `%25`"));
    }
    let spaced: Cow<'_, str> = if raw.contains('+') { raw.replace('+', " ").into() } else { raw.into() };
    let bytes: Cow<'_, [u8]> = percent_decode(spaced.as_bytes()).into();
    String::from_utf8(bytes.into_owned())
        .map_err(|_| refuse("is not UTF-8", "text is UTF-8, percent-encoded: `é` is `%C3%A9`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_and_a_broken_one_refused() {
        let decode = |raw| decode(raw, || "it".to_owned()).map_err(|refusal| refusal.message);
        assert_eq!(decode("a+b%20c%2Bd%C3%A9"), Ok("a b c+dé".to_owned()));
        assert_eq!(decode(""), Ok(String::new()));
        for broken in ["%", "50%", "%2", "%zz", "%%41", "%+1", "%2 "] {
            assert_eq!(decode(broken), Err("it has a `%` without two hexadecimal digits".to_owned()), "{broken}");
        }
        assert_eq!(decode("%ff"), Err("it is not UTF-8".to_owned()));
    }
}
