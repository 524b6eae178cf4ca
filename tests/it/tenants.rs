//! Two tenants on one server: whatever they ask for, in whatever order, neither is shown anything of the other.

use futures_util::future::join_all;
use serde_json::{Value, json};
use standpipe_tests::{Dice, Server, Socket, dice, secrets};

use crate::PUSH;

/// Selections in all, and the sockets that make them.
const SELECTIONS: usize = 10_000;
const SOCKETS: usize = 8;
/// Of them, one in so many is made by a URL, on a new connection.
const BY_URL: u64 = 40;
/// Between two events that are published.
const PER_EVENT: usize = 5;

const TENANTS: [&str; 2] = ["red", "blue"];

/// SHA-256 of `sp_planted-key-of-red` and of `sp_planted-key-of-blue`.
const HASHES: [&str; 2] = [
    "7bbfcac343636c6bf11e858d8bc5cc835db003122ba82cdebe00d662973e5585",
    "119f7edeeba2418c6981648e3f30dd1c5dea67fe8697760de98fbe3195eb4e8b",
];

fn key(tenant: &str) -> String {
    secrets::plant(format!("sp_planted-key-of-{tenant}"))
}

/// Each tenant sees its own topics, and of the common ones what is its own.
fn config() -> String {
    let keys = TENANTS.iter().zip(HASHES).map(|(tenant, hash)| {
        format!(
            "[[auth.key]]\nname = \"{tenant}\"\nhash = \"sha256:{hash}\"\nsubscribe = [\"{tenant}.>\", \"common.*\"]\n\
             filter = {{ owner = \"{tenant}\" }}\n"
        )
    });
    let auth =
        "[auth]\nmode = \"keys\"\nwider = \"narrow\"\n[log]\nmax_events = 100\n[limits]\nmax_subscriptions = 20\n";
    format!("{auth}{}{PUSH}", keys.collect::<String>())
}

/// An event that shows everywhere whose it is: `of-OWNER` stands in its id, its key and its data. Its topic may be anybody's.
fn event(dice: &mut Dice, n: usize) -> Value {
    let owner = dice.choose(&TENANTS);
    let topic = match dice.throw(4) {
        0 => format!("common.{}", dice.choose(&["a", "b"])),
        1 => "nobody.a".to_owned(),
        _ => format!("{}.{}", dice.choose(&TENANTS), dice.choose(&["a", "b", "a.b"])),
    };
    let data = json!({"owner": owner, "mark": format!("of-{owner}"), "n": dice.throw(5), "list": [owner, n]});
    json!({"topic": topic, "key": format!("of-{owner}-{}", dice.throw(4)), "id": format!("of-{owner}-{n}"), "data": data})
}

fn pattern(dice: &mut Dice) -> String {
    if dice.once_in(4) {
        return ">".to_owned();
    }
    let first = dice.choose(&["red", "blue", "common", "nobody", "*"]);
    let rest = dice.choose(&["", ".>", ".*", ".a", ".*.b", ".*.>"]);
    format!("{first}{rest}")
}

/// A filter that tries to see more than its tenant may.
fn filter(dice: &mut Dice) -> Value {
    let owner = dice.choose(&TENANTS);
    match dice.throw(8) {
        0 => json!({"owner": owner}),
        1 => json!({"or": [{"owner": owner}, {"n": {"gte": 0}}]}),
        2 => json!({"not": {"owner": owner}}),
        3 => json!({"owner": {"ne": owner}}),
        4 => json!({"$key": {"contains": "-"}, "owner": {"in": TENANTS}}),
        5 => json!({"or": [{"owner": {"exists": false}}, {"$id": {"exists": true}}]}),
        6 => json!({"n": {"lt": dice.throw(6)}}),
        _ => json!({"list": owner}),
    }
}

/// One tenant at one socket.
struct Tenant<'a> {
    server: &'a Server,
    name: &'static str,
    dice: Dice,
    socket: Socket,
    events: usize,
}

impl<'a> Tenant<'a> {
    async fn connect(server: &'a Server, seed: u64, number: usize) -> Self {
        let name = TENANTS[number % 2];
        let socket = open(server, name, "/ws").await;
        Self { server, name, dice: Dice::new(seed, number as u64), socket, events: 0 }
    }

