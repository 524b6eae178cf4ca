//! The parameters of routes that have few: each known or refused, and each at most once.
//!
//! `token` belongs to the hosting platform: it is not read. No refusal shows a value.

use percent_encoding::percent_decode_str;
use standpipe_protocol::{
    ErrorCode, Refusal,
    refusal::{clip, did_you_mean},
};

/// The values of the parameters `known` of a route at `path`, in their order. A `+` is a space, as in forms.
///
/// # Errors
/// `UNKNOWN_PARAMETER`, or `INVALID_FIELD` for one that stands twice or is not UTF-8.
pub(super) fn parameters<const N: usize>(
    path: &str,
    query: &str,
    known: [&'static str; N],
) -> Result<[Option<String>; N], Refusal> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode_str(name).decode_utf8_lossy();
        if name == "token" {
            continue;
        }
        let place = known.iter().position(|known| *known == name);
        let Some((name, slot)) = place.and_then(|place| known.get(place).zip(values.get_mut(place))) else {
            return Err(unknown(path, &name, &known));
        };
        let invalid = |why: &str| Refusal::new(ErrorCode::InvalidField, format!("`{name}` {why}"));
        if slot.is_some() {
            return Err(invalid("stands twice in the URL"));
        }
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().map_err(|_| invalid("is not UTF-8"))?;
        *slot = Some(value.into_owned());
    }
    Ok(values)
}

/// A parameter has a value that it cannot have.
pub(super) fn invalid(message: impl Into<String>, hint: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidField, message).hint(hint.to_owned())
}

/// How many of something a page may have: from one to `most`.
///
/// # Errors
/// `INVALID_FIELD`.
pub(super) fn bound(name: &str, text: Option<String>, usual: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(usual) };
    let bound = text.parse().ok().filter(|bound| (1..=most).contains(bound));
    bound.ok_or_else(|| invalid(format!("`{name}` does not say how many"), &format!("it is from 1 to {most}")))
}

fn unknown(path: &str, name: &str, known: &[&'static str]) -> Refusal {
    let refusal = Refusal::new(ErrorCode::UnknownParameter, format!("`{path}` has no parameter `{}`", clip(name)));
    match did_you_mean(name, known.iter().copied()) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint(format!("there is `{}`", known.join("`, `"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_and_stands_once() {
        let read = |query: &str| parameters("/p", query, ["a", "source"]);
        assert_eq!(read(""), Ok([None, None]));
        assert_eq!(read("token=x&source=1+2%203&&a="), Ok([Some(String::new()), Some("1 2 3".to_owned())]));
        assert_eq!(read("a=1&a=1").unwrap_err().code, ErrorCode::InvalidField);
        assert_eq!(read("a=%ff").unwrap_err().code, ErrorCode::InvalidField);
        assert_eq!(read("sorce=1").unwrap_err().hint.as_deref(), Some("did you mean `source`?"));
        assert_eq!(read("x=hunter2").unwrap_err().hint.as_deref(), Some("there is `a`, `source`"));
        assert!(!format!("{:?}", read("x=hunter2")).contains("hunter2"));
    }
}
