//! A real feed in, the right events out: recordings of exchanges, counted from the file by another program.

use std::path::Path;

use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, eventually,
    fake_upstream::Speed,
    feed,
    feeds::Capture,
    foreign::{self, Collected, Ending, Language},
    language,
};

use crate::{cursor_seq, seq};

/// Kraken as it was in 2021: one connection for each channel, every frame an array that ends with channel and pair.
const KRAKEN: &str = r#"
[[source]]
name = "kraken-trades"
kind = "websocket"
url = "URL"
send = ['{"event":"subscribe","pair":["WAVES/EUR","XMR/USD","KSM/XBT","GRT/ETH","SC/EUR","ETH/CHF","OCEAN/XBT","OMG/USD","XBT/CHF","ADA/XBT"],"subscription":{"name":"trade"}}']
map = '''
  select(type == "array") | .[3] as $pair | .[1][]
  | {topic: "trade.\($pair | token)", key: $pair, ts: (.[2] | tonumber * 1000 | floor),
     data: {price: .[0], qty: .[1], time: .[2], side: .[3]}}
'''

[[source]]
name = "kraken-tickers"
kind = "websocket"
url = "URL"
send = ['{"event":"subscribe","pair":["WAVES/EUR","XMR/USD","KSM/XBT","GRT/ETH","SC/EUR","ETH/CHF","OCEAN/XBT","OMG/USD","XBT/CHF","ADA/XBT"],"subscription":{"name":"ticker"}}']
map = '''
  select(type == "array")
  | {topic: "ticker.\(.[3] | token)", key: .[3], data: {bid: .[1].b[0], ask: .[1].a[0], last: .[1].c[0]}}
'''

[[source]]
name = "kraken-books"
kind = "websocket"
url = "URL"
send = ['{"event":"subscribe","pair":["WAVES/EUR","XMR/USD","KSM/XBT","GRT/ETH","SC/EUR","ETH/CHF","OCEAN/XBT","OMG/USD","XBT/CHF","ADA/XBT"],"subscription":{"name":"book","depth":1000}}']
map = 'select(type == "array") | {topic: "book.\(.[-1] | token)", key: .[-1], data: (.[1:-2] | add)}'
"#;

/// The same feed from its recording: one source, whose mapping tells the channels apart.
const KRAKEN_TAPE: &str = r#"
[[source]]
name = "tape"
kind = "replay"
file = "FILE"
speed = "max"
map = '''
  select(type == "array") | .[-1] as $pair
  | if .[-2] == "trade" then
      .[1][] | {topic: "trade.\($pair | token)", key: $pair, data: {price: .[0], qty: .[1], time: .[2], side: .[3]}}
    elif .[-2] == "ticker" then
      {topic: "ticker.\($pair | token)", key: $pair, data: {bid: .[1].b[0], ask: .[1].a[0], last: .[1].c[0]}}
    else
      {topic: "book.\($pair | token)", key: $pair, data: (.[1:-2] | add)}
    end
'''
"#;

const COINBASE: &str = r#"
[[source]]
name = "coinbase"
kind = "websocket"
url = "URL"
send = [
  '{"type":"subscribe","product_ids":["SKL-USD","SKL-BTC","BAND-GBP","NMR-EUR","BAND-BTC","YFI-BTC","DASH-BTC","NU-GBP","CRV-EUR","SKL-GBP"],"channels":["level2"]}',
  '{"type":"subscribe","product_ids":["SKL-USD","SKL-BTC","BAND-GBP","NMR-EUR","BAND-BTC","YFI-BTC","DASH-BTC","NU-GBP","CRV-EUR","SKL-GBP"],"channels":["ticker"]}',
  '{"type":"subscribe","product_ids":["SKL-USD","SKL-BTC","BAND-GBP","NMR-EUR","BAND-BTC","YFI-BTC","DASH-BTC","NU-GBP","CRV-EUR","SKL-GBP"],"channels":["matches"]}',
]
map = 'select(.product_id) | {topic: "\(.type).\(.product_id | token)", key: .product_id, data: .}'
"#;

const COINBASE_TAPE: &str = r#"
[[source]]
name = "tape"
kind = "replay"
file = "FILE"
speed = "max"
map = 'select(.product_id) | {topic: "\(.type).\(.product_id | token)", key: .product_id, data: .}'
"#;

/// Told often, so that a test soon knows that all was sent.
const HEARTBEAT: &str = "[client]\nheartbeat = \"200ms\"\n";

/// What a client of one key has to get, and how many events there are in all, by a program that read the recording.
struct Expected {
    events: Vec<Value>,
    all: u64,
}

impl Expected {
    async fn count(script: &str, file: &Path, key: &str) -> Self {
        let mut events = foreign::values(foreign::script(script).arg(file).arg(key)).await;
        let all = events.pop().and_then(|last| last["all"].as_u64()).expect("the number of all events");
        assert!(events.len() > 100, "a test of something: {}", events.len());
        Self { events, all }
    }

    /// The events of one topic, or of all.
    fn of(&self, topic: Option<&str>) -> Vec<&Value> {
        self.events.iter().filter(|event| topic.is_none_or(|topic| event["topic"] == topic)).collect()
    }
}

/// The same three fields of what a client got.
fn got(messages: &[Value], topic: Option<&str>) -> Vec<Value> {
    let events = messages.iter().filter(|message| message["op"] == "event");
    let wanted = events.filter(|event| topic.is_none_or(|topic| event["topic"] == topic));
    wanted.map(|event| json!({"topic": event["topic"], "key": event["key"], "data": event["data"]})).collect()
}

