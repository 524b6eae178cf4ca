//! The frames of the simulated exchange: the public WebSocket API of Kraken, version 1, as its documentation shows it
//! (docs.kraken.com/api/docs/websocket-v1). What a client may send, and every frame that answers or is published.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};

use super::market::{Market, Order, Pair, Side, Trade, decimal};

/// The decimals of prices and volumes.
const PRICE: u32 = 5;
const VOLUME: u32 = 8;

/// What one can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Trade,
    Ticker,
}

/// What a client asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub(super) enum Request {
    /// Answered by `pong`.
    Ping { reqid: Option<i64> },
    /// Answered once for each pair.
    Subscribe(Selection),
    /// Answered once for each pair.
    Unsubscribe(Selection),
}

/// Which channels of which pairs.
#[derive(Debug, Deserialize)]
pub(super) struct Selection {
    reqid: Option<i64>,
    #[serde(default)]
    pair: Vec<String>,
    subscription: Subscription,
}

#[derive(Debug, Deserialize)]
struct Subscription {
    name: String,
}

/// What a selection means for one pair: the answer, and what it changes.
pub(super) struct Answer {
    pub(super) frame: String,
    /// The pair and channel, if they exist.
    pub(super) stream: Option<Stream>,
}

/// One channel of one pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    pub(super) channel: Channel,
    pub(super) pair: &'static str,
}

impl Channel {
    fn of_name(name: &str) -> Option<Self> {
        [Self::Trade, Self::Ticker].into_iter().find(|channel| channel.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Ticker => "ticker",
        }
    }
}

impl Stream {
    /// The number that stands in its frames.
    fn id(self) -> usize {
        let place = Market::names().position(|name| name == self.pair).unwrap_or_default();
        match self.channel {
            Channel::Trade => 320 + place,
            Channel::Ticker => 340 + place,
        }
    }
}

impl Selection {
    /// One answer for each pair, `status` being `subscribed` or `unsubscribed`.
    pub(super) fn answers(&self, status: &'static str) -> Vec<Answer> {
        if self.pair.is_empty() {
            let frame = self.refused(None, "Pair field must be an array");
            return vec![Answer { frame, stream: None }];
        }
        self.pair.iter().map(|pair| self.answer(pair, status)).collect()
    }

    fn answer(&self, pair: &str, status: &'static str) -> Answer {
        let name = &self.subscription.name;
        let Some(channel) = Channel::of_name(name) else {
            return Answer { frame: self.refused(Some(pair), "Subscription name invalid"), stream: None };
        };
        if !pair.contains('/') {
            let why = format!("Currency pair not in ISO 4217-A3 format {pair}");
            return Answer { frame: self.refused(Some(pair), &why), stream: None };
        }
        let Some(pair) = Market::names().find(|known| *known == pair) else {
            return Answer {
                frame: self.refused(Some(pair), &format!("Currency pair not supported {pair}")),
                stream: None,
            };
        };
        let stream = Stream { channel, pair };
        let frame = self.with_reqid(json!({
            "channelID": stream.id(), "channelName": name, "event": "subscriptionStatus", "pair": pair,
            "status": status, "subscription": {"name": name},
        }));
        Answer { frame, stream: Some(stream) }
    }

    fn refused(&self, pair: Option<&str>, why: &str) -> String {
        let mut frame = json!({
            "errorMessage": why, "event": "subscriptionStatus", "status": "error",
            "subscription": {"name": self.subscription.name},
        });
        if let (Some(pair), Some(fields)) = (pair, frame.as_object_mut()) {
            fields.insert("pair".to_owned(), pair.into());
        }
        self.with_reqid(frame)
    }

    fn with_reqid(&self, mut frame: Value) -> String {
        if let (Some(reqid), Some(fields)) = (self.reqid, frame.as_object_mut()) {
            fields.insert("reqid".to_owned(), reqid.into());
        }
        frame.to_string()
    }
}

/// The first frame on every connection.
pub(super) fn system_status(connection: u64) -> String {
    json!({"connectionID": connection, "event": "systemStatus", "status": "online", "version": "1.9.1"}).to_string()
}

/// Sent when nothing else was for a second.
pub(super) fn heartbeat() -> &'static str {
    r#"{"event":"heartbeat"}"#
}

/// The answer to a ping.
pub(super) fn pong(reqid: Option<i64>) -> String {
    reqid.map_or_else(|| json!({"event": "pong"}), |reqid| json!({"event": "pong", "reqid": reqid})).to_string()
}

/// The answer to what is no request.
pub(super) fn malformed() -> &'static str {
    r#"{"errorMessage":"Malformed request","event":"error"}"#
}

