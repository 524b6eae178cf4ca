//! Keys that stand in the configuration: as hashes, so that who reads the file cannot use them.
//!
//! A key is random and long (`standpipe key` makes one), so that its plain SHA-256 is as good as a slow hash. A key that
//! is shown is hashed and compared with every entry in constant time: how long that takes tells nothing about any key.

use std::{fmt, str::FromStr, sync::Arc};

use ring::digest::{SHA256, digest};
use standpipe_protocol::{ErrorCode, Identity, Refusal, command::Secret};
use standpipe_selection::Grant;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::Pass;

/// How the hash of a key begins where it is written.
const PREFIX: &str = "sha256:";

/// The SHA-256 of a key. Written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash([u8; 32]);

/// One key of the configuration.
#[derive(Debug, Clone)]
pub struct Key {
    /// What it is called where its client is shown. Not secret.
    pub name: Arc<str>,
    /// What it hashes to.
    pub hash: Hash,
    /// Whom it stands for.
    pub subject: Arc<str>,
    /// The plan that it names.
    pub plan: Option<Arc<str>>,
    /// What it allows.
    pub grant: Arc<Grant>,
}

/// All keys.
#[derive(Debug)]
pub struct Keys(Vec<(Hash, Pass)>);

impl Keys {
    /// These keys, each with a hash of its own.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        let entry = |Key { name, hash, subject, plan, grant }| {
            let identity = Identity { subject: Some(subject), credential: Some(name), plan, expires: None };
            (hash, Pass { identity: Arc::new(identity), grant })
        };
        Self(keys.into_iter().map(entry).collect())
    }

    /// Who comes with this key.
    pub(crate) fn admit(&self, key: &Secret) -> Result<Pass, Refusal> {
        let shown = Hash::of(&key.0);
        // Every entry is compared, whether or not one before it was the right one.
        let (mut found, mut place) = (0_u64, 0_u64);
        for (hash, _) in &self.0 {
            place += 1;
            found = u64::conditional_select(&found, &place, hash.0.ct_eq(&shown.0));
        }
        let place = usize::try_from(found).ok().and_then(|found| found.checked_sub(1));
        let pass = place.and_then(|place| self.0.get(place)).map(|(_, pass)| pass.clone());
        pass.ok_or_else(|| {
            Refusal::new(ErrorCode::Unauthorized, "the credential is not a key of this server")
                .hint("its operator gives out keys; one that was replaced is not valid any more")
        })
    }
}

impl Hash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        // Invariant: both have 32 bytes.
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, key.as_bytes()).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Hash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix(PREFIX).filter(|hex| hex.len() == 64).ok_or(())?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut hash = [0; 32];
        for (to, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let &[high, low] = pair else { return Err(()) };
            *to = digit(high).ok_or(())? << 4 | digit(low).ok_or(())?;
        }
        Ok(Self(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> Key {
        let grant = Arc::new(Grant::everything());
        Key { name: name.into(), hash: Hash::of(secret), subject: "s".into(), plan: None, grant }
    }

    #[test]
    fn a_key_is_known_by_its_hash() {
        let keys = Keys::new([key("one", "sp_1"), key("two", "sp_2")]);
        for (secret, name) in [("sp_1", Some("one")), ("sp_2", Some("two")), ("sp_3", None), ("", None)] {
            let pass = keys.admit(&Secret(secret.to_owned()));
            let found = pass.ok().and_then(|pass| pass.identity.credential.clone());
            assert_eq!(found.as_deref(), name, "{secret}");
        }
        assert!(Keys::new([]).admit(&Secret("sp_1".to_owned())).is_err());
    }

    #[test]
    fn a_hash_is_written_and_read() {
        let hash = Hash::of("abc");
        // FIPS 180-2, appendix B.1.
        let written = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), written);
        assert_eq!(written.parse(), Ok(hash.clone()));
        assert_eq!(format!("sha256:{}", written["sha256:".len()..].to_uppercase()).parse(), Ok(hash));
        for wrong in ["", "sha256:", &written[7..], &written[..70], &written.replace("ba", "bx"), "sha512:00"] {
            assert_eq!(wrong.parse::<Hash>(), Err(()), "{wrong}");
        }
    }
}