fn assert_same(got: &[Value], expected: &[&Value], who: &str) {
    let differs = got.iter().zip(expected).position(|(got, expected)| got != *expected);
    if let Some(i) = differs {
        panic!("{who}: the events differ at {i}:\n got {}\nwant {}", got[i], expected[i]);
    }
    assert_eq!(got.len(), expected.len(), "{who}: as many events");
}

/// Whether a client has been told that everything up to `seq` was sent.
fn has_all(messages: &[Value], through: u64) -> bool {
    let proves = |message: &Value| match message["op"].as_str() {
        Some("heartbeat") => cursor_seq(&message["cursor"]) >= through,
        Some("event") => seq(message) >= through,
        _ => false,
    };
    messages.iter().any(proves)
}

fn assert_increasing(messages: &[Value]) {
    let places: Vec<u64> = messages.iter().filter(|message| message["op"] == "event").map(seq).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "places increase");
}

#[tokio::test]
async fn one_pair_of_kraken_reaches_a_python_client_whole_and_alone() {
    let (file, python) = (feed!("cex_kraken_2021"), language!(Language::Python));
    let expected = Expected::count("count_kraken.py", &file, "XMR/USD").await;
    let upstream = FakeUpstream::start(Capture::read(&file), Speed::Max).await;
    let server = Server::start(&format!("{HEARTBEAT}{}", KRAKEN.replace("URL", &upstream.url()))).await;
    let by_topic = python.collect(&server.url("/ws?topics=*.XMR/USD"), &[]);
    let mut by_message = python
        .collect(&server.url("/ws"), &["--send", r#"{"op":"subscribe","topics":[">"],"filter":{"$key":"XMR/USD"}}"#]);
    by_message.message("subscribed").await;
    let mut clients = [by_topic, by_message];
    clients[0].message("subscribed").await;
    upstream.release();
    for (client, who) in clients.iter().zip(["by topic", "by message"]) {
        eventually("all events of the recording", PATIENCE * 2, async || {
            if has_all(&client.messages(), expected.all) { Ok(()) } else { Err("not yet") }
        })
        .await;
        let messages = client.messages();
        assert_increasing(&messages);
        // Three connections to the exchange: the order is that of each channel.
        for channel in ["trade.XMR/USD", "ticker.XMR/USD", "book.XMR/USD"] {
            assert_same(&got(&messages, Some(channel)), &expected.of(Some(channel)), who);
        }
        assert_eq!(got(&messages, None).len(), expected.events.len(), "{who}");
    }
}

#[tokio::test]
async fn one_product_of_coinbase_reaches_python_and_node_whole_and_alone() {
    let (file, python) = (feed!("cex_coinbase_2021"), language!(Language::Python));
    let node = language!(Language::Node);
    let expected = Expected::count("count_coinbase.py", &file, "DASH-BTC").await;
    let upstream = FakeUpstream::start(Capture::read(&file), Speed::Max).await;
    let server = Server::start(&format!("{HEARTBEAT}{}", COINBASE.replace("URL", &upstream.url()))).await;
    let mut clients = [python, node].map(|language| language.collect(&server.url("/ws?where.$key=DASH-BTC"), &[]));
    for client in &mut clients {
        client.message("subscribed").await;
    }
    upstream.release();
    for client in &clients {
        eventually("all events of the recording", PATIENCE * 2, async || {
            if has_all(&client.messages(), expected.all) { Ok(()) } else { Err("not yet") }
        })
        .await;
        assert_increasing(&client.messages());
        assert_same(&got(&client.messages(), None), &expected.of(None), "live");
    }
}

/// Serves a recording to its end; a client that comes then, with `after=earliest`, leaves with what it got.
async fn late(config: &str, file: &Path, language: Language, path: &str, expected: &Expected) -> Collected {
    let config = config.replace("FILE", file.to_str().expect("a path of text"));
    let server = Server::start(&format!("{HEARTBEAT}{config}")).await;
    eventually("the end of the recording", PATIENCE * 2, async || {
        let mut client = standpipe_tests::Socket::open(server.addr(), "/ws").await;
        let head = client.message().await["head"].as_u64().expect("a head");
        if head == expected.all { Ok(()) } else { Err(format!("{head} events of {}", expected.all)) }
    })
    .await;
    let through = expected.all.to_string();
    language.collect(&server.url(path), &["--through", &through]).finish(PATIENCE * 2).await
}

#[tokio::test]
async fn one_pair_of_krakens_tape_reaches_a_client_that_comes_when_it_is_over() {
    let (file, python) = (feed!("cex_kraken_2021"), language!(Language::Python));
    let expected = Expected::count("count_kraken.py", &file, "XMR/USD").await;
    let path = "/ws?topics=*.XMR/USD&after=earliest";
    let collected = late(KRAKEN_TAPE, &file, python, path, &expected).await;
    assert_eq!(collected.ending, Ending::Left("through".to_owned()));
    assert_increasing(&collected.messages);
    assert_same(&got(&collected.messages, None), &expected.of(None), "late");
    assert_eq!(collected.of("gap"), Vec::<&Value>::new());
}

#[tokio::test]
async fn one_product_of_coinbases_tape_reaches_clients_that_come_when_it_is_over() {
    let (file, python) = (feed!("cex_coinbase_2021"), language!(Language::Python));
    let node = language!(Language::Node);
    let expected = Expected::count("count_coinbase.py", &file, "DASH-BTC").await;
    for language in [python, node] {
        let path = "/ws?topics=*.DASH-BTC&after=earliest";
        let collected = late(COINBASE_TAPE, &file, language, path, &expected).await;
        assert_increasing(&collected.messages);
        assert_same(&got(&collected.messages, None), &expected.of(None), "late");
        assert_eq!(collected.of("gap"), Vec::<&Value>::new());
    }
}