/// `[channelID, [[price, volume, time, side, orderType, misc], …], "trade", pair]`
pub(super) fn trades(pair: &'static str, trades: &[Trade]) -> String {
    let mut rows = String::new();
    for trade in trades {
        let side = match trade.side {
            Side::Buy => 'b',
            Side::Sell => 's',
        };
        let order = match trade.order {
            Order::Market => 'm',
            Order::Limit => 'l',
        };
        let (price, volume) = (decimal(trade.price, PRICE), decimal(trade.volume, VOLUME));
        let comma = if rows.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(rows, r#"{comma}["{price}","{volume}","{}","{side}","{order}",""]"#, decimal(trade.at, 6));
    }
    let id = Stream { channel: Channel::Trade, pair }.id();
    format!(r#"[{id},[{rows}],"trade","{pair}"]"#)
}

/// `[channelID, {a, b, c, v, p, t, l, h, o}, "ticker", pair]`; where two values stand, the first is of today and the
/// second of 24 hours, which here are the same.
pub(super) fn ticker(pair: &Pair) -> String {
    let id = Stream { channel: Channel::Ticker, pair: pair.name }.id();
    let twice = |text: String| format!(r#"["{text}","{text}"]"#);
    let best = |price: u64| {
        let lot = pair.last_volume;
        format!(r#"["{}",{},"{}"]"#, decimal(price, PRICE), lot / 100_000_000, decimal(lot / 100_000, 3))
    };
    format!(
        r#"[{id},{{"a":{},"b":{},"c":["{}","{}"],"v":{},"p":{},"t":[{},{}],"l":{},"h":{},"o":{}}},"ticker","{}"]"#,
        best(pair.ask),
        best(pair.bid),
        decimal(pair.last, PRICE),
        decimal(pair.last_volume, VOLUME),
        twice(decimal(pair.volume, VOLUME)),
        twice(decimal(pair.average(), PRICE)),
        pair.trades,
        pair.trades,
        twice(decimal(pair.low, PRICE)),
        twice(decimal(pair.high, PRICE)),
        twice(decimal(pair.open, PRICE)),
        pair.name,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        serde_json::from_str(text).unwrap()
    }

    fn answers(text: &str, status: &'static str) -> Vec<Value> {
        let (Request::Subscribe(selection) | Request::Unsubscribe(selection)) = request(text) else { panic!("{text}") };
        selection.answers(status).iter().map(|answer| serde_json::from_str(&answer.frame).unwrap()).collect()
    }

    #[test]
    fn every_pair_of_a_subscribe_is_answered() {
        let text = r#"{"event":"subscribe","reqid":7,"pair":["XBT/USD","ADA/USD"],"subscription":{"name":"ticker"}}"#;
        let status = |id: u32, pair: &str| {
            json!({"channelID": id, "channelName": "ticker", "event": "subscriptionStatus", "pair": pair, "reqid": 7,
                "status": "subscribed", "subscription": {"name": "ticker"}})
        };
        assert_eq!(answers(text, "subscribed"), [status(340, "XBT/USD"), status(344, "ADA/USD")]);
    }

    #[test]
    fn what_does_not_exist_is_refused_by_name() {
        for (pair, name, why) in [
            ("XBT/FOO", "trade", "Currency pair not supported XBT/FOO"),
            ("XBTUSD", "trade", "Currency pair not in ISO 4217-A3 format XBTUSD"),
            ("XBT/USD", "news", "Subscription name invalid"),
        ] {
            let text = json!({"event": "subscribe", "pair": [pair], "subscription": {"name": name}}).to_string();
            let refusal = json!({"errorMessage": why, "event": "subscriptionStatus", "pair": pair, "status": "error",
                "subscription": {"name": name}});
            assert_eq!(answers(&text, "subscribed"), [refusal]);
        }
    }

    #[test]
    fn pings_are_read_with_and_without_an_id() {
        assert!(matches!(request(r#"{"event":"ping","reqid":42}"#), Request::Ping { reqid: Some(42) }));
        assert!(matches!(request(r#"{"event":"ping"}"#), Request::Ping { reqid: None }));
        assert_eq!(pong(Some(42)), r#"{"event":"pong","reqid":42}"#);
    }

    #[test]
    fn published_frames_have_the_form_of_the_documentation() {
        let at = 1_534_614_057_321_597;
        let rows = [
            Trade { price: 554_120_000, volume: 15_850_568, at, side: Side::Sell, order: Order::Limit },
            Trade { price: 606_000_000, volume: 2_455_000, at, side: Side::Buy, order: Order::Market },
        ];
        assert_eq!(
            trades("XBT/USD", &rows),
            r#"[320,[["5541.20000","0.15850568","1534614057.321597","s","l",""],["6060.00000","0.02455000","1534614057.321597","b","m",""]],"trade","XBT/USD"]"#
        );
        let turn = Market::new(3).turn(at).unwrap();
        let frame: Value = serde_json::from_str(&ticker(&turn.pair)).unwrap();
        assert_eq!(frame[2], "ticker");
        assert_eq!(frame[3], turn.pair.name);
        for field in ["a", "b", "c", "v", "p", "t", "l", "h", "o"] {
            assert!(frame[1][field].is_array(), "{field}: {frame}");
        }
        assert!(frame[1]["a"][0].is_string() && frame[1]["a"][1].is_u64(), "{frame}");
    }
}
