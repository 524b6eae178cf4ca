//! One scenario: what is set up, what is done step by step, and what has to be true at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use standpipe_tests::{
    Follower, Ours, PATIENCE, Proxy, Server, eventually,
    http::Request,
    issuer::{mint, now, order},
    process::Signal,
    proxy::Link,
    secrets,
};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

/// A file of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What it shows: for people.
    #[expect(dead_code, reason = "for people")]
    shows: String,
    /// What the configuration has besides the sources.
    #[serde(default)]
    server: String,
    /// How many events a recording holds that the server plays when it starts, `n.a`, each with an id.
    #[serde(default)]
    tape: u64,
    /// Bytes of payload in each published event, besides its number.
    #[serde(default)]
    padding: usize,
    /// Whether clients need tokens, and how long one lasts.
    token_seconds: Option<u64>,
    /// The options of the client, without its address and token.
    client: Value,
    /// Whether the client selects the rest of the events only later: then the steps have to tell that none is missing.
    #[serde(default)]
    selects_later: bool,
    /// What happens.
    steps: Vec<Step>,
}

/// What happens next.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// So many events are published: `n.<a|b|c|d>`, keyed `k<0..10>`, numbered from where the last ended.
    Publish(u64),
    /// Waits until the application has seen all that was published.
    SeenAll,
    /// Waits until the application has seen the event published last, whatever it missed.
    SeenLast,
    /// The server is killed.
    Kill,
    /// The server is told to end, and does.
    Drain,
    /// The server is started, again with its tape if it has one.
    Start,
    /// The links that there are fall silent for good.
    Freeze,
    /// They go on.
    Thaw,
    /// The links that there are end with a reset, and nobody gets through.
    Part,
    /// Clients get through again.
    Join,
    /// For so many seconds, all links are reset once a second while events are published, 20 a second.
    CutEverySecond(u64),
    /// The client is given a command.
    Tell(Value),
    /// Waits until the application has seen an update with these fields.
    Update(Value),
    /// The same, with those of any of these.
    Any(Vec<Value>),
    /// Waits until the client asks for a token, and gives it one that is good, or that has expired.
    Token(Token),
    /// The operator closes the client's connection for good.
    Kick,
    /// Waits until the server counts all that was published as received.
    Confirmed,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Token {
    Good,
    Expired,
}

const SECRET: &str = "the-secret-of-scenarios-is-32-byte";

/// A scenario that is being played.
struct Play<'a> {
    scenario: &'a Scenario,
    server: Option<Server>,
    proxy: Proxy,
    client: Follower,
    folder: TempDir,
    published: u64,
    asked: usize,
}

