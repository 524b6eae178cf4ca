//! How refusals speak of what there is and what was meant.

use standpipe_protocol::refusal::did_you_mean;

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
