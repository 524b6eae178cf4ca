use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::FutureExt as _;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::*;

/// An issuer whose set is what the test says, or away.
#[derive(Clone, Default)]
struct Issuer {
    kids: Arc<Mutex<Option<Vec<&'static str>>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn publish(&self, kids: Option<&[&'static str]>) {
        *self.kids.lock().unwrap() = kids.map(<[_]>::to_vec);
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

impl Fetch for Issuer {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        self.asked.fetch_add(1, Relaxed);
        let kids = self.kids.lock().unwrap().clone();
        let text = kids.map(|kids| set(&kids).into_bytes()).ok_or(FetchError("it is away".to_owned()));
        async { text }.boxed()
    }
}

fn set(kids: &[&str]) -> String {
    let key = |kid: &&str| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "AAAA"});
    json!({"keys": kids.iter().map(key).collect::<Vec<_>>()}).to_string()
}

struct Kept {
    keys: KeySet,
    issuer: Issuer,
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Kept {
    fn start(first: Option<&[&'static str]>) -> Self {
        let (issuer, cancel, tracker) = (Issuer::default(), CancellationToken::new(), TaskTracker::new());
        issuer.publish(first);
        let fetch = Box::new(issuer.clone());
        let (keys, keeper) = KeySet::kept(Algorithm::EdDsa, None, fetch, Duration::from_secs(600));
        tracker.spawn(keeper.run(cancel.clone()));
        Self { keys, issuer, cancel, tracker }
    }

    async fn finds(&self, kid: &str) -> Result<(), Missing> {
        self.keys.find(Some(kid)).await.map(drop)
    }

    async fn end(self) {
        self.cancel.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_is_waited_for_and_then_asked_for_no_more() {
    let kept = Kept::start(Some(&["a", "b"]));
    assert_eq!(kept.finds("a").await, Ok(()));
    assert_eq!(kept.finds("b").await, Ok(()));
    assert_eq!(kept.keys.find(None).await.map(drop), Err(Missing::Unnamed));
    assert_eq!(kept.issuer.asked(), 1);
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_is_fetched_when_a_token_names_it_and_one_that_is_gone_is_forgotten() {
    let kept = Kept::start(Some(&["a"]));
    assert_eq!(kept.finds("a").await, Ok(()));
    tokio::time::advance(PAUSE).await;
    kept.issuer.publish(Some(&["b"]));
    assert_eq!(kept.finds("b").await, Ok(()));
    assert_eq!(kept.finds("a").await, Err(Missing::Unavailable), "not fetched again so soon");
    tokio::time::advance(PAUSE).await;
    assert_eq!(kept.finds("a").await, Err(Missing::Unknown));
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn whatever_tokens_name_the_issuer_is_asked_seldom() {
    let kept = Kept::start(Some(&["a"]));
    assert_eq!(kept.finds("a").await, Ok(()));
    for _ in 0..1000 {
        assert!(kept.finds("x").await.is_err());
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    let asked = kept.issuer.asked();
    assert!((2..=12).contains(&asked), "{asked} times in 50 s");
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_takes_no_access_away() {
    let kept = Kept::start(Some(&["a"]));
    assert_eq!(kept.finds("a").await, Ok(()));
    kept.issuer.publish(None);
    tokio::time::advance(Duration::from_secs(7200)).await;
    assert_eq!(kept.finds("b").await, Err(Missing::Unknown));
    assert_eq!(kept.finds("a").await, Ok(()));
    let fetches = kept.keys.fetches().unwrap();
    assert_eq!((fetches.fetched, fetches.failed > 0, fetches.keys), (1, true, 1));
    assert!(fetches.age >= Some(Duration::from_secs(7200)), "{fetches:?}");
    kept.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_set_nobody_is_told_that_a_token_is_wrong() {
    let kept = Kept::start(None);
    assert_eq!(kept.finds("a").await, Err(Missing::Unavailable));
    let fetches = kept.keys.fetches().unwrap();
    assert_eq!((fetches.fetched, fetches.failed, fetches.age), (0, 1, None));
    kept.issuer.publish(Some(&["a"]));
    tokio::time::sleep(PAUSE * 2).await;
    assert_eq!(kept.finds("a").await, Ok(()));
    kept.end().await;
}

#[test]
fn keys_that_are_not_for_the_algorithm_are_left_out() {
    let names = |text: &str| {
        let known = Known::parse(text.as_bytes(), Algorithm::EdDsa).map_err(|error| error.to_string())?;
        Ok(known.0.into_iter().map(|(name, _)| name.unwrap_or_default()).collect::<Vec<_>>().join(" "))
    };
    let mixed = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "plain", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "named", "alg": "EdDSA", "use": "sig", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "for encryption", "use": "enc", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "other algorithm", "alg": "RS256", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "not base64", "x": "!"},
        {"kty": "EC", "crv": "P-256", "kid": "elliptic", "x": "AAAA", "y": "AAAA"},
        {"kty": "oct", "kid": "secret", "k": "AAAA"},
        {"kty": "new kind", "kid": "new"},
        "no key",
    ]});
    assert_eq!(names(&mixed.to_string()), Ok("plain named".to_owned()));
    for (text, why) in [
        ("", "it is no JWKS: an object whose `keys` is a list (RFC 7517)"),
        ("[]", "it is no JWKS: an object whose `keys` is a list (RFC 7517)"),
        (r#"{"keys":[]}"#, "it has no key for EdDSA"),
        (&set(&["a"; MAX_KEYS + 1]), "it has more than 100 keys"),
        (&" ".repeat(MAX_SET_BYTES + 1), "it has more than 262144 bytes"),
    ] {
        assert_eq!(names(text), Err(why.to_owned()));
    }
}