impl Scenario {
    pub(super) async fn play(&self, ours: Ours) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("tape.jsonl"), self.recording()).expect("a temporary file");
        let server = Server::start(&self.config(&folder)).await;
        let proxy = Proxy::start(server.addr()).await;
        let mut options = self.client.clone();
        options["url"] = format!("ws://{}", proxy.addr()).into();
        if self.token_seconds.is_some() {
            options["renews"] = true.into();
        }
        let client = ours.follow(&PathBuf::from(env!("CARGO_BIN_EXE_rust_follow")), &options);
        let mut play =
            Play { scenario: self, server: Some(server), proxy, client, folder, published: self.tape, asked: 0 };
        if self.token_seconds.is_none() {
            play.client.update("the first subscription", PATIENCE, |update| update["update"] == "subscribed").await;
        }
        for step in &self.steps {
            play.step(step).await;
        }
        let updates = play.client.close().await;
        self.judge(&updates);
        if self.wants_state() {
            self.judge_state(&updates, play.published);
        }
    }

    fn config(&self, folder: &TempDir) -> String {
        let mut config = self.server.clone();
        if self.token_seconds.is_some() {
            let _ = write!(
                config,
                "\n[auth]\nmode = \"jwt\"\n[auth.jwt]\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\nleeway = \"1s\"\n"
            );
        }
        if self.tape > 0 {
            let file = folder.path().join("tape.jsonl");
            let _ = write!(
                config,
                "\n[[source]]\nname = \"tape\"\nkind = \"replay\"\nspeed = \"max\"\nfile = \"{}\"\n",
                file.display()
            );
        }
        config + "\n[[source]]\nname = \"in\"\nkind = \"push\"\n"
    }

    fn recording(&self) -> String {
        (0..self.tape).map(|n| self.event(n).to_string() + "\n").collect()
    }

    fn event(&self, n: u64) -> Value {
        let topic = ["n.a", "n.b", "n.c", "n.d"][usize::try_from(n % 4).expect("a small number")];
        let data = json!({"n": n, "padding": "x".repeat(self.padding)});
        json!({"topic": topic, "key": format!("k{}", n % 10), "id": format!("e{n}"), "data": data})
    }

    /// What has to be true of all that the application saw, whatever happened.
    fn judge(&self, updates: &[Value]) {
        let mut next: Option<u64> = None;
        let mut missed: Option<u64> = None;
        let (mut is_open_ended, mut in_bracket) = (false, false);
        let mut seen = BTreeSet::new();
        for update in updates {
            match update["update"].as_str().expect("a name") {
                "gap" => match update["matched"].as_u64() {
                    Some(matched) => missed = Some(missed.unwrap_or_default() + matched),
                    None => is_open_ended = true,
                },
                "replay" => in_bracket = true,
                "replayed" => in_bracket = false,
                "event" => {
                    let n = number(update);
                    assert!(seen.insert(n), "{n} came twice");
                    if in_bracket {
                        continue;
                    }
                    if let Some(next) = next {
                        assert!(n >= next, "{n} came behind {}", next - 1);
                        // Snapshots stand for what came before them.
                        if !is_open_ended && !self.selects_later && !self.wants_state() {
                            assert_eq!(
                                missed.unwrap_or_default(),
                                n - next,
                                "as many are missing before {n} as was told"
                            );
                        }
                    }
                    (next, missed, is_open_ended) = (Some(n + 1), None, false);
                }
                _ => {}
            }
        }
        assert!(!in_bracket, "a bracket was left open");
    }

    fn wants_state(&self) -> bool {
        self.client["snapshot"] == true
    }

    /// Whether the latest that the application has of each key is the latest that there was.
    fn judge_state(&self, updates: &[Value], published: u64) {
        let place = |event: &Value| (event["topic"].to_string(), event["key"].to_string());
        let right: BTreeMap<_, _> = (0..published).map(|n| (place(&self.event(n)), n)).collect();
        let mut state = BTreeMap::new();
        for update in updates.iter().filter(|update| update["data"]["n"].is_u64()) {
            let latest = state.entry(place(update)).or_insert(0);
            *latest = number(update).max(*latest);
        }
        assert_eq!(state, right);
    }
}

/// The number in an event's or a snapshot's payload.
fn number(update: &Value) -> u64 {
    update["data"]["n"].as_u64().unwrap_or_else(|| panic!("no number: {update}"))
}

/// Whether `update` has the fields of `wanted`.
fn fits(update: &Value, wanted: &Value) -> bool {
    wanted.as_object().expect("a table of fields").iter().all(|(name, value)| update.get(name) == Some(value))
}