    /// Looks for anything of the other tenant, and counts its own.
    fn look(&mut self, message: &Value) {
        let text = message.to_string();
        for other in TENANTS.iter().filter(|other| **other != self.name) {
            assert!(!text.contains(&format!("of-{other}")), "{} is shown what is {other}'s: {text}", self.name);
        }
        if matches!(message["op"].as_str(), Some("event" | "snapshot")) {
            assert_eq!(message["data"]["owner"], self.name, "{text}");
            let topic = message["topic"].as_str().unwrap_or_default();
            let is_granted = topic.starts_with(&format!("{}.", self.name)) || topic.starts_with("common.");
            assert!(is_granted, "{text}");
            self.events += 1;
        }
    }

    /// Changes at random what it selects, and reads up to the answer.
    async fn select(&mut self, n: usize) {
        if self.dice.once_in(BY_URL) {
            return self.select_by_url().await;
        }
        let topics: Vec<_> = (0..=self.dice.throw(3)).map(|_| pattern(&mut self.dice)).collect();
        let op = if self.dice.once_in(3) { "unsubscribe" } else { "subscribe" };
        let id = n.to_string();
        let mut command = json!({"op": op, "id": id, "topics": topics});
        if op == "subscribe" {
            if self.dice.once_in(2) {
                command["filter"] = filter(&mut self.dice);
            }
            match self.dice.throw(10) {
                0 => command["snapshot"] = true.into(),
                1 => command["after"] = "earliest".into(),
                _ => {}
            }
        }
        self.socket.send(&command).await;
        loop {
            let message = self.socket.message().await;
            self.look(&message);
            if message["id"] == id.as_str()
                && matches!(message["op"].as_str(), Some("subscribed" | "unsubscribed" | "error"))
            {
                return;
            }
        }
    }

    /// The same by a URL: on a new connection, which takes the place of the old one. Sometimes it asks for what may not be.
    async fn select_by_url(&mut self) {
        let (topics, other) = (pattern(&mut self.dice), self.dice.choose(&TENANTS));
        let more = self.dice.choose(&["", "&after=earliest", "&snapshot=1", "&conflate=1&overflow=skip"]);
        let wanted = if self.dice.once_in(2) { format!("&where.owner={other}") } else { String::new() };
        let topics = topics.replace('>', "%3E");
        let path = format!("/ws?topics={topics}{wanted}{more}&token=planted-platform-token");
        match Socket::try_open(self.server.addr(), &path, &[("authorization", &bearer(self.name))]).await {
            Ok(socket) => {
                std::mem::replace(&mut self.socket, socket).close().await;
                let subscribed = self.socket.until("subscribed").await;
                self.look(&subscribed);
            }
            Err(refused) => assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!("FORBIDDEN"))),
        }
    }

    async fn run(mut self, selections: usize) -> usize {
        for n in 0..selections {
            if n % PER_EVENT == 0 {
                let event = event(&mut self.dice, n);
                self.server.publish(&[event]).await;
            }
            self.select(n).await;
        }
        self.events
    }
}

fn bearer(tenant: &str) -> String {
    format!("Bearer {}", key(tenant))
}

async fn open(server: &Server, tenant: &str, path: &str) -> Socket {
    Socket::try_open(server.addr(), path, &[("authorization", &bearer(tenant))]).await.expect("a tenant comes in")
}

#[tokio::test]
async fn two_tenants_never_see_anything_of_each_other() {
    let seed = dice::seed();
    let server = Server::start(&config()).await;
    let tenants = join_all((0..SOCKETS).map(|number| Tenant::connect(&server, seed, number))).await;
    let seen = join_all(tenants.into_iter().map(|tenant| tenant.run(SELECTIONS / SOCKETS))).await;
    assert!(seen.iter().all(|events| *events > 100), "each sees what is its own: {seen:?}");
    // And it sees all of it: what is held, and is its own, on the topics that it may see.
    for tenant in TENANTS {
        let mut dice = Dice::new(seed, 1000);
        let published: Vec<_> = (0..40).map(|n| event(&mut dice, n)).collect();
        let places = server.publish(&published).await;
        let is_own = |event: &Value| {
            let topic = event["topic"].as_str().unwrap_or_default();
            event["data"]["owner"] == tenant
                && (topic.starts_with(&format!("{tenant}.")) || topic.starts_with("common."))
        };
        let expected: Vec<_> =
            places.iter().zip(&published).filter(|(_, event)| is_own(event)).map(|(seq, _)| *seq).collect();
        let mut socket = open(&server, tenant, "/ws?topics=%3E&after=earliest").await;
        let mut found = Vec::new();
        while found.last() != expected.last() {
            let seq = socket.until("event").await["seq"].as_u64().expect("a place");
            if seq >= places[0] {
                found.push(seq);
            }
        }
        assert_eq!(found, expected, "{tenant}");
    }
}
