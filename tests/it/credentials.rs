//! Who may come in: every kind of credential, valid and not, by clients that nobody here wrote; how it is renewed, how it
//! ends, how it is taken back; and that it is never shown.

mod browser;
mod plans;
mod renew;

use std::{fs, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{
    EventStream, PATIENCE, Server, Socket, eventually,
    foreign::{Ending, Language},
    http::Request,
    issuer::{Issuer, KEYS_PAUSE, Minted, mint, now, order},
    language,
    process::Process,
    secrets,
    server::standpipe,
};

use crate::PUSH;

const KEY: &str = "sp_planted-key-of-the-first-client";
const OTHER_KEY: &str = "sp_planted-key-of-another-client";
const ADMIN: &str = "planted-admin-token-0123456789";
const SECRET: &str = "planted-secret-of-at-least-32-bytes";

/// Claims of a token that is valid for ten minutes, with some of them changed; null takes one away.
fn claims(changed: &Value) -> Value {
    let mut claims = json!({"sub": "anna", "aud": "standpipe", "exp": now() + 600, "standpipe": {"subscribe": [">"]}});
    for (name, value) in changed.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().map(|claims| claims.remove(name))),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// A token that is ordered with what its header says.
fn header(mut order: Value, alg: Option<&str>, kid: &str) -> Value {
    if let Some(alg) = alg {
        order["alg"] = alg.into();
    }
    order["kid"] = kid.into();
    order
}

fn config_of_tokens(keys: &str) -> String {
    // Many are refused here, one after the other, from one address.
    let at_once = "[limits]\nmax_refusal_delay = \"none\"\n";
    format!("[auth]\nmode = \"jwt\"\n[auth.jwt]\naudience = [\"standpipe\"]\n{keys}\n{at_once}{PUSH}")
}

/// Whether a client is let in, or the status and code that it is told.
type Told = Result<(), (u16, &'static str)>;

/// Everything that is wrong with a token, and what is said to it.
const TABLE: [(&str, Told); 12] = [
    ("valid", Ok(())),
    ("expired", Err((401, "TOKEN_EXPIRED"))),
    ("wrong algorithm", Err((401, "UNAUTHORIZED"))),
    ("no algorithm", Err((401, "UNAUTHORIZED"))),
    ("wrong key", Err((401, "UNAUTHORIZED"))),
    ("wrong audience", Err((401, "UNAUTHORIZED"))),
    ("not yet", Err((401, "UNAUTHORIZED"))),
    ("no end", Err((401, "UNAUTHORIZED"))),
    ("public key as a secret", Err((401, "UNAUTHORIZED"))),
    ("public key as a secret, of the right name", Err((401, "UNAUTHORIZED"))),
    ("claim that cannot be followed", Err((401, "UNAUTHORIZED"))),
    ("rotated", Ok(())),
];

async fn table() -> Minted {
    let of = |name: &str, key: &str, changed: Value| header(order(name, key, &claims(&changed)), None, key);
    let none = header(order("no algorithm", "none", &claims(&json!({}))), Some("none"), "rsa1");
    let public = |name: &str, alg: &str| header(order(name, "public:rsa1", &claims(&json!({}))), Some(alg), "rsa1");
    mint(&[
        of("valid", "rsa1", json!({})),
        of("expired", "rsa1", json!({"exp": now() - 600})),
        of("wrong algorithm", "ec1", json!({})),
        none,
        header(of("wrong key", "rsa2", json!({})), None, "rsa1"),
        of("wrong audience", "rsa1", json!({"aud": "somebody"})),
        of("not yet", "rsa1", json!({"nbf": now() + 600})),
        of("no end", "rsa1", json!({"exp": null})),
        public("public key as a secret", "HS256"),
        public("public key as a secret, of the right name", "RS256"),
        of("claim that cannot be followed", "rsa1", json!({"standpipe": {"fitler": {"a": 1}}})),
        of("rotated", "rsa3", json!({})),
    ])
    .await
}

/// A server that takes tokens of an issuer, who has just taken a new key into use.
async fn rotated(minted: &Minted) -> (Issuer, Server) {
    let issuer = Issuer::start([&minted.jwks["rsa1"], &minted.jwks["ec1"]]).await;
    let keys = format!("algorithm = \"RS256\"\njwks_url = \"{}\"", issuer.url());
    let server = Server::start(&config_of_tokens(&keys)).await;
    let bearer = format!("Bearer {}", minted.tokens["valid"]);
    let path = "/ws?topics=a";
    Socket::try_open(server.addr(), path, &[("authorization", &bearer)]).await.expect("a valid token").close().await;
    assert_eq!(issuer.asked(), 1, "a key that is known is asked for no more");
    issuer.publish([&minted.jwks["rsa1"], &minted.jwks["rsa3"]]);
    (issuer, server)
}

/// Waits until a token's key is known: who names a new one soon after the set was read is asked to come back.
async fn known(server: &Server, token: &str) {
    eventually("the key is known", PATIENCE + KEYS_PAUSE, async || {
        let opened = Socket::try_open(server.addr(), "/ws?topics=a", &[("authorization", &bearer(token))]).await;
        opened.map(drop).map_err(|refused| refused.body)
    })
    .await;
}

#[tokio::test]
async fn a_token_is_valid_or_it_is_told_what_is_wrong() {
    let minted = table().await;
    let (issuer, server) = rotated(&minted).await;
    for (what, expected) in TABLE {
        let bearer = format!("Bearer {}", minted.tokens[what]);
        // A set that has just been read is not read again: who names a new key is asked to come back.
        eventually(what, PATIENCE + KEYS_PAUSE, async || {
            let opened = Socket::try_open(server.addr(), "/ws?topics=a", &[("authorization", &bearer)]).await;
            match opened {
                Ok(socket) => {
                    assert_eq!(expected, Ok(()), "{what}");
                    socket.close().await;
                    EventStream::try_open(server.addr(), "/events?topics=a", &[("authorization", &bearer)])
                        .await
                        .expect("what is good for a socket is good for a stream");
                }
                Err(refused) if refused.status == 503 => return Err(refused.body),
                Err(refused) => {
                    let code = refused.body["error"]["code"].as_str().unwrap_or_default();
                    assert_eq!(expected, Err((refused.status, code)), "{what}: {refused:?}");
                    let path = format!("/events?topics=a&access_token={}", minted.tokens[what]);
                    let streamed = EventStream::try_open(server.addr(), &path, &[]).await.err().expect("it is refused");
                    assert_eq!(Value::from(code), streamed.json()["error"]["code"], "{what}");
                }
            }
            Ok(())
        })
        .await;
    }
    // The issuer is away: nobody loses what he has. The key that was withdrawn is gone.
    issuer.fail();
    let bearer = format!("Bearer {}", minted.tokens["rotated"]);
    let opened = Socket::try_open(server.addr(), "/ws?topics=a", &[("authorization", &bearer)]).await;
    opened.expect("a key that was fetched stays").close().await;
}

async fn is_judged_the_same(language: Language) {
    let minted = table().await;
    let (_issuer, server) = rotated(&minted).await;
    for (what, expected) in TABLE.into_iter().filter(|(what, _)| *what != "rotated") {
        let token = &minted.tokens[what];
        let header = format!("Authorization: Bearer {token}");
        let subprotocol = format!("standpipe.auth.{token}");
        let places: [(&[&str], String); 3] = [
            (&["--header", &header], server.url("/ws?topics=a")),
            (&["--subprotocol", "standpipe.v1", "--subprotocol", &subprotocol], server.url("/ws?topics=a")),
            (&[], server.url(&format!("/ws?topics=a&access_token={token}&token=planted-platform-token"))),
        ];
        for (place, url) in &places {
            let options = [place, &["--op", "subscribed"][..]].concat();
            let collected = language.collect(url, &options).finish(PATIENCE).await;
            let ending = match expected {
                Ok(()) => Ending::Left("op".to_owned()),
                Err((status, _)) => Ending::Refused { status },
            };
            assert_eq!(collected.ending, ending, "{what}, in {place:?}");
        }
    }
}

#[tokio::test]
async fn a_python_client_comes_in_with_a_valid_token_and_with_no_other() {
    is_judged_the_same(language!(Language::Python)).await;
}

#[tokio::test]
async fn a_node_client_comes_in_with_a_valid_token_and_with_no_other() {
    is_judged_the_same(language!(Language::Node)).await;
}

#[tokio::test]
async fn every_algorithm_is_checked_with_the_issuers_key() {
    let minted = mint(&[
        header(order("RS256", "rsa1", &claims(&json!({}))), None, "any"),
        header(order("ES256", "ec1", &claims(&json!({}))), None, "any"),
        header(order("EdDSA", "ed1", &claims(&json!({}))), None, "any"),
        header(order("HS256", &format!("secret:{SECRET}"), &claims(&json!({}))), None, "any"),
    ])
    .await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    secrets::plant(SECRET);
    for (algorithm, key) in [("RS256", "rsa1"), ("ES256", "ec1"), ("EdDSA", "ed1"), ("HS256", "")] {
        let file = folder.path().join(format!("{algorithm}.pem"));
        fs::write(&file, minted.pems.get(key).map_or("", String::as_str)).expect("a temporary file can be written");
        let key = if key.is_empty() {
            format!("secret = \"{SECRET}\"")
        } else {
            format!("key_file = \"{}\"", file.display())
        };
        let server = Server::start(&config_of_tokens(&format!("algorithm = \"{algorithm}\"\n{key}"))).await;
        for (other, token) in &minted.tokens {
            let bearer = format!("Bearer {token}");
            let opened = Socket::try_open(server.addr(), "/ws", &[("authorization", &bearer)]).await;
            assert_eq!(opened.is_ok(), other == algorithm, "{other} at {algorithm}");
        }
    }
}

/// A server that knows two keys and an admin token.
async fn with_keys(more: &str) -> Server {
    let key = |name: &str, key: &str, rest: &str| {
        format!("[[auth.key]]\nname = \"{name}\"\nhash = \"{}\"\n{rest}\n", hash(&secrets::plant(key)))
    };
    let first = key("first", KEY, "subject = \"anna\"\nsubscribe = [\"a.>\"]\npublish = [\"a.in.*\"]\nplan = \"pro\"");
    let other = key("other", OTHER_KEY, "subscribe = [\">\"]");
    let admin = format!("[admin]\ntoken = \"{}\"\n", secrets::plant(ADMIN));
    Server::start(&format!(
        "[auth]\nmode = \"keys\"\n{more}\n{first}{other}[plan.pro]\nmax_subscriptions = 9\n{admin}{PUSH}"
    ))
    .await
}

/// The hash of a key, as another program makes it.
fn hash(key: &str) -> String {
    let digest = std::process::Command::new("python3")
        .args(["-c", "import hashlib,sys; print('sha256:' + hashlib.sha256(sys.argv[1].encode()).hexdigest())", key])
        .output()
        .expect("python3 can be run");
    String::from_utf8(digest.stdout).expect("digits").trim().to_owned()
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[tokio::test]
async fn two_credentials_that_differ_are_refused_and_one_in_two_places_is_not() {
    let server = with_keys("").await;
    let open = async |path: String, headers: &[(&'static str, &str)]| {
        Socket::try_open(server.addr(), &path, headers).await.map(drop).map_err(|refused| refused.status)
    };
    let header = bearer(KEY);
    assert_eq!(open(format!("/ws?access_token={KEY}"), &[("authorization", &header)]).await, Ok(()));
    assert_eq!(open(format!("/ws?access_token={OTHER_KEY}"), &[("authorization", &header)]).await, Err(401));
    assert_eq!(open("/ws".to_owned(), &[]).await, Err(401));
    assert_eq!(open(format!("/ws?token={KEY}"), &[]).await, Err(401), "`token` is the platform's");
}

#[tokio::test]
async fn a_page_is_told_on_the_socket_why_it_may_not_come_in() {
    let server = with_keys("").await;
    let origin = format!("http://{}", server.addr());
    for (path, code, close) in [
        ("/ws?topics=a.x".to_owned(), "UNAUTHORIZED", (4001, "UNAUTHORIZED".to_owned())),
        (format!("/ws?topics=b.x&access_token={KEY}"), "FORBIDDEN", (4003, "FORBIDDEN".to_owned())),
        (format!("/ws?topics=%3E&access_token={KEY}"), "FORBIDDEN", (4003, "FORBIDDEN".to_owned())),
    ] {
        let opened = Socket::try_open(server.addr(), &path, &[("origin", &origin)]).await;
        let mut socket = opened.expect("a page gets a socket");
        assert_eq!(socket.until("error").await["code"], code);
        assert_eq!(socket.until("goodbye").await["verdict"], "never");
        assert_eq!(socket.closed().await, close);
    }
}

#[tokio::test]
async fn operators_see_who_is_there_and_send_all_of_a_subject_away() {
    let server = with_keys("").await;
    let admin = bearer(ADMIN);
    let operator = async |method: &'static str, path: &'static str| {
        server.request(Request { method, path, headers: &[("Authorization", &admin)], body: "" }).await
    };
    let mut sockets = Vec::new();
    for key in [KEY, KEY, OTHER_KEY] {
        let path = "/ws?topics=a.x";
        sockets.push(Socket::try_open(server.addr(), path, &[("authorization", &bearer(key))]).await.expect("a key"));
    }
    for socket in &mut sockets {
        socket.until("subscribed").await;
    }
    let shown = operator("GET", "/connections").await.json();
    let shown = shown["connections"].as_array().expect("a list");
    let mut who: Vec<_> =
        shown.iter().map(|c| (c["subject"].clone(), c["credential"].clone(), c["plan"].clone())).collect();
    who.sort_by_key(|(subject, ..)| subject.to_string());
    assert_eq!(who[0], (json!("anna"), json!("first"), json!("pro")));
    assert_eq!(who[2], (json!("other"), json!("other"), Value::Null));
    assert_eq!(operator("DELETE", "/connections").await.status, 400, "nobody closes all by leaving something out");
    assert_eq!(operator("DELETE", "/connections?subject=nobody").await.body, r#"{"closed":0}"#);
    let refused =
        server.request(Request { method: "DELETE", path: "/connections?subject=anna", ..Request::default() }).await;
    assert_eq!(refused.status, 401, "it is an operation");
    assert_eq!(operator("DELETE", "/connections?subject=anna").await.body, r#"{"closed":2}"#);
    for socket in &mut sockets[..2] {
        assert_eq!(socket.closed().await, (4013, "KICKED".to_owned()));
    }
    sockets[2].send(&json!({"op": "ping"})).await;
    sockets[2].until("pong").await;
}

#[tokio::test]
async fn a_client_publishes_where_its_credential_allows() {
    let server = with_keys("").await;
    let body = r#"{"topic":"a.in.x","data":1}
{"topic":"a.out","data":1}"#;
    let publish = async |path: &'static str, authorization: &str| {
        let headers = &[("Content-Type", "application/x-ndjson"), ("Authorization", authorization)];
        server.request(Request { method: "POST", path, headers, body }).await
    };
    let answer = publish("/publish", &bearer(KEY)).await.json();
    let results: Vec<_> = answer["results"].as_array().expect("a list").iter().map(|r| r["status"].clone()).collect();
    assert_eq!(results, ["accepted", "refused"]);
    assert_eq!(answer["results"][1]["error"]["code"], "FORBIDDEN");
    assert_eq!(publish("/publish", &bearer(OTHER_KEY)).await.status, 403, "it may publish nothing");
    assert_eq!(publish("/publish", &bearer("sp_unknown")).await.status, 401);
    assert_eq!(publish("/publish", "").await.status, 401, "with an admin token, this machine is nobody either");
    assert_eq!(publish("/publish", &bearer(ADMIN)).await.json()["accepted"], 2, "an operator may publish everything");
}

#[tokio::test]
async fn a_wider_pattern_is_narrowed_where_the_configuration_says_so() {
    let server = with_keys("wider = \"narrow\"").await;
    let opened = Socket::try_open(server.addr(), "/ws?topics=%3E", &[("authorization", &bearer(KEY))]).await;
    let mut socket = opened.expect("narrowed, not refused");
    let subscribed = socket.until("subscribed").await;
    assert_eq!((&subscribed["topics"], &subscribed["narrowed"]), (&json!(["a.>"]), &json!([">"])));
    socket.send(&json!({"op": "subscribe", "id": "b", "topics": ["b"]})).await;
    assert_eq!(socket.until("error").await["code"], "FORBIDDEN");
    // Our own client says so, too.
    let mut tail = standpipe();
    tail.args(["tail", &server.url("/ws?topics=%3E")]).env("STANDPIPE_TOKEN", KEY);
    let tail = Process::start("tail", &mut tail);
    eventually("it is told", PATIENCE, async || {
        let told = tail.stderr().join("\n");
        if told.contains("the credential allows only a part of >: it is a.>") { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_expires_closes_and_one_that_is_renewed_in_time_does_not() {
    let key = format!("secret:{}", secrets::plant(SECRET));
    let soon = now() + 2;
    let short = |name: &str, claim: Value| order(name, &key, &claims(&json!({"exp": soon, "standpipe": claim})));
    let minted = mint(&[
        short("short", json!({"subscribe": ["a", "b"]})),
        order("long", &key, &claims(&json!({"standpipe": {"subscribe": ["b"]}}))),
        order("of somebody else", &key, &claims(&json!({"sub": "bert"}))),
        order("expired", &key, &claims(&json!({"exp": now() - 5}))),
    ])
    .await;
    let keys = format!("algorithm = \"HS256\"\nsecret = \"{SECRET}\"\nleeway = \"1s\"");
    let server = Server::start(&config_of_tokens(&keys)).await;
    let open = async || {
        let authorization = bearer(&minted.tokens["short"]);
        let opened = Socket::try_open(server.addr(), "/ws?topics=a,b", &[("authorization", &authorization)]).await;
        let mut socket = opened.expect("it is still valid");
        let welcome = socket.until("welcome").await;
        assert_eq!(welcome["expires"], (soon + 1) * 1000, "with the leeway");
        socket.until("subscribed").await;
        socket
    };
    let (mut left, mut renewed) = (open().await, open().await);
    let refresh = |name: &str| json!({"op": "refresh", "id": name, "access_token": minted.tokens[name]});
    for (name, code) in [("of somebody else", "FORBIDDEN"), ("expired", "TOKEN_EXPIRED")] {
        renewed.send(&refresh(name)).await;
        let error = renewed.until("error").await;
        assert_eq!((&error["code"], &error["id"]), (&json!(code), &json!(name)));
    }
    renewed.send(&refresh("long")).await;
    let answer = renewed.until("refreshed").await;
    assert_eq!((&answer["topics"], &answer["ended"]), (&json!(["b"]), &json!(["a"])));
    assert!(answer["expires"].as_u64() > Some((soon + 500) * 1000), "{answer}");
    assert_eq!(left.until("error").await["code"], "TOKEN_EXPIRED");
    assert_eq!(left.until("goodbye").await["verdict"], "renew");
    assert_eq!(left.closed().await, (4203, "TOKEN_EXPIRED".to_owned()));
    server.publish(&[json!({"topic": "a", "data": 1}), json!({"topic": "b", "data": 2})]).await;
    assert_eq!(renewed.until("event").await["topic"], "b");
}

#[tokio::test]
async fn without_credentials_there_is_nothing_to_renew() {
    let server = Server::start(PUSH).await;
    let mut socket = Socket::open(server.addr(), "/ws?access_token=whatever").await;
    assert!(socket.until("welcome").await.get("expires").is_none());
    socket.send(&json!({"op": "refresh", "id": "r", "access_token": "whatever"})).await;
    let error = socket.until("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("NOT_AVAILABLE"), &json!("r")));
}

/// Everything that a client may do wrong with a secret in its hand. What the server says and writes is searched by the
/// harness; here it is only made to say much.
#[tokio::test]
async fn no_secret_is_shown_whatever_is_done_with_it() {
    let server = with_keys("").await;
    let platform = secrets::plant("planted-platform-token");
    let wrong = secrets::plant("planted-wrong-credential");
    for (path, headers) in [
        (format!("/ws?access_token={wrong}&token={platform}"), vec![]),
        (format!("/ws?access_token={wrong}&access_token={wrong}"), vec![]),
        (format!("/ws?acces_token={wrong}"), vec![]),
        (format!("/ws?access_token={wrong}%ff"), vec![]),
        (format!("/ws?access_token={KEY}&topics=b"), vec![]),
        (format!("/ws?access_token={KEY}"), vec![("authorization", bearer(&wrong))]),
        ("/ws".to_owned(), vec![("sec-websocket-protocol", format!("standpipe.auth.{wrong}"))]),
        ("/ws".to_owned(), vec![("sec-websocket-protocol", format!("standpipe.v1, standpipe.auth.{wrong}"))]),
        ("/ws".to_owned(), vec![("authorization", bearer(ADMIN))]),
        ("/ws".to_owned(), vec![("authorization", format!("Basic {wrong}"))]),
    ] {
        for origin in [None, Some(format!("http://{}", server.addr()))] {
            let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
            match Socket::try_open(server.addr(), &path, &headers).await {
                Ok(mut socket) => drop(socket.closed().await),
                Err(refused) => assert!(refused.status >= 400, "{path}"),
            }
        }
    }
    let opened = Socket::try_open(server.addr(), "/ws?topics=a.x", &[("authorization", &bearer(KEY))]).await;
    let mut socket = opened.expect("a key");
    for command in [
        json!({"op": "refresh", "access_token": wrong}),
        json!({"op": "refresh", "access_token": KEY}),
        json!({"op": "refresh", "acces_token": wrong}),
        json!({"op": "refresh", "access_token": [wrong]}),
    ] {
        socket.send(&command).await;
    }
    socket.send(&json!({"op": "ping"})).await;
    socket.until("pong").await;
    let admin = bearer(ADMIN);
    for path in ["/connections", "/metrics", "/status", "/sources"] {
        for authorization in [&admin, &bearer(&wrong)] {
            let headers = &[("Authorization", authorization.as_str())];
            let path = &format!("{path}?token={platform}&access_token={wrong}");
            server.request(Request { path, headers, ..Request::default() }).await;
        }
    }
    let body = r#"{"topic":"a.in.x","data":{"n":1}}"#;
    let headers = &[("Content-Type", "application/json"), ("Authorization", admin.as_str())];
    let path = &format!("/publish?access_token={wrong}");
    server.request(Request { method: "POST", path, headers, body }).await;
    socket.close().await;
    eventually("everybody is gone", Duration::from_secs(20), async || {
        let metrics = server
            .request(Request { path: "/metrics", headers: &[("Authorization", &admin)], ..Request::default() })
            .await;
        if metrics.body.contains("standpipe_connections_active 0") { Ok(()) } else { Err("somebody is still there") }
    })
    .await;
}
