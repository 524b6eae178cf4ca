//! The pages among the examples, as they stand, in a real browser, and what listens with curl. The examples in other languages
//! are run by the tests of the clients.

use std::{net::SocketAddr, process::Command};

use serde_json::{Value, json};
use standpipe_tests::{
    Browser, PATIENCE, Proxy, Server, browser,
    browser::Shown,
    paths,
    process::{Process, Signal},
    proxy::Link,
};

use crate::PUSH;

fn shown(browser: &Browser, page: &str, server: &Server, query: &str) -> Shown {
    browser.show(page, &format!("server={}&{query}", server.url("/ws")))
}

fn trade(pair: &str, side: &str, price: u32) -> Value {
    json!({ "topic": format!("trades.{pair}"), "data": { "pair": pair, "side": side, "price": price } })
}

#[tokio::test]
async fn the_simplest_page_shows_events_and_why_they_ended() {
    let browser = browser!();
    let mut server = Server::start(&format!("[drain]\nwindow = \"1s\"\ndeadline = \"2s\"\n{PUSH}")).await;
    let mut page = shown(&browser, "simplest.html", &server, "topics=trades.>,chat.*");
    server.until_subscribed(1).await;
    server.publish(&[json!({"topic": "news.a", "data": 1}), trade("BTC", "buy", 1)]).await;
    page.line("2 ").await;
    server.signal(Signal::TERM);
    page.line("closed").await;
    let told = [r#"2 trades.BTC {"pair":"BTC","price":1,"side":"buy"}"#, "closed: 4200 RESTART"];
    assert_eq!(page.lines(), told);
    page.close().await;
}

#[tokio::test]
async fn the_simplest_page_shows_what_is_wrong_with_a_request() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    let mut page = shown(&browser, "simplest.html", &server, "topics=a..b");
    page.line("closed: 4000 BAD_REQUEST").await;
    page.line("error: INVALID_TOPIC").await;
    assert_eq!(page.lines().len(), 2);
    page.close().await;
}

#[tokio::test]
async fn a_page_selects_events_in_its_url() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    let mut page = shown(&browser, "selecting.html", &server, "way=url");
    server.until_subscribed(1).await;
    let others = [trade("XBT/USD", "sell", 100), trade("XBT/USD", "buy", 99), trade("XRP/USD", "buy", 100)];
    server.publish(&others).await;
    server.publish(&[trade("ETH/USD", "buy", 100)]).await;
    page.line("4 ").await;
    let told = ["subscribed trades.*", r#"4 trades.ETH/USD {"pair":"ETH/USD","price":100,"side":"buy"}"#];
    assert_eq!(page.lines(), told);
    page.close().await;
}