impl Play<'_> {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(count) => self.publish(*count).await,
            Step::SeenAll => self.seen_all().await,
            Step::SeenLast => {
                let last = self.published - 1;
                let is_last = |update: &Value| {
                    matches!(update["update"].as_str(), Some("event" | "snapshot")) && number(update) == last
                };
                self.client.update("the last event", 3 * PATIENCE, is_last).await;
            }
            Step::Kill => {
                self.proxy.aim(None);
                self.server.take();
            }
            Step::Drain => {
                let mut server = self.server.take().expect("a server");
                server.signal(Signal::TERM);
                assert!(server.exit_within(PATIENCE).await.success());
                self.proxy.aim(None);
            }
            Step::Start => {
                let server = Server::start(&self.scenario.config(&self.folder)).await;
                if self.scenario.tape > 0 {
                    crate::until_source(&server, "tape", "its end", |source| source["finished"] == true).await;
                }
                self.proxy.aim(Some(server.addr()));
                self.server = Some(server);
            }
            Step::Freeze => self.proxy.set_all(Link::Freeze),
            Step::Thaw => self.proxy.set_all(Link::Forward),
            Step::Part => {
                self.proxy.aim(None);
                self.proxy.set_all(Link::Reset);
                self.server().until_active(0, PATIENCE).await;
            }
            Step::Join => self.proxy.aim(Some(self.server().addr())),
            Step::CutEverySecond(seconds) => self.cut_every_second(*seconds).await,
            Step::Tell(command) => self.client.tell(command),
            Step::Update(wanted) => {
                self.client.update(&wanted.to_string(), 3 * PATIENCE, |update| fits(update, wanted)).await;
            }
            Step::Any(several) => {
                let what = Value::from(several.clone()).to_string();
                let any = |update: &Value| several.iter().any(|wanted| fits(update, wanted));
                self.client.update(&what, 3 * PATIENCE, any).await;
            }
            Step::Token(token) => self.token(*token).await,
            Step::Kick => {
                let connections = self.server().connections().await;
                let [only] = &connections[..] else { panic!("one connection: {connections:?}") };
                let path = format!("/connections/{}", only["id"].as_str().expect("an id"));
                let answer =
                    self.server().request(Request { method: "DELETE", path: &path, ..Request::default() }).await;
                assert!((200..300).contains(&answer.status), "{answer:?}");
            }
            Step::Confirmed => {
                let all = self.published;
                eventually("all is confirmed", PATIENCE, async || {
                    match self.server().metrics().await.count("standpipe_ledger_confirmed_total") {
                        confirmed if confirmed == all => Ok(()),
                        confirmed => Err(confirmed),
                    }
                })
                .await;
            }
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("a server")
    }

    async fn publish(&mut self, count: u64) {
        let events: Vec<_> = (self.published..self.published + count).map(|n| self.scenario.event(n)).collect();
        self.server().publish(&events).await;
        self.published += count;
    }

    async fn seen_all(&self) {
        let all = self.published;
        eventually("all events", 3 * PATIENCE, async || {
            let updates = self.client.updates();
            match updates.iter().filter(|update| update["update"] == "event").count() as u64 {
                seen if seen == all => Ok(()),
                seen => Err(format!("{seen} of {all}")),
            }
        })
        .await;
    }

    async fn cut_every_second(&mut self, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut tick = interval(Duration::from_millis(50));
        for n in 1.. {
            tick.tick().await;
            if Instant::now() >= end {
                return;
            }
            self.publish(1).await;
            if n % 20 == 0 {
                self.proxy.set_all(Link::Reset);
            }
        }
    }

    async fn token(&mut self, token: Token) {
        let before = self.asked;
        eventually("the client asks for a token", 3 * PATIENCE, async || {
            let asked = self.client.updates().iter().filter(|update| update["update"] == "asks").count();
            if asked > before { Ok(()) } else { Err(asked) }
        })
        .await;
        self.asked += 1;
        let lasts = self.scenario.token_seconds.expect("a scenario with tokens");
        let end = match token {
            Token::Good => now() + lasts,
            Token::Expired => now() - 60,
        };
        let claims = json!({"sub": "follower", "exp": end, "standpipe": {"subscribe": [">"], "publish": [">"]}});
        let minted = mint(&[order("token", &format!("secret:{}", secrets::plant(SECRET)), &claims)]).await;
        self.client.tell(&json!({"do": "token", "value": minted.tokens["token"]}));
    }
}
