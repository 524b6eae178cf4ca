//! Tokens: any text is one or is refused, without a word of it in the refusal. Whoever comes in has a signature by our key,
//! and claims that allow it, as another reader sees them. The first byte says what the text is: a whole token, its header,
//! its claims, or a set of keys.

#![no_main]

// The modules that look at credentials, and not their crate: its HTTP would have to be built as well.
// rustfmt would look for the unit tests of a module beside this file.
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/entry/src/auth"]
#[rustfmt::skip]
mod auth {
    pub mod claims;
    pub mod key_set;
    mod signature;
    pub mod token;
    pub use token::Algorithm;
}
#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/entry/src/admission.rs"]
mod admission;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use ring::hmac;
use serde_json::Value;
use standpipe_protocol::{ErrorCode, Refusal, command::Secret};
use standpipe_selection::{Bounds, Wider};

use admission::Pass;
use auth::{
    Algorithm,
    claims::{MAX_NAME_BYTES, Terms},
    key_set::{KeySet, Known},
    token::{Rules, Tokens},
};

const SECRET: &[u8] = b"a secret of the fuzzer, and of nobody else";
const LEEWAY: Duration = Duration::from_secs(60);
const HEADER: &str = r#"{"alg":"HS256"}"#;
const CLAIMS: &str = r#"{"sub":"s","exp":9999999999}"#;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let bounds = Bounds {
        max_filter_bytes: 4096,
        max_filter_depth: 8,
        max_filter_nodes: 64,
        max_set_values: 64,
        max_subscriptions: 16,
        max_topics_per_command: 16,
    };
    let terms = Terms { subscribe: Vec::new(), publish: Vec::new(), params: None, wider: Wider::Refuse, bounds };
    let rules = Rules {
        algorithm: Algorithm::Hs256,
        issuers: Vec::new(),
        audiences: Vec::new(),
        leeway: LEEWAY,
        claim: "standpipe".to_owned(),
        terms,
    };
    Tokens::new(rules, KeySet::of_secret(SECRET))
});

fuzz_target!(|input: &[u8]| {
    let Some((form, text)) = input.split_first() else { return };
    match form {
        b'k' => return keys(text),
        b'h' => judge(&signed(text, CLAIMS.as_bytes())),
        b'c' => judge(&signed(HEADER.as_bytes(), text)),
        _ => {
            let Ok(token) = std::str::from_utf8(text) else { return };
            judge(token);
        }
    }
});

fn keys(text: &[u8]) {
    for algorithm in [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        if Known::parse(text, algorithm).is_ok() {
            assert!(algorithm != Algorithm::Hs256, "a set of public keys holds no secret");
            let set: Value = serde_json::from_slice(text).expect("a set is JSON");
            assert!(set["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
        }
    }
}

/// A token as its issuer would make it.
fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn judge(token: &str) {
    let judged = TOKENS.admit(&Secret(token.to_owned())).now_or_never().expect("a key that is given is not waited for");
    match judged {
        Ok(pass) => assert_is_ours(token, &pass),
        Err(refusal) => assert_says_nothing_of(token, &refusal),
    }
}

/// What another reader sees in the token: who may come in by it, may.
fn assert_is_ours(token: &str, pass: &Pass) {
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    hmac::verify(&key, message.as_bytes(), &signature).expect("signed by our key");
    let (header, claims) = message.split_once('.').expect("three parts");
    let read = |part: &str| {
        let text = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice::<Value>(&text)
    };
    // A number that is too large for this reader may stand where nobody looks.
    let (Ok(header), Ok(claims)) = (read(header), read(claims)) else { return };
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(Value::is_null), "{header}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    // Who asks for the time a little later sees a little more of it.
    let latest = now + LEEWAY.as_secs_f64() + 2.0;
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp >= now - LEEWAY.as_secs_f64() - 2.0), "{claims}");
    assert!(claims["nbf"].as_f64().is_none_or(|nbf| nbf <= latest), "{claims}");
    assert_eq!(pass.identity.subject.as_deref(), claims["sub"].as_str());
    assert!(pass.identity.subject.as_ref().is_none_or(|subject| subject.len() <= MAX_NAME_BYTES));
    assert!(pass.identity.expires.is_some());
    let claim = &claims["standpipe"];
    assert_eq!(pass.identity.plan.as_deref(), claim["plan"].as_str());
    let known = ["subscribe", "publish", "filter", "plan"];
    let fields = claim.as_object().into_iter().flatten();
    assert!(fields.into_iter().all(|(name, _)| known.contains(&name.as_str())), "{claim}");
}

fn assert_says_nothing_of(token: &str, refusal: &Refusal) {
    assert!(matches!(refusal.code, ErrorCode::Unauthorized | ErrorCode::TokenExpired), "{refusal:?}");
    let hint = refusal.hint.as_deref().unwrap_or_default();
    assert!(!refusal.message.is_empty() && refusal.message.len() + hint.len() < 500, "{refusal:?}");
    // Words that the refusal could have by itself are shorter.
    let is_base64 = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let parts = token.split('.').filter(|part| part.len() >= 16 && is_base64(part));
    for part in parts {
        assert!(!refusal.message.contains(part) && !hint.contains(part), "{refusal:?}");
    }
}
