//! Names that nothing else has: the ids of runs, stores and requests, and tokens.

use std::io;

/// What ids of the platform are made of: 17 of these.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The length of an id.
const LENGTH: usize = 17;

/// An id, as the platform writes them: `^[a-zA-Z0-9]{17}$`.
pub(crate) fn fresh() -> io::Result<String> {
    letters(LENGTH)
}

/// A token, as the platform writes them.
pub(crate) fn token() -> io::Result<String> {
    Ok(format!("apify_api_{}", letters(36)?))
}

fn letters(count: usize) -> io::Result<String> {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)
            .map_err(|error| io::Error::other(format!("the system gives no randomness: {error}")))?;
        // A byte that stands for no letter is passed over, so that each letter is as likely as another.
        let drawn = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte >> 2)));
        let missing = count - text.len();
        text.extend(drawn.take(missing).map(|letter| char::from(*letter)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_as_long_as_the_platforms_and_is_no_other() {
        let (one, other) = (fresh().unwrap(), fresh().unwrap());
        assert!(one.len() == 17 && one.bytes().all(|b| b.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
        assert!(token().unwrap().starts_with("apify_api_"));
    }
}
