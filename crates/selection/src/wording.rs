//! How refusals speak: what a client wrote is shown, but never more than a line of it.

use standpipe_protocol::refusal::did_you_mean;

/// The most of a client's text that a refusal repeats, in characters.
const MAX_SHOWN: usize = 64;

/// The beginning of `text`, for a message: on one line, whatever is in it.
pub(crate) fn clip(text: &str) -> String {
    let (shown, end) = match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), "…"),
        None => (text, ""),
    };
    let mut clipped = String::with_capacity(shown.len() + end.len());
    for c in shown.chars() {
        if c.is_control() { clipped.extend(c.escape_default()) } else { clipped.push(c) }
    }
    clipped + end
}

/// "did you mean …?", or else the list of what there is.
pub(crate) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match did_you_mean(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", list(known)),
    }
}

/// Which setting of the server is the bound that was exceeded.
pub(crate) fn bound(key: &str) -> String {
    format!("the bound is `limits.{key}` of the server's configuration")
}

/// "`a`, `b`, `c`"
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_a_line_and_no_more() {
        assert_eq!(clip("short \u{e9}\n"), "short é\\n");
        assert_eq!(clip(&"é".repeat(100)), format!("{}…", "é".repeat(64)));
    }
}
