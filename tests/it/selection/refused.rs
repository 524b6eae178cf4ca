//! What no filter can be: refused by name, at the price of an answer. The client stays, and so does everybody else.

use std::iter;

use serde_json::{Value, json};
use standpipe_tests::{Server, Socket, socket::Received};

use crate::PUSH;

/// Room for whatever is tried here, so that it is the filter that is refused and not its frame.
const ROOMY: &str = "[client]\nmax_frame = \"16MiB\"\n";

/// Text of JSON inside of other text, so many times.
fn nested(times: usize, before: &str, within: &str, after: &str) -> String {
    [&before.repeat(times), within, &after.repeat(times)].concat()
}

fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(element).collect::<Vec<_>>().join(","))
}

/// Filters that are too much, what the message has to name, and the hint.
fn too_much() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let names = |count| list(count, |i| format!("\"name-{i}\""));
    let fields: Vec<_> = (0..257).map(|i| format!("\"f{i}\":{i}")).collect();
    vec![
        ("1 MB", format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000)), "at most 262144", "limits.max_filter_bytes"),
        ("10,000 nots", nested(10_000, r#"{"not":"#, "{}", "}"), "more than 8 deep", "limits.max_filter_depth"),
        ("10,000 ors", nested(10_000, r#"{"or":["#, "{}", "]}"), "more than 8 deep", "limits.max_filter_depth"),
        ("10,000 objects", nested(10_000, r#"{"a":"#, "1", "}"), "unknown operator `a`", "operators are"),
        ("10,000 lists", format!(r#"{{"a":{{"in":{}}}}}"#, nested(10_000, "[", "1", "]")), "a.in[0]", "take one value"),
        (
            "a million values",
            format!(r#"{{"a":{{"in":{}}}}}"#, names(1_000_000)),
            "at most 262144",
            "limits.max_filter_bytes",
        ),
        (
            "10,001 values",
            format!(r#"{{"a":{{"in":{}}}}}"#, list(10_001, |i| i.to_string())),
            "10000",
            "limits.max_set_values",
        ),
        (
            "10,001 values in `nin`",
            format!(r#"{{"a":{{"nin":{}}}}}"#, list(10_001, |i| i.to_string())),
            "10000",
            "limits.max_set_values",
        ),
        ("257 conditions", format!("{{{}}}", fields.join(",")), "256", "limits.max_filter_nodes"),
        ("257 filters", format!(r#"{{"and":{}}}"#, list(257, |_| "{}".to_owned())), "256", "limits.max_filter_nodes"),
        ("a long path", format!(r#"{{"{}":1}}"#, "x".repeat(256)), "at most 255", "shorter name"),
        ("a deep path", format!(r#"{{"{}":1}}"#, ["x"; 17].join(".")), "at most 16", "nearer to the top"),
        (
            "a number beyond all",
            r#"{"a":{"gt":1e99999999999999999999}}"#.to_owned(),
            "1e99999999999999999999",
            "exponent",
        ),
    ]
}

/// Filters that mean nothing, what the message has to name, and the hint.
const MEANINGLESS: &[(&str, &str, &str)] = &[
    (r#"{"price":{"gtt":5}}"#, "unknown operator `gtt` at `price`", "did you mean `gt`?"),
    (r#"{"user":{"name":"ann"}}"#, "unknown operator `name` at `user`", "user.name"),
    (r#"{"$topc":"x"}"#, "`$topc`", "did you mean `$topic`?"),
    (r#"{"price":{"gt":true}}"#, "`price.gt` takes a number", "30240.1"),
    (r#"{"price":{"gt":{"__proto__":1}}}"#, "`price.gt` takes a number", "30240.1"),
    (r#"{"a":[1]}"#, "not a list", r#"{"in":[1]}"#),
    (r#"{"a":{"in":"x"}}"#, "takes a list", r#"["x"]"#),
    (r#"{"a":{"in":[{}]}}"#, "`a.in[0]`", "`in`"),
    (r#"{"or":{}}"#, "takes a list of filters", r#"{"or":["#),
    (r#"{"__proto__":{"polluted":true}}"#, "unknown operator `polluted` at `__proto__`", "operators are"),
    (r#"{"constructor":{"prototype":{}}}"#, "unknown operator `prototype` at `constructor`", "operators are"),
    (r#"{"a":1,"a":2}"#, "`a` stands twice", "once"),
    (r#"{"a":1,"\u0061":2}"#, "`a` stands twice", "once"),
    (r#"{"a":{"gt":1,"gt":2}}"#, "`a.gt` stands twice", "once"),
    (r#"{"a":"\ud800"}"#, "not Unicode", "surrogate"),
    (r#"{"a..b":1}"#, "`a..b` has an empty name", "single dots"),
    ("7", "has to be an object", "looks like"),
    (r#""a > 5""#, "has to be an object", "looks like"),
];

fn subscribe(filter: &str) -> String {
    format!(r#"{{"op":"subscribe","id":"x","topics":["b"],"filter":{filter}}}"#)
}

/// Asserts that a refusal of a filter names what is wrong and what would be right.
fn assert_refused(error: &Value, named: &str, hint: &str, what: &str) {
    assert_eq!(error["code"], "INVALID_FILTER", "{what}: {error}");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(named), "{what}: {error}");
    assert!(message.len() < 300, "{what}: what is sent is not repeated at length: {error}");
    assert_hinted(error, hint, what);
}

/// Asserts that what would be right is told, and names `hint`.
fn assert_hinted(error: &Value, hint: &str, what: &str) {
    let told = error["hint"].as_str().unwrap_or_default();
    assert!(!told.is_empty() && told.contains(hint), "{what}: {error}");
}

/// A server with a client that must not notice anything, and what it is to get next.
struct Witness {
    server: Server,
    client: Socket,
    published: u64,
}

impl Witness {
    async fn of(config: &str) -> Self {
        let server = Server::start(&format!("{config}{PUSH}")).await;
        let mut client = Socket::open(server.addr(), "/ws?topics=a").await;
        client.until("subscribed").await;
        Self { server, client, published: 0 }
    }

    /// An event passes: to the witness, and to `other` if it has kept its selection of `a` and nothing else.
    async fn nothing_has_changed(&mut self, other: Option<&mut Socket>, what: &str) {
        self.published += 1;
        let data = json!({"n": self.published, "a": "x"});
        self.server.publish(&[json!({"topic": "b", "data": data}), json!({"topic": "a", "data": data})]).await;
        for client in iter::once(&mut self.client).chain(other) {
            let event = client.until("event").await;
            assert_eq!((&event["topic"], &event["data"]), (&json!("a"), &data), "{what}");
        }
    }
}

#[tokio::test]
async fn a_filter_that_is_too_much_costs_an_answer_and_nobody_else_anything() {
    let mut witness = Witness::of(ROOMY).await;
    let mut client = Socket::open(witness.server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    for (what, filter, named, hint) in too_much() {
        client.send_text(&subscribe(&filter)).await;
        let error = client.until("error").await;
        assert_eq!(error["id"], "x", "{what}");
        assert_refused(&error, named, hint, what);
        witness.nothing_has_changed(Some(&mut client), what).await;
    }
}

#[tokio::test]
async fn a_filter_that_means_nothing_is_answered_by_its_place_and_what_was_probably_meant() {
    let mut witness = Witness::of("").await;
    let mut client = Socket::open(witness.server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    for (filter, named, hint) in MEANINGLESS {
        client.send_text(&subscribe(filter)).await;
        assert_refused(&client.until("error").await, named, hint, filter);
        witness.nothing_has_changed(Some(&mut client), filter).await;
    }
}

#[tokio::test]
async fn fields_that_a_command_does_not_have_or_has_twice_are_named() {
    let mut witness = Witness::of("").await;
    let mut client = Socket::open(witness.server.addr(), "/ws?topics=a").await;
    client.until("subscribed").await;
    for (field, code, named) in [
        (r#""__proto__":{"filter":{}}"#, "UNKNOWN_FIELD", "__proto__"),
        (r#""where":{"a":1}"#, "UNKNOWN_FIELD", "where"),
        (r#""fliter":{"a":1}"#, "UNKNOWN_FIELD", "did you mean `filter`?"),
        (r#""filter":{},"filter":{}"#, "INVALID_FIELD", "stands twice"),
        (r#""params":{"x":"1","x":"2"}"#, "INVALID_FIELD", "`x` stands twice"),
    ] {
        client.send_text(&format!(r#"{{"op":"subscribe","topics":["b"],{field}}}"#)).await;
        let error = client.until("error").await;
        assert_eq!(error["code"], code, "{field}: {error}");
        assert!(error.to_string().contains(named), "{field}: {error}");
        assert_hinted(&error, "", field);
        witness.nothing_has_changed(Some(&mut client), field).await;
    }
}

#[tokio::test]
async fn a_filter_larger_than_a_frame_may_be_is_refused_by_its_header() {
    let mut witness = Witness::of("").await;
    for len in [65_537_u64, 1_000_000, 1 << 40, (1 << 63) - 1] {
        let mut client = Socket::open(witness.server.addr(), "/ws?topics=a").await;
        client.until("subscribed").await;
        // A text of so many bytes, masked (RFC 6455 §5.2), of which only the beginning comes.
        let header = [&[0x81, 0xFF][..], &len.to_be_bytes(), &[0; 4], br#"{"op":"subscribe","#].concat();
        client.send_raw(&header).await;
        let goodbye = client.until("goodbye").await;
        assert_eq!((&goodbye["code"], &goodbye["verdict"]), (&json!(1009), &json!("never")), "{len}: {goodbye}");
        assert_eq!(client.closed().await, (1009, "MESSAGE_TOO_BIG".to_owned()), "{len}");
        witness.nothing_has_changed(None, "a header").await;
    }
}

#[tokio::test]
async fn ten_thousand_values_are_followed() {
    let config = "[client]\nmax_frame = \"256KiB\"\n";
    let mut witness = Witness::of(config).await;
    let mut client = Socket::open(witness.server.addr(), "/ws").await;
    let names: Vec<_> = (0..10_000).map(|i| format!("name-of-somebody-{i:04}")).collect();
    client.send(&json!({"op": "subscribe", "topics": ["b"], "filter": {"user": {"in": names}}})).await;
    client.until("subscribed").await;
    let post = |user: &str| json!({"topic": "b", "data": {"user": user}});
    witness.server.publish(&[post("name-of-somebody"), post(&names[9_999]), post("nobody"), post(&names[0])]).await;
    for name in [&names[9_999], &names[0]] {
        assert_eq!(client.until("event").await["data"]["user"], **name);
    }
    witness.nothing_has_changed(None, "ten thousand values").await;
}

/// Paths that are refused, with the code, and what the message and the hint have to name.
const PATHS: &[(&str, &str, &str, &str)] = &[
    ("/ws?where.price.gtt=5", "INVALID_FILTER", "`gtt`", "did you mean `where.price.gt`?"),
    ("/ws?where.price.gte=high", "INVALID_FILTER", "`high`, which is not a number", "30240.1"),
    ("/ws?filter={%22price%22:{%22gtt%22:5}}", "INVALID_FILTER", "unknown operator `gtt` at `price`", "`gt`"),
    ("/ws?filter={%22__proto__%22:{%22x%22:1}}", "INVALID_FILTER", "unknown operator `x` at `__proto__`", "operators"),
    ("/ws?filter={%22a%22:1,%22a%22:2}", "INVALID_FILTER", "`a` stands twice", "once"),
    (
        "/ws?filter={%22not%22:{%22price%22:{%22gt%22:true}}}",
        "INVALID_FILTER",
        "`not.price.gt` takes a number",
        "30240.1",
    ),
    ("/ws?where.__proto__..x=1", "INVALID_FILTER", "`__proto__..x`", "single dots"),
    ("/ws?filter=price", "INVALID_FILTER", "`filter` is not one JSON value", "percent-encoded"),
    ("/ws?where.$topc=x", "INVALID_FILTER", "`$topc`", "did you mean `$topic`?"),
    ("/ws?where.a=1&where.a=2", "INVALID_FIELD", "`where.a` stands twice", "commas"),
    ("/ws?__proto__=1", "UNKNOWN_PARAMETER", "`__proto__`", "where."),
    ("/ws?price=5", "UNKNOWN_PARAMETER", "`price`", "where.price"),
    ("/ws?topics=a..b", "INVALID_TOPIC", "`a..b`", "single dots"),
];

#[tokio::test]
async fn in_a_url_it_is_http_400_with_the_same_words() {
    let mut witness = Witness::of("").await;
    for (path, code, named, hint) in PATHS {
        let refused = Socket::try_open(witness.server.addr(), path, &[]).await.err().expect("refused");
        let error = &refused.body["error"];
        assert_eq!((refused.status, &error["code"]), (400, &json!(code)), "{path}: {refused:?}");
        assert!(error["message"].as_str().unwrap_or_default().contains(named), "{path}: {error}");
        assert_hinted(error, hint, path);
        witness.nothing_has_changed(None, path).await;
    }
}

#[tokio::test]
async fn a_page_is_told_the_same_on_the_socket() {
    let mut witness = Witness::of("").await;
    let origin = format!("http://{}", witness.server.addr());
    for (path, code, named, hint) in PATHS {
        let opened = Socket::try_open(witness.server.addr(), path, &[("Origin", &origin)]).await;
        let mut page = opened.unwrap_or_else(|refused| panic!("{path}: {refused:?}"));
        let error = page.until("error").await;
        assert_eq!(error["code"], *code, "{path}: {error}");
        assert!(error["message"].as_str().unwrap_or_default().contains(named), "{path}: {error}");
        assert_hinted(&error, hint, path);
        let goodbye = page.until("goodbye").await;
        assert_eq!((&goodbye["code"], &goodbye["verdict"]), (&json!(4000), &json!("never")), "{path}: {goodbye}");
        assert!(matches!(page.receive().await, Received::Closed { code: 4000, .. }), "{path}");
        witness.nothing_has_changed(None, path).await;
    }
}

/// What is too much and still fits into a request's head.
fn too_much_for_a_url() -> Vec<(&'static str, String, &'static str)> {
    let fields: Vec<_> = (0..257).map(|i| format!("where.f{i}=x")).collect();
    vec![
        ("150 nots", format!("filter={}", nested(150, "{%22not%22:", "{}", "}")), ""),
        ("100 nots", format!("filter={}", nested(100, "{%22not%22:", "{}", "}")), "limits.max_filter_depth"),
        ("257 filters", format!("filter={{%22or%22:{}}}", list(257, |_| "{}".to_owned())), "limits.max_filter_nodes"),
        ("257 conditions", fields.join("&"), "limits.max_filter_nodes"),
        ("a long path", format!("where.{}=x", "x".repeat(256)), "shorter name"),
        ("a deep path", format!("where.{}=x", ["x"; 17].join(".")), "nearer to the top"),
    ]
}

#[tokio::test]
async fn a_url_that_is_too_much_is_refused_before_it_is_read() {
    let mut witness = Witness::of("").await;
    for (what, query, hint) in too_much_for_a_url() {
        let refused = Socket::try_open(witness.server.addr(), &format!("/ws?{query}"), &[]).await.err();
        let refused = refused.expect("refused");
        assert_eq!(refused.status, 400, "{what}: {refused:?}");
        assert_refused(&refused.body["error"], "", hint, what);
        witness.nothing_has_changed(None, what).await;
    }
    // RFC 6585 §5: what is larger than a request's head may be is not looked at.
    for count in [9_000, 60_000, 1_000_000] {
        let answer = witness.server.get(&format!("/ws?where.a={}", "x".repeat(count))).await;
        assert_eq!(answer.status, 431, "{count} bytes");
        assert_hinted(&answer.json()["error"], "subscribe", "a long URL");
        witness.nothing_has_changed(None, "a long URL").await;
    }
}
