//! The keys that tokens are checked with: one that is given, or a set (JWKS, RFC 7517) that is fetched and kept.
//!
//! ```text
//! Tokens ─find(kid)─▶ KeySet ◀─watch── Keeper ─fetch─▶ file or URL
//!                        └─ unknown: ask ──▲   every `every`, and when asked, but not again within `PAUSE`
//! ```
//! A set that was fetched once stays until another one was: an issuer that is away takes nobody's access away. A key that
//! the issuer withdrew is gone with the next fetch.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use jsonwebtoken::{
    AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Algorithm;

/// The largest set, in bytes.
pub const MAX_SET_BYTES: usize = 256 * 1024;

/// The most keys of a set.
const MAX_KEYS: usize = 100;

/// A set is fetched at most once in this time, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long whoever needs it waits for it.
const WAIT: Duration = Duration::from_secs(6);

/// Brings the text of a set.
pub trait Fetch: Send + Sync + 'static {
    /// The text, at most [`MAX_SET_BYTES`] of it. Given up when it takes too long.
    ///
    /// # Errors
    /// For the log: what was attempted, and why it failed. Nothing secret.
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>>;
}

/// Why there is no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// The keys as they are known now.
#[derive(Debug, Clone)]
pub struct KeySet(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Given(Arc<Known>),
    Fetched { state: watch::Receiver<State>, wanted: Arc<Notify> },
}

#[derive(Debug, Clone)]
struct State {
    known: Option<Arc<Known>>,
    /// When the last attempt ended, however it did.
    tried: Option<Instant>,
    /// When what is known was brought.
    fetched: Option<Instant>,
    /// Attempts that brought a set, and those that did not.
    outcomes: [u64; 2],
}

/// How a set was fetched so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetches {
    /// Attempts that brought a set.
    pub fetched: u64,
    /// Attempts that did not: it did not come, or is none.
    pub failed: u64,
    /// The keys that are known.
    pub keys: usize,
    /// How long ago they were brought; nothing if there are none.
    pub age: Option<Duration>,
}

/// Some keys, each with the name that tokens have for it.
pub struct Known(Vec<(Option<String>, DecodingKey)>);

/// Why there is no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The set is as fresh as can be, and has none of this name.
    Unknown,
    /// The token names none, and there are several.
    Unnamed,
    /// It may be in the set that could not be fetched, or is not fetched again so soon.
    Unavailable,
}

/// Fetches a set, again and again.
pub struct Keeper {
    algorithm: Algorithm,
    fetch: Box<dyn Fetch>,
    every: Duration,
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
}

impl KeySet {
    /// A secret that is shared with the issuer.
    pub fn of_secret(secret: &[u8]) -> Self {
        Self::given(DecodingKey::from_secret(secret))
    }

    /// A public key in PEM form.
    ///
    /// # Errors
    /// If it is none of a kind that `algorithm` takes.
    pub fn of_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, FetchError> {
        let key = match algorithm {
            Algorithm::Hs256 => return Err(FetchError("HS256 takes a secret, not a public key".to_owned())),
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            Algorithm::Es256 => DecodingKey::from_ec_pem(pem),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        };
        let name = algorithm.as_str();
        key.map(Self::given).map_err(|_| FetchError(format!("it is no public key in PEM form for {name}")))
    }

    /// A set that is fetched every so often, and when a token names a key that it lacks. `first`, if there is one, is
    /// what it is until then.
    pub fn kept(algorithm: Algorithm, first: Option<Known>, fetch: Box<dyn Fetch>, every: Duration) -> (Self, Keeper) {
        let fetched = first.is_some().then(Instant::now);
        let (sender, state) =
            watch::channel(State { known: first.map(Arc::new), tried: None, fetched, outcomes: [0, 0] });
        let wanted = Arc::new(Notify::new());
        let keeper = Keeper { algorithm, fetch, every, state: sender, wanted: Arc::clone(&wanted) };
        (Self(Kept::Fetched { state, wanted }), keeper)
    }

    /// A set that stays as it is.
    #[cfg(test)]
    pub(super) fn of_known(known: Known) -> Self {
        Self(Kept::Given(Arc::new(known)))
    }

    fn given(key: DecodingKey) -> Self {
        Self(Kept::Given(Arc::new(Known(vec![(None, key)]))))
    }

    /// How it was fetched, if it is.
    pub(super) fn fetches(&self) -> Option<Fetches> {
        let Kept::Fetched { state, .. } = &self.0 else { return None };
        let state = state.borrow();
        let [fetched, failed] = state.outcomes;
        let keys = state.known.as_ref().map_or(0, |known| known.0.len());
        Some(Fetches { fetched, failed, keys, age: state.fetched.map(|at| at.elapsed()) })
    }

