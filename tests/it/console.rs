//! The console page, in a real browser: what it shows is so, what it says to paste works, and it is nobody's way in.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};
use standpipe_tests::{
    Browser, PATIENCE, Server, browser, eventually,
    foreign::{self, Language, node_script},
    http::{self, Request},
    language,
    process::{Process, Signal},
    secrets,
};

use crate::PUSH;

const FILTER: &str = r#"{"side":"buy","note":{"ne":"it's \"odd\""}}"#;

/// Opens the page, and publishes what it shows once it listens.
async fn open(browser: &Browser, server: &Server, query: &str, more: Value) -> Value {
    let mut order = json!({
        "executable": browser.executable(), "url": format!("http://{}/{query}", server.addr()), "filter": FILTER, "events": 2,
        "width": 1280,
    });
    order.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let mut script = node_script("console.mjs");
    let looking = foreign::values(script.arg(order.to_string()));
    let publishing = async {
        server.until_subscribed(1).await;
        let trade = |side: &str, n| json!({"topic": "trades.a", "data": {"side": side, "n": n, "note": "<b>bold</b>"}});
        server.publish(&[trade("buy", 1), trade("sell", 2), trade("buy", 3)]).await;
    };
    tokio::join!(looking, publishing).0.remove(0)
}

#[tokio::test]
async fn the_page_shows_what_is_so_and_asks_nobody_else() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    let seen = open(&browser, &server, "?token=of-the-proxy&x=1", json!({})).await;
    assert_eq!((&seen["errors"], &seen["intruded"]), (&json!([]), &json!(false)), "{seen}");
    assert!(seen["policy"].as_str().is_some_and(|policy| policy.starts_with("default-src 'none'; ")), "{seen}");
    let shown = seen["events"].as_array().expect("events");
    assert_eq!(shown.len(), 2, "{seen}");
    // The latest first, and as text, whatever it is.
    assert!(
        shown[0].as_str().is_some_and(|line| line.starts_with("3 trades.a ") && line.contains("<b>bold</b>")),
        "{seen}"
    );
    assert_eq!(seen["locked"], false, "{seen}");
    let first = |table: &str| seen[table][0].as_array().expect("a row").clone();
    assert_eq!(first("sources")[..2], ["in", "push"].map(Value::from), "{seen}");
    assert!(first("clients")[0].as_str().is_some_and(|id| id.starts_with('c') && id.len() == 17), "{seen}");
    // Three are kept, all of the last minute, and one asks for them.
    assert_eq!(first("topics")[..3], ["trades.a", "3", "3"].map(Value::from), "{seen}");
    assert_eq!(first("topics")[4], "1", "{seen}");
    let own = [format!("http://{}/", server.addr()), format!("ws://{}/", server.addr())];
    for asked in seen["asked"].as_array().expect("requests") {
        let asked = asked["url"].as_str().expect("an address");
        assert!(own.iter().any(|own| asked.starts_with(own.as_str())) || asked == "data:,", "{asked}");
        assert!(
            asked == "data:," || asked.contains("token=of-the-proxy"),
            "what the proxy wants is carried on: {asked}"
        );
    }
    let code = seen["code"].to_string();
    assert!(code.contains("token=YOUR_TOKEN") && !code.contains("of-the-proxy"), "and not shown: {code}");
}

#[tokio::test]
async fn a_mistake_is_told_where_it_was_made() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    let seen = open(&browser, &server, "", json!({})).await;
    assert!(seen["wrong"].as_str().is_some_and(|told| told.starts_with("The filter is not JSON")), "{seen}");
    assert_eq!((&seen["focused"], &seen["named"]), (&json!("filter"), &json!("Try it")), "{seen}");
}

#[tokio::test]
async fn what_the_page_says_to_paste_gets_the_same_events() {
    let browser = browser!();
    language!(Language::Python);
    let server = Server::start(PUSH).await;
    let seen = open(&browser, &server, "", json!({"width": 390})).await;
    assert_eq!(seen["overflow"], 0, "a phone needs no scrolling to the side: {seen}");
    let code = |language: &str| seen["code"][language].as_str().expect("code").to_owned();
    let mut python = foreign::script("console.py");
    let mut pasted = [
        ("curl", Process::start("curl", Command::new("sh").args(["-c", &code("curl")]))),
        ("Python", Process::start("Python", python.env("STANDPIPE_PASTED", code("Python")))),
    ];
    server.until_subscribed(2).await;
    server.publish(&[json!({"topic": "trades.b", "data": {"side": "sell"}})]).await;
    server.publish(&[json!({"topic": "trades.b", "data": {"side": "buy", "note": "it's \"odd\""}})]).await;
    server.publish(&[json!({"topic": "trades.b", "data": {"side": "buy", "n": 7}})]).await;
    for (name, process) in &mut pasted {
        process
            .line("the event", PATIENCE, |line| (line.contains("trades.b") && line.contains('7')).then_some(()))
            .await;
        let lines = process.stdout().join("\n");
        assert!(!lines.contains("sell") && !lines.contains("odd"), "{name}: {lines}");
        process.signal(Signal::KILL);
    }
}

