use std::time::{SystemTime, UNIX_EPOCH};

use expect_test::expect;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use standpipe_selection::{Grant, Pattern, Wider};

use super::*;
use crate::auth::{claims::tests::BOUNDS, key_set::Known};

const SECRET: &[u8] = b"a secret of at least 32 bytes, as RFC 7518 asks";

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = |chunk: &[u8]| (0..3).fold(0_usize, |bits, i| bits << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
    let digits = |chunk: &[u8]| {
        let (bits, count) = (bits(chunk), chunk.len() + 1);
        (0..count).map(move |i| char::from(DIGITS[bits >> (18 - 6 * i) & 63])).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

/// A token, signed by `sign`. Written here and not by the library that reads it.
fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Secret {
    let message = format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
    let signature = sign(message.as_bytes());
    Secret(format!("{message}.{}", base64(&signature)))
}

fn hs256(secret: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |message| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn rules(algorithm: Algorithm) -> Rules {
    let (subscribe, publish) = (Vec::new(), Vec::new());
    let terms = Terms { subscribe, publish, params: None, wider: Wider::Refuse, bounds: BOUNDS };
    Rules {
        algorithm,
        issuers: vec!["me".to_owned()],
        audiences: vec!["here".to_owned(), "there".to_owned()],
        leeway: Duration::from_secs(60),
        claim: "standpipe".to_owned(),
        terms,
    }
}

fn claims(changed: &[(&str, Value)]) -> Value {
    let mut claims = json!({"sub": "anna", "iss": "me", "aud": "here", "exp": now() + 600});
    for (name, value) in changed {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(*name)),
            value => claims[*name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn a_token_says_who_comes_and_what_for() {
    let tokens = Tokens::new(rules(Algorithm::Hs256), KeySet::of_secret(SECRET));
    let exp = now() + 600;
    let claim = json!({"subscribe": ["a.>"], "plan": "pro"});
    let claims = claims(&[("exp", json!(exp)), ("standpipe", claim), ("aud", json!(["x", "there"]))]);
    let pass = tokens.admit(&token(&json!({"alg": "HS256"}), &claims, hs256(SECRET))).await.unwrap();
    let anna = || Some(Arc::from("anna"));
    let expires = Some((exp + 60) * 1000);
    assert_eq!(*pass.identity, Identity { subject: anna(), credential: anna(), plan: Some("pro".into()), expires });
    let granted = Grant::new(vec![Pattern::new("a.>").unwrap()], Vec::new(), None, Wider::Refuse);
    assert_eq!(*pass.grant, granted);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told_and_nothing_of_it_repeated() {
    let tokens = Tokens::new(rules(Algorithm::Hs256), KeySet::of_secret(SECRET));
    let good = json!({"alg": "HS256", "typ": "JWT"});
    let signed = |changed: &[(&str, Value)]| token(&good, &claims(changed), hs256(SECRET));
    let valid = signed(&[]).0;
    let (head, tail) = valid.rsplit_once('.').unwrap();
    let other_tail = format!("{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
    let cases = [
        ("valid", signed(&[])),
        ("expired", signed(&[("exp", json!(now() - 61))])),
        ("expired within the leeway", signed(&[("exp", json!(now() - 30))])),
        ("no exp", signed(&[("exp", Value::Null)])),
        ("exp is text", signed(&[("exp", json!((now() + 600).to_string()))])),
        ("exp with a fraction", signed(&[("exp", json!(1e10 + 0.5))])),
        ("not yet", signed(&[("nbf", json!(now() + 120))])),
        ("not yet, within the leeway", signed(&[("nbf", json!(now() + 30))])),
        ("wrong audience", signed(&[("aud", json!("hunter2"))])),
        ("no audience", signed(&[("aud", Value::Null)])),
        ("wrong issuer", signed(&[("iss", json!("hunter2"))])),
        ("sub is no text", signed(&[("sub", json!({"hunter2": 1}))])),
        ("sub is long", signed(&[("sub", json!("hunter2".repeat(100)))])),
        ("claim is wrong", signed(&[("standpipe", json!({"filter": "hunter2"}))])),
        ("wrong key", token(&good, &claims(&[]), hs256(b"hunter2"))),
        ("changed", Secret(format!("{head}.{other_tail}"))),
        ("alg none", token(&json!({"alg": "none"}), &claims(&[]), |_| Vec::new())),
        ("alg none, signed", token(&json!({"alg": "none"}), &claims(&[]), hs256(SECRET))),
        ("other alg", token(&json!({"alg": "HS512"}), &claims(&[]), hs256(SECRET))),
        ("public key alg", token(&json!({"alg": "RS256"}), &claims(&[]), hs256(SECRET))),
        ("no alg", token(&json!({"typ": "JWT"}), &claims(&[]), hs256(SECRET))),
        ("crit", token(&json!({"alg": "HS256", "crit": ["hunter2"]}), &claims(&[]), hs256(SECRET))),
        ("two parts", Secret(head.to_owned())),
        ("no token", Secret("hunter2".to_owned())),
        ("nothing", Secret(String::new())),
    ];
    let mut told = Vec::new();
    for (what, token) in cases {
        let outcome = match tokens.admit(&token).await {
            Ok(_) => "welcome".to_owned(),
            Err(refusal) => {
                let shown = format!("{refusal:?}");
                assert!(!shown.contains("hunter2") && (token.0.is_empty() || !shown.contains(&token.0)), "{shown}");
                format!("{} {}", refusal.code, refusal.message)
            }
        };
        told.push(format!("{what}: {outcome}"));
    }
    expect![[r"
        valid: welcome
        expired: TOKEN_EXPIRED the token has expired
        expired within the leeway: welcome
        no exp: UNAUTHORIZED the token has no `exp`
        exp is text: UNAUTHORIZED the token has no `exp`
        exp with a fraction: welcome
        not yet: UNAUTHORIZED the token is not valid yet
        not yet, within the leeway: welcome
        wrong audience: UNAUTHORIZED the token is not for this server
        no audience: UNAUTHORIZED the token has no `aud`
        wrong issuer: UNAUTHORIZED the token is of an issuer that this server does not take
        sub is no text: UNAUTHORIZED the credential is no token that can be read
        sub is long: UNAUTHORIZED `sub` of the token is too long
        claim is wrong: UNAUTHORIZED the claim `standpipe` of the token has a filter that cannot be used
        wrong key: UNAUTHORIZED the token was not signed with a key of this server
        changed: UNAUTHORIZED the token was not signed with a key of this server
        alg none: UNAUTHORIZED the credential is no token that can be read
        alg none, signed: UNAUTHORIZED the credential is no token that can be read
        other alg: UNAUTHORIZED the token is signed by another algorithm than this server takes
        public key alg: UNAUTHORIZED the token is signed by another algorithm than this server takes
        no alg: UNAUTHORIZED the credential is no token that can be read
        crit: UNAUTHORIZED the token has a critical header that this server does not know
        two parts: UNAUTHORIZED the credential is no token that can be read
        no token: UNAUTHORIZED the credential is no token that can be read
        nothing: UNAUTHORIZED the credential is no token that can be read"]]
    .assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_key_is_used_as_what_it_is() {
    let random = SystemRandom::new();
    let edwards = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
    let elliptic = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).unwrap();
    let (point, public) = (elliptic.public_key().as_ref(), edwards.public_key().as_ref());
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": base64(public)},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "x": base64(&point[1..33]), "y": base64(&point[33..])},
        {"kty": "oct", "kid": "oct", "k": base64(SECRET)},
    ]});
    let ed = |message: &[u8]| edwards.sign(message).as_ref().to_vec();
    let ec = |message: &[u8]| elliptic.sign(&random, message).unwrap().as_ref().to_vec();
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let tokens = [
        ("ed", token(&header("EdDSA", "ed"), &claims(&[]), ed)),
        ("ec", token(&header("ES256", "ec"), &claims(&[]), ec)),
        ("public key of ed as a secret", token(&header("HS256", "ed"), &claims(&[]), hs256(public))),
        ("public key of ec as a secret", token(&header("HS256", "ec"), &claims(&[]), hs256(point))),
        ("ed under the name of ec", token(&header("EdDSA", "ec"), &claims(&[]), ed)),
        ("a secret in a public set", token(&header("HS256", "oct"), &claims(&[]), hs256(SECRET))),
    ];
    for (algorithm, welcome) in
        [(Algorithm::EdDsa, Some("ed")), (Algorithm::Es256, Some("ec")), (Algorithm::Hs256, None)]
    {
        let Ok(known) = Known::parse(set.to_string().as_bytes(), algorithm) else {
            assert_eq!(welcome, None, "a set has no secrets");
            continue;
        };
        let checker = Tokens::new(rules(algorithm), KeySet::of_known(known));
        for (what, token) in &tokens {
            assert_eq!(checker.admit(token).await.is_ok(), Some(*what) == welcome, "{algorithm:?}: {what}");
        }
    }
}