    /// The key that a token names.
    pub(super) async fn find(&self, kid: Option<&str>) -> Result<DecodingKey, Missing> {
        let (state, wanted) = match &self.0 {
            Kept::Given(known) => return known.find(kid),
            Kept::Fetched { state, wanted } => (state, wanted),
        };
        let (missing, tried) = match look(&state.borrow(), kid) {
            Ok(key) => return Ok(key),
            Err(failed) => failed,
        };
        // To name no key at all is no reason to look for others.
        if missing == Missing::Unnamed || tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Err(if missing == Missing::Unnamed { missing } else { Missing::Unavailable });
        }
        wanted.notify_one();
        let mut state = state.clone();
        let newer = timeout(WAIT, state.wait_for(|state| state.tried > tried)).await;
        match newer {
            Ok(Ok(state)) => look(&state, kid).map_err(|(missing, _)| missing),
            _ => Err(Missing::Unavailable),
        }
    }
}

fn look(state: &State, kid: Option<&str>) -> Result<DecodingKey, (Missing, Option<Instant>)> {
    let found = state.known.as_ref().map_or(Err(Missing::Unavailable), |known| known.find(kid));
    found.map_err(|missing| (missing, state.tried))
}

impl Known {
    /// Reads a set. Keys that are not for `algorithm`, or cannot be read, are left out.
    ///
    /// # Errors
    /// If it is no set, or there is nothing in it for `algorithm`.
    pub fn parse(text: &[u8], algorithm: Algorithm) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Box<RawValue>>,
        }
        let wrong = |why: String| Err(FetchError(why));
        if text.len() > MAX_SET_BYTES {
            return wrong(format!("it has more than {MAX_SET_BYTES} bytes"));
        }
        let Ok(Set { keys }) = serde_json::from_slice(text) else {
            return wrong("it is no JWKS: an object whose `keys` is a list (RFC 7517)".to_owned());
        };
        if keys.len() > MAX_KEYS {
            return wrong(format!("it has more than {MAX_KEYS} keys"));
        }
        let keys = keys.iter().filter_map(|raw| serde_json::from_str::<Jwk>(raw.get()).ok());
        let keys: Vec<_> = keys
            .filter(|key| is_for(key, algorithm))
            .filter_map(|key| Some((key.common.key_id.clone(), DecodingKey::from_jwk(&key).ok()?)))
            .collect();
        if keys.is_empty() { wrong(format!("it has no key for {}", algorithm.as_str())) } else { Ok(Self(keys)) }
    }

    fn find(&self, kid: Option<&str>) -> Result<DecodingKey, Missing> {
        let found = match (kid, &self.0[..]) {
            // A key that was given without a name is the one, whatever tokens call it.
            (_, [only @ (None, _)]) | (None, [only]) => Some(only),
            (Some(kid), keys) => keys.iter().find(|(name, _)| name.as_deref() == Some(kid)),
            (None, _) => return Err(Missing::Unnamed),
        };
        found.map(|(_, key)| key.clone()).ok_or(Missing::Unknown)
    }
}

/// Whether the key is of the algorithm's kind, and says nothing to the contrary (RFC 7517 §4).
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let fits = match (&key.algorithm, algorithm.of_token().family()) {
        (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa) => true,
        (AlgorithmParameters::EllipticCurve(key), AlgorithmFamily::Ec) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(key), AlgorithmFamily::Ed) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let named = key.common.key_algorithm;
    let usage = key.common.public_key_use.as_ref();
    fits && named.is_none_or(|named| named == algorithm.of_key())
        && usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
}

impl Keeper {
    /// Fetches until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                biased; // The end of the process does not wait for an issuer.
                () = cancel.cancelled() => return,
                () = self.attempt() => {}
            }
            let tried = Instant::now();
            let has_keys = self.state.borrow().known.is_some();
            // Without keys nobody can come in: no reason to wait for somebody to ask.
            let next = tried + if has_keys { self.every.max(PAUSE) } else { PAUSE };
            tokio::select! {
                biased; // As above.
                () = cancel.cancelled() => return,
                () = async { tokio::join!(self.wanted.notified(), sleep_until(tried + PAUSE)); } => {}
                () = sleep_until(next) => {}
            }
        }
    }

    async fn attempt(&self) {
        let fetched = timeout(PATIENCE, self.fetch.fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err(FetchError(format!("it did not come within {PATIENCE:?}"))));
        let known = fetched.and_then(|text| Known::parse(&text, self.algorithm));
        self.state.send_modify(|state| {
            let now = Instant::now();
            state.tried = Some(now);
            let [fetched, failed] = &mut state.outcomes;
            match known {
                Ok(known) => {
                    *fetched += 1;
                    state.fetched = Some(now);
                    if state.known.is_none() {
                        info!(keys = known.0.len(), "the keys that tokens are checked with are here");
                    }
                    state.known = Some(Arc::new(known));
                }
                Err(error) => {
                    *failed += 1;
                    let kept = state.known.as_ref().map_or(0, |known| known.0.len());
                    warn!(%error, kept, "the keys that tokens are checked with cannot be fetched");
                }
            }
        });
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} keys)", self.0.len())
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