#[tokio::test]
async fn a_page_selects_events_by_messages() {
    let browser = browser!();
    let server = Server::start(PUSH).await;
    server.publish(&[json!({"topic": "news.a", "data": "old"})]).await;
    let mut page = shown(&browser, "selecting.html", &server, "way=messages");
    page.line("unsubscribed").await;
    page.line("1 ").await;
    // The old event and the last answer come in any order.
    let mut told = page.lines();
    told[3..].sort();
    let answers = ["subscribed trades.*", "subscribed trades.*", "subscribed trades.*,news.>"];
    assert_eq!(told, [&answers[..], &[r#"1 news.a "old""#, "unsubscribed news.>"]].concat());
    page.close().await;
}

/// Events with these numbers, by which a server that was started anew knows them again.
fn counted(numbers: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    numbers.map(|n| json!({"topic": "a", "id": format!("t:{n}"), "data": n})).collect()
}

/// The numbers of all events that a page has shown, in their order.
fn numbers(page: &Shown) -> Vec<u64> {
    let number = |line: &String| line.split_once(" a ")?.1.parse().ok();
    page.lines().iter().filter_map(number).collect()
}

#[tokio::test]
async fn a_page_that_resumes_shows_each_event_once_over_cuts_reloads_and_a_killed_server() {
    let browser = browser!();
    let config = format!("[client]\nheartbeat = \"1s\"\n{PUSH}");
    let mut server = Server::start(&config).await;
    let proxy = Proxy::start(server.addr()).await;
    let query = format!("server=ws://{}/ws&topics=a", proxy.addr());
    let mut page = browser.show("resume.html", &query);
    server.until_subscribed(1).await;
    server.publish(&counted(1..=20)).await;
    page.line("20 a 20").await;

    proxy.set_all(Link::Reset);
    server.publish(&counted(21..=40)).await;
    page.line("40 a 40").await;

    // Cut first: what a page shows while it is left is seen by nobody, and it has had it all the same.
    proxy.aim(None);
    proxy.set_all(Link::Reset);
    page.reload();
    server.publish(&counted(41..=60)).await;
    proxy.aim(Some(server.addr()));
    page.line("60 a 60").await;

    proxy.aim(None);
    server.signal(Signal::KILL);
    server.exit_within(PATIENCE).await;
    // Its source begins a little before the end of the last run, as one that repeats does.
    let server = Server::start(&config).await;
    server.publish(&counted(51..=80)).await;
    proxy.aim(Some(server.addr()));
    page.line("30 a 80").await;

    let lines = page.lines();
    assert_eq!(numbers(&page), (1..=80).collect::<Vec<_>>(), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("missed")), "{lines:?}");

    // One whose log has never heard of its place says so, and goes on.
    proxy.aim(None);
    drop(server);
    let server = Server::start(&config).await;
    proxy.aim(Some(server.addr()));
    page.line("missed: epoch_changed").await;
    server.publish(&counted(81..=81)).await;
    page.line("1 a 81").await;
    page.close().await;
}

#[tokio::test]
async fn an_event_source_shows_each_event_once_over_cuts_and_a_killed_server_and_gives_up_when_refused() {
    let browser = browser!();
    let config = format!("[client]\nheartbeat = \"1s\"\n{PUSH}");
    let server = Server::start(&config).await;
    let proxy = Proxy::start(server.addr()).await;
    let mut page = browser.show("events.html", &format!("server=http://{}/events&topics=a", proxy.addr()));
    server.until_subscribed(1).await;
    server.publish(&counted(1..=20)).await;
    page.line("20 a 20").await;
    proxy.set_all(Link::Reset);
    server.publish(&counted(21..=40)).await;
    page.line("40 a 40").await;
    proxy.aim(None);
    drop(server);
    let server = Server::start(&config).await;
    server.publish(&counted(31..=60)).await;
    proxy.aim(Some(server.addr()));
    page.line("30 a 60").await;
    assert_eq!(numbers(&page), (1..=60).collect::<Vec<_>>(), "{:?}", page.lines());
    page.close().await;

    let mut wrong = browser.show("events.html", &format!("server=http://{}/events&topics=a..b", server.addr()));
    wrong.line("refused, for good").await;
    wrong.close().await;
}

/// What curl wrote, one message a line.
fn told(process: &Process) -> Vec<Value> {
    process.stdout().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn curl_goes_on_where_it_was_over_cuts_and_a_killed_server_and_ends_when_refused() {
    let script = paths::root().join("examples/curl/events.sh");
    let follow = |addr: SocketAddr, query: &str| {
        Process::start("curl", Command::new("sh").arg(&script).args([format!("http://{addr}"), query.to_owned()]))
    };
    let config = format!("[client]\nheartbeat = \"1s\"\n{PUSH}");
    let server = Server::start(&config).await;
    let proxy = Proxy::start(server.addr()).await;
    let mut curl = follow(proxy.addr(), "topics=a&where.$id.ne=t:7");
    server.until_subscribed(1).await;
    let until = async |curl: &mut Process, n: u64| {
        let is_it = |line: &str| line.ends_with(&format!("\"data\":{n}}}")).then_some(());
        curl.line(&format!("event {n}"), 3 * PATIENCE, is_it).await;
    };
    server.publish(&counted(1..=20)).await;
    until(&mut curl, 20).await;
    proxy.set_all(Link::Reset);
    server.publish(&counted(21..=40)).await;
    until(&mut curl, 40).await;
    proxy.aim(None);
    drop(server);
    let server = Server::start(&config).await;
    server.publish(&counted(31..=60)).await;
    proxy.aim(Some(server.addr()));
    until(&mut curl, 60).await;
    let events: Vec<_> =
        told(&curl).iter().filter(|message| message["op"] == "event").map(|e| e["data"].clone()).collect();
    assert_eq!(events, (1..=60).filter(|n| *n != 7).collect::<Vec<_>>());

    let mut wrong = follow(server.addr(), "topics=a..b");
    assert_eq!(wrong.exit_within(PATIENCE).await.code(), Some(1));
    assert!(wrong.stderr().iter().any(|line| line.contains("INVALID_TOPIC")), "{:?}", wrong.stderr());
}
