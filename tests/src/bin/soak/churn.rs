//! Clients that use the server as it is meant, each in its own way of life.

use std::{future::Future, pin::Pin, time::Duration};

use serde_json::{Value, json};
use standpipe_tests::{Dice, Peer, peer::Frame};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Counts, Trouble};

const STEADY: u64 = 60;
const COMING_AND_GOING: u64 = 60;
const CHANGING: u64 = 10;
const SLOW: u64 = 9;

/// So many connections one client leaves open without a word; it lets go of the oldest then.
const VANISHED: usize = 3;

pub(crate) type Client = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All of them. They end, well or not, once it is over.
pub(crate) fn all(trouble: &Trouble) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    let mut numbers = 1..;
    let mut dice = || Dice::new(trouble.seed, numbers.next().unwrap_or_default());
    for _ in 0..STEADY {
        clients.push(Box::pin(stay(trouble.clone(), dice())));
    }
    for _ in 0..COMING_AND_GOING {
        clients.push(Box::pin(come_and_go(trouble.clone(), dice())));
    }
    for _ in 0..CHANGING {
        clients.push(Box::pin(change(trouble.clone(), dice())));
    }
    for policy in ["disconnect", "catch_up", "skip"].into_iter().cycle().take(usize::try_from(SLOW).unwrap_or_default())
    {
        clients.push(Box::pin(dawdle(trouble.clone(), policy)));
    }
    clients
}

/// What a client has learnt on one connection.
#[derive(Default)]
struct Reading {
    epoch: String,
    seq: u64,
    answers: u64,
    ended: bool,
}

impl Reading {
    /// Reads one frame. Events have to come in order.
    async fn step(&mut self, peer: &mut Peer, until: Instant, counts: &Counts) {
        match timeout_at(until, peer.next()).await {
            Err(_) | Ok(Frame::Ping | Frame::Pong) => {}
            Ok(Frame::Close(_) | Frame::Lost) => self.ended = true,
            Ok(Frame::Text(text)) => {
                if let Some(rest) = text.strip_prefix(r#"{"op":"event","seq":"#) {
                    let seq = rest.split_once(',').and_then(|(seq, _)| seq.parse().ok()).expect("a place");
                    assert!(seq > self.seq, "{seq} behind {}", self.seq);
                    self.seq = seq;
                    Counts::add(&counts.events);
                } else if text.starts_with(r#"{"op":"welcome""#) {
                    let welcome: Value = serde_json::from_str(text).expect("JSON");
                    welcome.get("epoch").and_then(Value::as_str).expect("an epoch").clone_into(&mut self.epoch);
                } else if text.contains("subscribed\"") || text.starts_with(r#"{"op":"error""#) {
                    self.answers += 1;
                }
            }
        }
    }

    async fn read_until(&mut self, peer: &mut Peer, until: Instant, trouble: &Trouble) {
        while Instant::now() < until && !self.ended && !trouble.stop.is_cancelled() {
            let look_up = until.min(Instant::now() + Duration::from_millis(500));
            self.step(peer, look_up, &trouble.counts).await;
        }
    }
}

