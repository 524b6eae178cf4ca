//! `standpipe key`: a new key for a client, and what the configuration has to say of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use standpipe_entry::auth::Hash;

/// How a key begins, so that people and scanners of leaked secrets know one when they see it.
const PREFIX: &str = "sp_";

/// A new key, 256 random bits, and the entry of the configuration that knows its hash.
///
/// # Errors
/// If the system gives no randomness.
pub fn make(name: &str) -> anyhow::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("the system gives no randomness: {error}"))?;
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits));
    // JSON's quotes and escapes are TOML's.
    let name = serde_json::Value::from(name);
    let hash = Hash::of(&key);
    Ok(format!(
        "{key}\n\nThe line above is the key. It is shown once: give it to its client. For the configuration:\n\n\
         [[auth.key]]\nname = {name}\nhash = \"{hash}\"\nsubscribe = [\">\"]\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    #[test]
    fn what_is_printed_is_a_key_and_its_entry() {
        let told = make("a \"name\"").unwrap();
        let (key, entry) = (told.lines().next().unwrap(), told.split_once("\n[[auth.key]]").unwrap().1);
        assert!(key.starts_with("sp_") && key.len() == 46, "{key}");
        assert!(!entry.contains(key));
        assert_ne!(make("a").unwrap(), make("a").unwrap());
        let file = format!("[auth]\nmode = \"keys\"\n[[auth.key]]{entry}[[source]]\nname = \"in\"\nkind = \"push\"\n");
        let settings = config::parse_toml(&file, &Environment::default()).unwrap();
        let config::Auth::Keys(keys) = settings.auth else { panic!("{:?}", settings.auth) };
        assert_eq!((&*keys[0].name, &keys[0].hash), ("a \"name\"", &Hash::of(key)));
    }
}
