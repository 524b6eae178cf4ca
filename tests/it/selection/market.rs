//! Trades of one side from a price upwards, chosen by the URL alone: by clients that nobody here wrote.

use std::path::Path;

use serde_json::{Value, json};
use standpipe_tests::{
    FakeUpstream, PATIENCE, Server, eventually,
    fake_upstream::Speed,
    feed,
    feeds::Capture,
    foreign::{self, Collector, Language},
    language,
};

use super::HEARTBEAT;
use crate::{cursor_seq, seq};

/// All that the exchange sends becomes events: of trades, of books, of tickers.
struct Market {
    config: &'static str,
    /// What the mapping makes of a trade's topic.
    trades: &'static str,
    /// How the program that counts calls it.
    name: &'static str,
    /// The field of a trade that holds its price.
    price: &'static str,
    least: &'static str,
}

const OKX: Market = Market {
    config: r#"
[[source]]
name = "okx"
kind = "websocket"
url = "URL"
send = SENDS
map = 'select(.data) | .arg as $arg | .data[] | {topic: "\($arg.channel).\($arg.instId | token)", key: $arg.instId, data: .}'
"#,
    trades: "trades.*",
    name: "okx",
    price: "px",
    least: "30240",
};

const COINBASE: Market = Market {
    config: r#"
[[source]]
name = "coinbase"
kind = "websocket"
url = "URL"
send = SENDS
map = 'select(.product_id) | {topic: "\(.type).\(.product_id | token)", key: .product_id, data: .}'
"#,
    trades: "match.*",
    name: "coinbase",
    price: "price",
    least: "0.0001",
};

impl Market {
    /// The trades that a client has to get, and the number of all events.
    async fn count(&self, recording: &Path, side: &str) -> (Vec<Value>, u64) {
        let mut script = foreign::script("count_trades.py");
        let mut trades = foreign::values(script.arg(self.name).arg(recording).args([side, self.least])).await;
        let all = trades.pop().and_then(|last| last["all"].as_u64()).expect("the number of all events");
        assert!(trades.len() > 10, "a test of something: {}", trades.len());
        (trades, all)
    }

    /// Connects once with each language and each spelling of the URL, lets the recording flow, and compares.
    async fn each_client_gets_its_trades(&self, recording: &Path, languages: [Language; 2]) {
        let capture = Capture::read(recording);
        let sends: Vec<_> = capture.connections.iter().flat_map(|connection| &connection.sends).collect();
        let sends: Vec<_> = sends.into_iter().map(Value::to_string).collect();
        let upstream = FakeUpstream::start(capture, Speed::Max).await;
        let config = self.config.replace("URL", &upstream.url()).replace("SENDS", &format!("{sends:?}"));
        let server = Server::start(&format!("{HEARTBEAT}{config}")).await;

        let (trades, price, least) = (self.trades, self.price, self.least);
        let mut clients = Vec::new();
        for (language, side) in languages.into_iter().zip(["buy", "sell"]) {
            let (expected, all) = self.count(recording, side).await;
            for path in [
                format!("/ws?topics={trades}&where.data.side={side}&where.data.{price}.gte={least}"),
                format!("/ws/{trades}?filter={{%22{price}%22:{{%22gte%22:%22{least}%22}},%22side%22:%22{side}%22}}"),
            ] {
                let mut client = language.collect(&server.url(&path), &[]);
                client.message("subscribed").await;
                clients.push((client, path, expected.clone(), all));
            }
        }
        upstream.release();
        for (client, path, expected, all) in &clients {
            eventually("all events of the recording", PATIENCE * 2, async || {
                if has_all(client, *all) { Ok(()) } else { Err("not yet") }
            })
            .await;
            assert_eq!(got(client), *expected, "{path}");
        }
    }
}

/// Whether a client has been told that everything up to `seq` was sent.
fn has_all(client: &Collector, through: u64) -> bool {
    client.messages().iter().any(|message| match message["op"].as_str() {
        Some("heartbeat") => cursor_seq(&message["cursor"]) >= through,
        Some("event") => seq(message) >= through,
        _ => false,
    })
}

/// What a client got, as far as the program that counts knows it.
fn got(client: &Collector) -> Vec<Value> {
    let messages = client.messages();
    let events = messages.iter().filter(|message| message["op"] == "event");
    events.map(|event| json!({"topic": event["topic"], "key": event["key"], "data": event["data"]})).collect()
}

#[tokio::test]
async fn trades_of_okx_come_by_url_to_python_and_node() {
    let recording = feed!("cex_okx_2022");
    let languages = [language!(Language::Python), language!(Language::Node)];
    OKX.each_client_gets_its_trades(&recording, languages).await;
}

#[tokio::test]
async fn trades_of_coinbase_come_by_url_to_node_and_python() {
    let recording = feed!("cex_coinbase_2021");
    let languages = [language!(Language::Node), language!(Language::Python)];
    COINBASE.each_client_gets_its_trades(&recording, languages).await;
}
