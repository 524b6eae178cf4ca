//! `EventSource`, and what is like it: they come back by themselves, and go on where they were, or are told.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{
    Browser, PATIENCE, Proxy, Server, Site, browser,
    foreign::{Language, node_script, script},
    language,
    process::{Process, Signal},
    proxy::Link,
};

use crate::PUSH;

/// Three times as long as the longest time after which a client is told to come back.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// A client that nobody here wrote.
struct Follower(Process);

impl Follower {
    fn of(language: Language, url: &str) -> Self {
        let mut command = match language {
            Language::Node => node_script("events.mjs"),
            Language::Python => script("events.py"),
        };
        Self(Process::start(&format!("{language:?} client"), command.arg(url)))
    }

    fn page(browser: &Browser, page: &str, url: &str) -> Self {
        let mut command: Command = node_script("browser_events.mjs");
        Self(Process::listening("page", command.arg(browser.executable()).args([page, url])))
    }

    fn lines(&self) -> Vec<Value> {
        self.0.stdout().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits for the `i`th event.
    async fn until_event(&mut self, i: usize) {
        self.line(&format!("event {i}"), |line| line["message"]["op"] == "event" && line["message"]["data"]["i"] == i)
            .await;
    }

    async fn line(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.0.line(what, BACK_WITHIN, |line| serde_json::from_str(line).ok().filter(|line| fits(line))).await
    }

    fn count(&self, what: &str) -> usize {
        self.lines().iter().filter(|line| line.get(what).is_some()).count()
    }

    fn ops(&self, op: &str) -> Vec<Value> {
        self.lines().iter().map(|line| line["message"].clone()).filter(|message| message["op"] == op).collect()
    }

    /// The events, by what they carry.
    fn events(&self) -> Vec<usize> {
        let number = |event: &Value| event["data"]["i"].as_u64().and_then(|i| usize::try_from(i).ok());
        self.ops("event").iter().filter_map(number).collect()
    }
}

fn event(i: usize) -> Value {
    json!({"topic": "n", "id": format!("e{i}"), "data": {"i": i}})
}

async fn publish(server: &Server, events: std::ops::Range<usize>) {
    server.publish(&events.map(event).collect::<Vec<_>>()).await;
}

/// Cut, replaced by a new server whose log holds the same events, drained: every event once.
async fn everything_comes_once(start: impl AsyncFnOnce(&str) -> Follower) {
    let config = format!("[client]\nheartbeat = \"500ms\"\n[drain]\nwindow = \"100ms\"\n{PUSH}");
    let first = Server::start(&config).await;
    let proxy = Proxy::start(first.addr()).await;
    let mut client = start(&format!("http://{}/events?topics=n", proxy.addr())).await;
    client.line("that it is there", |line| line["message"]["op"] == "subscribed").await;
    publish(&first, 0..10).await;
    client.until_event(9).await;

    proxy.set_all(Link::Reset);
    publish(&first, 10..20).await;
    client.until_event(19).await;

    proxy.aim(None);
    drop(first);
    proxy.set_all(Link::Reset);
    let mut second = Server::start(&config).await;
    publish(&second, 15..25).await;
    proxy.aim(Some(second.addr()));
    client.until_event(24).await;

    let third = Server::start(&config).await;
    publish(&third, 20..25).await;
    proxy.aim(Some(third.addr()));
    second.signal(Signal::TERM);
    assert!(second.exit_within(PATIENCE).await.success());
    publish(&third, 25..30).await;
    client.until_event(29).await;
    assert_eq!(client.events(), (0..30).collect::<Vec<_>>(), "{:?}", client.lines());
    assert_eq!(client.ops("gap"), [] as [Value; 0]);
    assert_eq!(client.ops("goodbye").len(), 1, "of the drain");
    assert_eq!((client.count("open"), client.count("ended")), (4, 0));
}

#[tokio::test]
async fn node_gets_everything_once_through_cuts_and_restarts() {
    let language = language!(Language::Node);
    everything_comes_once(async |url| Follower::of(language, url)).await;
}

#[tokio::test]
async fn python_gets_everything_once_through_cuts_and_restarts() {
    let language = language!(Language::Python);
    everything_comes_once(async |url| Follower::of(language, url)).await;
}

#[tokio::test]
async fn a_page_gets_everything_once_through_cuts_and_restarts() {
    let browser = browser!();
    let site = Site::blank().await;
    let page = format!("http://{}/", site.addr());
    everything_comes_once(async |url| Follower::page(&browser, &page, url)).await;
}

/// A server without its events, one that is full, one that knows the client no more.
#[tokio::test]
async fn what_is_lost_is_told_and_who_may_not_come_back_gives_up() {
    let language = language!(Language::Node);
    let first = Server::start(PUSH).await;
    let proxy = Proxy::start(first.addr()).await;
    let mut client = Follower::of(language, &format!("http://{}/events?topics=n", proxy.addr()));
    client.line("that it is there", |line| line["message"]["op"] == "subscribed").await;
    publish(&first, 0..3).await;
    client.until_event(2).await;
    proxy.aim(None);
    drop(first);
    proxy.set_all(Link::Reset);
    let second = Server::start(PUSH).await;
    publish(&second, 5..6).await;
    proxy.aim(Some(second.addr()));
    client.until_event(5).await;
    let gaps = client.ops("gap");
    assert_eq!((gaps.len(), &gaps[0]["reason"]), (1, &json!("epoch_changed")));

    let full = Server::start(&format!("[limits]\nmax_connections = 1\nmax_refusal_delay = \"none\"\n{PUSH}")).await;
    let _guest = standpipe_tests::Socket::open(full.addr(), "/ws").await;
    proxy.aim(Some(full.addr()));
    proxy.set_all(Link::Reset);
    client.line("why", |line| line["message"]["code"] == "OVER_CAPACITY").await;
    assert_eq!(client.count("ended"), 0, "it comes again");

    let closed = Server::start(&format!("{}{PUSH}", crate::publish::KEYS)).await;
    proxy.aim(Some(closed.addr()));
    let ended = client.line("that it gives up", |line| line.get("ended").is_some()).await;
    assert_eq!(ended["ended"], 401);
}
