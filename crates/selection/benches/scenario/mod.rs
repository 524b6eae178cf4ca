//! The two crowds that speed and memory are measured with, the same at each run.

use std::sync::Arc;

use standpipe_protocol::{Event, Json, Topic};
use standpipe_selection::{Bounds, Filter, Index, Pattern};

/// Far beyond what is asked for here.
const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 4096,
    max_filter_depth: 8,
    max_filter_nodes: 64,
    max_set_values: 64,
    max_subscriptions: 1,
    max_topics_per_command: 1,
};

/// Subscriptions of one kind, and events for them.
pub(crate) struct Crowd {
    /// For the name of a measurement.
    pub(crate) name: &'static str,
    pattern: &'static str,
    topic: &'static str,
    /// The filter of a subscription, as a client writes it.
    filter: fn(&mut Random) -> String,
    /// The payload of an event.
    payload: fn(&mut Random) -> String,
}

/// How many authors the followers choose from.
pub(crate) const AUTHORS: u64 = 500_000;

/// How many symbols there are on the market.
pub(crate) const SYMBOLS: u64 = 1_000;

/// Each subscription follows three authors; an event has one author.
pub(crate) const FOLLOWERS: Crowd = Crowd {
    name: "followers",
    pattern: "tweets.>",
    topic: "tweets.btc",
    filter: |random| {
        let [a, b, c] = [(); 3].map(|()| random.below(AUTHORS));
        format!(r#"{{"author":{{"in":["user{a:06}","user{b:06}","user{c:06}"]}}}}"#)
    },
    payload: |random| {
        let author = random.below(AUTHORS);
        format!(
            r#"{{"id":"1461000000000000000","text":"to the moon \ud83d\ude80 or not, who could tell that from here? #btc","lang":"en","author":"user{author:06}","followers":1234,"likes":5,"retweets":{{"count":17,"of":null}},"tags":["btc","moon"],"verified":false}}"#
        )
    },
};

/// Each subscription is about one symbol from some price on; an event finds a hundred candidates, half of which want it.
pub(crate) const MARKET: Crowd = Crowd {
    name: "market",
    pattern: "trades.>",
    topic: "trades.spot",
    filter: |random| {
        let (symbol, price) = (random.below(SYMBOLS), random.below(10_000));
        format!(r#"{{"symbol":"S{symbol:03}-USDT","price":{{"gte":{price}}}}}"#)
    },
    payload: |random| {
        let (symbol, price) = (random.below(SYMBOLS), random.below(10_000));
        format!(
            r#"{{"symbol":"S{symbol:03}-USDT","price":"{price}.50","size":"0.1000","side":"buy","trade":"8812345"}}"#
        )
    },
};

impl Crowd {
    /// The pattern of all its subscriptions.
    pub(crate) fn pattern(&self) -> Pattern {
        Pattern::new(self.pattern).unwrap()
    }

    /// The filters of so many subscriptions, as text.
    pub(crate) fn texts(&self, count: u32) -> Vec<Json> {
        let mut random = Random(1);
        (0..count).map(|_| Json::parse((self.filter)(&mut random)).unwrap()).collect()
    }

    /// So many events.
    pub(crate) fn events(&self, count: u32) -> Vec<Event> {
        let mut random = Random(2);
        let event = |_| Event {
            topic: Topic::new(self.topic).unwrap(),
            key: None,
            id: None,
            ts: None,
            n: None,
            source: "bench".into(),
            data: Json::parse((self.payload)(&mut random)).unwrap(),
        };
        (0..count).map(event).collect()
    }

    /// An index of as many subscribers as there are filters.
    pub(crate) fn index(&self, texts: &[Json]) -> Index {
        let (mut index, pattern) = (Index::new(), self.pattern());
        for (subscriber, text) in (0..).zip(texts) {
            index.insert(subscriber, &pattern, Some(parsed(text)));
        }
        index
    }
}

/// A filter as a command brings it.
pub(crate) fn parsed(text: &Json) -> Arc<Filter> {
    Arc::new(Filter::parse(text, &BOUNDS).unwrap())
}

/// Numbers that look random and are the same at each run (the generator is called `SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
