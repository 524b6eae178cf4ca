//! What nobody may ever be shown: values that a test plants, and that no output of a server, no answer and no message may
//! hold. Every server's output is searched when its test is over, every answer and message when it comes.

use std::sync::{Mutex, PoisonError};

static PLANTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Shorter values would be found by chance.
const MIN_BYTES: usize = 8;

/// Makes `value` a secret from here on, in the process of this test. Returned as it is.
///
/// # Panics
/// If it is too short to be one.
pub fn plant(value: impl Into<String>) -> String {
    let value = value.into();
    assert!(value.len() >= MIN_BYTES, "too short to be searched for");
    let mut planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !planted.contains(&value) {
        planted.push(value.clone());
    }
    value
}

/// Looks for what was planted.
///
/// # Panics
/// If `text`, which comes from `place`, has one of the secrets in it.
pub fn search(place: &str, text: &str) {
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for secret in planted {
        // Of a token the signature is secret enough: without it, the rest is worth nothing.
        let found = text.contains(&secret)
            || secret.rsplit_once('.').is_some_and(|(_, tail)| tail.len() >= MIN_BYTES && text.contains(tail));
        assert!(!found, "{place} shows a secret: {text}");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_planted_secret_is_found_and_so_is_the_signature_of_a_token() {
        let key = plant("sp_planted-for-the-harness");
        let token = plant("aGVhZA.Y2xhaW1z.c2lnbmF0dXJlLW9mLWl0");
        search("a log", "nothing here, not even sp_planted");
        for text in [format!("found {key}!"), token, "…c2lnbmF0dXJlLW9mLWl0…".to_owned()] {
            assert!(catch_unwind(|| search("a log", &text)).is_err(), "{text}");
        }
    }
}