/// Types the admin token in, looks at the client, and closes it. Tells in which headers the token was.
async fn close_as_operator(query: &str) -> BTreeSet<String> {
    let browser = Browser::installed().expect("was asked for before");
    let token = secrets::plant("admin-of-the-console".to_owned());
    let server = Server::start(&format!("[admin]\ntoken = \"{token}\"\n{PUSH}")).await;
    let url = format!("http://{}/{query}", server.addr());
    let order = json!({"executable": browser.executable(), "url": url, "filter": "", "events": 0, "width": 1280, "admin": token});
    let seen = foreign::values(node_script("console.mjs").arg(order.to_string())).await.remove(0);
    assert_eq!((&seen["errors"], &seen["locked"]), (&json!([]), &json!(true)), "{seen}");
    assert!(seen["closed"].as_str().is_some_and(|told| told.contains("4013")), "{seen}");
    let admin = format!("Bearer {token}");
    eventually("the connection is gone", PATIENCE, async || {
        let headers = &[("Authorization", admin.as_str())];
        let all =
            http::send(server.addr(), Request { path: "/connections", headers, ..Request::default() }).await.json();
        if all["total"] == 0 { Ok(()) } else { Err(all) }
    })
    .await;
    let asked = seen["asked"].as_array().expect("requests");
    assert!(asked.iter().all(|one| !one["url"].to_string().contains(&token)), "{seen}");
    asked.iter().filter_map(|one| one["by"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn who_is_connected_is_shown_to_who_has_the_admin_token_and_can_be_closed() {
    drop(browser!());
    assert_eq!(close_as_operator("").await, BTreeSet::from(["authorization".to_owned()]));
}

#[tokio::test]
async fn behind_a_proxy_with_a_token_of_its_own_the_admin_token_has_its_own_header() {
    drop(browser!());
    let headers = close_as_operator("?token=of-the-proxy").await;
    assert_eq!(headers, BTreeSet::from(["x-standpipe-admin-token".to_owned()]));
}

#[tokio::test]
async fn connections_are_shown_a_page_at_a_time() {
    let server = Server::start(PUSH).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(standpipe_tests::Socket::open(server.addr(), "/ws?topics=a").await);
    }
    server.until_subscribed(5).await;
    let (mut names, mut path) = (Vec::new(), "/connections?limit=2".to_owned());
    for left in [3, 1, 0] {
        let page = server.get(&path).await.json();
        let shown = page["connections"].as_array().expect("connections");
        names.extend(shown.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        assert_eq!((page["total"].as_u64(), names.len()), (Some(5), 5 - left));
        match page["next"].as_str() {
            Some(next) => path = format!("/connections?limit=2&after={next}"),
            None => assert_eq!(left, 0, "{page}"),
        }
    }
    assert!(names.is_sorted() && names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
    for wrong in
        ["limit=0", "limit=10001", "limit=x", "sort=age", "after=c1", "sort=waiting&after=c0000000000000001", "page=2"]
    {
        assert_eq!(server.get(&format!("/connections?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn topics_are_shown_a_page_at_a_time_with_what_is_kept_of_them_and_who_wants_them() {
    let server = Server::start(PUSH).await;
    let _one = standpipe_tests::Socket::open(server.addr(), "/ws?topics=a.*").await;
    let _other = standpipe_tests::Socket::open(server.addr(), "/ws?topics=a.x&where.n=7").await;
    server.until_subscribed(2).await;
    let topics = ["a.x", "b", "a.y", "a.x", "a.z"];
    server.publish(&topics.map(|topic| json!({"topic": topic, "data": {"n": 1}}))).await;
    let page = server.get("/topics?limit=2").await.json();
    assert_eq!((&page["total"], &page["next"]), (&json!(4), &json!("a.y")), "{page}");
    let first = &page["topics"][0];
    let told = ["topic", "events", "last_minute", "subscriptions"].map(|name| &first[name]);
    assert_eq!(told, [&json!("a.x"), &json!(2), &json!(2), &json!(2)], "{page}");
    let page = server.get("/topics?limit=2&after=a.y").await.json();
    assert_eq!((&page["topics"][0]["topic"], &page["topics"][1]["topic"]), (&json!("a.z"), &json!("b")), "{page}");
    assert_eq!((&page["next"], &page["topics"][1]["subscriptions"]), (&Value::Null, &json!(0)), "{page}");
    let most = server.get("/topics?sort=events&limit=1&prefix=a.").await.json();
    assert_eq!((&most["topics"][0]["topic"], &most["total"]), (&json!("a.x"), &json!(3)), "{most}");
}