async fn open(trouble: &Trouble, path: &str, receive_buffer: Option<u32>) -> Peer {
    Counts::add(&trouble.counts.connections);
    let opened = Peer::try_open(trouble.addr, path, receive_buffer).await;
    opened.unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn query(dice: &mut Dice) -> String {
    let a = dice.throw(20);
    match dice.throw(6) {
        0 => format!("topics=load.{a}.*,relay.%3E"),
        1 => format!("topics=load.{a}.%3E&where.side=buy"),
        2 => format!("where.$key.in=k{a},k{},k{}", a + 20, a + 40),
        3 => format!("topics=load.*.*&where.n.gte={}", dice.throw(100_000)),
        4 => format!("topics=relay.load.{a}.%3E"),
        _ => format!("topics=load.{a}.%3E"),
    }
}

/// Stays for as long as it may.
async fn stay(trouble: Trouble, mut dice: Dice) {
    let mut after = String::new();
    while !trouble.stop.is_cancelled() {
        let path = format!("/ws?{}&overflow=catch_up{after}", query(&mut dice));
        let mut peer = open(&trouble, &path, None).await;
        let mut reading = Reading::default();
        reading.read_until(&mut peer, Instant::now() + Duration::from_secs(3_600), &trouble).await;
        after = format!("&after={}:{}", reading.epoch, reading.seq);
        peer.close().await;
    }
}

/// Comes, stays for a while, goes in one of many ways, and comes again, where it was or anew.
async fn come_and_go(trouble: Trouble, mut dice: Dice) {
    let mut vanished = std::collections::VecDeque::new();
    let mut after = String::new();
    while !trouble.stop.is_cancelled() {
        let policy = dice.choose(&["disconnect", "catch_up", "skip"]);
        let path = format!("/ws?{}&overflow={policy}{after}", query(&mut dice));
        let mut peer = open(&trouble, &path, dice.once_in(2).then_some(8 * 1024)).await;
        let mut reading = Reading::default();
        let until = Instant::now() + Duration::from_millis(dice.throw(3_000));
        reading.read_until(&mut peer, until, &trouble).await;
        let knows_where = dice.once_in(2) && !reading.epoch.is_empty();
        after = if knows_where { format!("&after={}:{}", reading.epoch, reading.seq) } else { String::new() };
        match dice.throw(5) {
            0 => peer.reset(),
            1 => drop(peer),
            2 => peer.close().await,
            3 => {
                let frame = standpipe_tests::peer::frame(1, br#"{"op":"ping"}"#);
                // Cut within a command.
                let _ = peer.say_raw(frame.get(..7).unwrap_or_default()).await;
            }
            _ => vanished.push_back(peer.vanish()),
        }
        if vanished.len() > VANISHED {
            vanished.pop_front();
        }
    }
}

/// Changes its mind all the time, and waits for each answer.
async fn change(trouble: Trouble, mut dice: Dice) {
    while !trouble.stop.is_cancelled() {
        let mut peer = open(&trouble, "/ws?overflow=skip", None).await;
        let mut reading = Reading::default();
        let mut asked = 0;
        for _ in 0..200 {
            let pattern = format!("load.{}.*", dice.throw(20));
            let command = match dice.throw(4) {
                0 => json!({"op": "unsubscribe", "topics": [pattern]}),
                1 => json!({"op": "subscribe", "topics": [pattern], "filter": {"n": {"gte": dice.throw(1_000_000)}}}),
                2 => {
                    json!({"op": "subscribe", "topics": [pattern], "filter": {"$key": {"in": [format!("k{}", dice.throw(500))]}}})
                }
                _ => json!({"op": "subscribe", "topics": [pattern, "relay.*.*.*"]}),
            };
            if peer.say(&command.to_string()).await.is_err() {
                break;
            }
            asked += 1;
            Counts::add(&trouble.counts.commands);
            let patience = Instant::now() + Duration::from_secs(10);
            while reading.answers < asked && !reading.ended && Instant::now() < patience {
                reading.step(&mut peer, patience, &trouble.counts).await;
            }
            assert!(reading.ended || reading.answers >= asked, "an answer to {command}");
            let until = Instant::now() + Duration::from_millis(dice.throw(50));
            reading.read_until(&mut peer, until, &trouble).await;
            if reading.ended || trouble.stop.is_cancelled() {
                break;
            }
        }
        peer.close().await;
    }
}

/// Wants everything, and reads a tenth of it.
async fn dawdle(trouble: Trouble, policy: &str) {
    while !trouble.stop.is_cancelled() {
        let mut peer = open(&trouble, &format!("/ws?topics=%3E&overflow={policy}"), Some(8 * 1024)).await;
        peer.pace(Some(30_000));
        let mut reading = Reading::default();
        reading.read_until(&mut peer, Instant::now() + Duration::from_secs(60), &trouble).await;
        peer.reset();
        sleep(Duration::from_millis(200)).await;
    }
}
