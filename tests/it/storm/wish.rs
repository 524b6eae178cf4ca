//! The events of the storm, and what its clients ask for: drawn at random, and judged here without any of the server's code.

use serde_json::{Value, json};
use standpipe_tests::Dice;

/// One event, before it is written down.
pub(super) struct Made {
    a: u64,
    b: u64,
    key: u64,
    cents: u64,
    is_buy: bool,
    /// Absent now and then: a filter on it has to do without.
    quantity: Option<u64>,
}

/// What one client asks for.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    topics: Vec<Topics>,
    filter: Option<Filter>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Topics {
    One(u64, u64),
    OfA(u64),
    Below(u64),
    OfB(u64),
    All,
}

#[derive(Debug, Clone)]
enum Filter {
    Side(bool),
    CentsFrom(u64),
    Keys(Vec<u64>),
    QuantityIs(u64),
    QuantityIsNot(u64),
    Both(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All in the URL.
    Url,
    /// In a command, once connected.
    Command,
}

const AS: u64 = 12;
const BS: u64 = 5;
const KEYS: u64 = 50;

impl Made {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            a: dice.throw(AS),
            b: dice.throw(BS),
            key: dice.throw(KEYS),
            cents: dice.throw(10_000),
            is_buy: dice.once_in(2),
            quantity: (!dice.once_in(8)).then(|| dice.throw(10)),
        }
    }

    /// As a publisher writes it.
    pub(super) fn written(&self, i: usize) -> Value {
        let mut data = json!({
            "i": i,
            "side": if self.is_buy { "buy" } else { "sell" },
            "price": format!("{}.{:02}", self.cents / 100, self.cents % 100),
            "note": "as long as what feeds write, which is a line or two of text",
        });
        if let Some(quantity) = self.quantity {
            data["quantity"] = quantity.into();
        }
        json!({"topic": format!("s.{}.{}", self.a, self.b), "key": format!("k{}", self.key), "id": format!("e{i}"), "data": data})
    }
}

impl Wish {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let count = 1 + dice.throw(3);
        let topics = (0..count).map(|_| Topics::new(dice)).collect();
        let filter = (!dice.once_in(3)).then(|| Filter::new(dice, 2));
        let form = dice.choose(&[Form::Url, Form::Url, Form::Command]);
        Self { topics, filter, form }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Whether an event is of it.
    pub(super) fn wants(&self, made: &Made) -> bool {
        self.topics.iter().any(|topics| topics.has(made)) && self.filter.as_ref().is_none_or(|filter| filter.has(made))
    }

    /// The same as parameters of a URL.
    pub(super) fn query(&self) -> String {
        let topics: Vec<_> = self.topics.iter().map(|topics| topics.written().replace('>', "%3E")).collect();
        let filter = match &self.filter {
            None => String::new(),
            Some(Filter::Side(is_buy)) => format!("&where.side={}", side(*is_buy)),
            Some(Filter::CentsFrom(cents)) => format!("&where.price.gte={}", price(*cents)),
            Some(Filter::Keys(keys)) => format!("&where.$key.in={}", names(keys).join(",")),
            Some(other) => format!("&filter={}", escaped(&other.written().to_string())),
        };
        format!("topics={}{filter}", topics.join(","))
    }

    /// The same as a command.
    pub(super) fn command(&self, after: &str) -> Value {
        let topics: Vec<_> = self.topics.iter().map(Topics::written).collect();
        let mut command = json!({"op": "subscribe", "topics": topics, "after": after});
        if let Some(filter) = &self.filter {
            command["filter"] = filter.written();
        }
        command
    }
}

impl Topics {
    fn new(dice: &mut Dice) -> Self {
        match dice.throw(40) {
            0 => Self::All,
            1..=4 => Self::OfB(dice.throw(BS)),
            5..=14 => Self::OfA(dice.throw(AS)),
            15..=19 => Self::Below(dice.throw(AS)),
            _ => Self::One(dice.throw(AS), dice.throw(BS)),
        }
    }

    fn has(self, made: &Made) -> bool {
        match self {
            Self::One(a, b) => made.a == a && made.b == b,
            Self::OfA(a) | Self::Below(a) => made.a == a,
            Self::OfB(b) => made.b == b,
            Self::All => true,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::One(a, b) => format!("s.{a}.{b}"),
            Self::OfA(a) => format!("s.{a}.*"),
            Self::Below(a) => format!("s.{a}.>"),
            Self::OfB(b) => format!("s.*.{b}"),
            Self::All => ">".to_owned(),
        }
    }
}

impl Filter {
    fn new(dice: &mut Dice, depth: u64) -> Self {
        let kinds = if depth == 0 { 5 } else { 8 };
        match dice.throw(kinds) {
            0 => Self::Side(dice.once_in(2)),
            1 => Self::CentsFrom(dice.throw(10_000)),
            2 => Self::Keys((0..=dice.throw(9)).map(|_| dice.throw(KEYS)).collect()),
            3 => Self::QuantityIs(dice.throw(10)),
            4 => Self::QuantityIsNot(dice.throw(10)),
            5 => Self::Not(Box::new(Self::new(dice, depth - 1))),
            _ => Self::Both(Box::new(Self::new(dice, depth - 1)), Box::new(Self::new(dice, depth - 1))),
        }
    }

    fn has(&self, made: &Made) -> bool {
        match self {
            Self::Side(is_buy) => made.is_buy == *is_buy,
            Self::CentsFrom(cents) => made.cents >= *cents,
            Self::Keys(keys) => keys.contains(&made.key),
            Self::QuantityIs(quantity) => made.quantity == Some(*quantity),
            Self::QuantityIsNot(quantity) => made.quantity != Some(*quantity),
            Self::Both(one, other) => one.has(made) && other.has(made),
            Self::Not(other) => !other.has(made),
        }
    }

    fn written(&self) -> Value {
        match self {
            Self::Side(is_buy) => json!({"side": side(*is_buy)}),
            // The price is a text, as feeds write it: it is compared as the number that it is.
            Self::CentsFrom(cents) => json!({"price": {"gte": price(*cents)}}),
            Self::Keys(keys) => json!({"$key": {"in": names(keys)}}),
            Self::QuantityIs(quantity) => json!({"quantity": quantity}),
            Self::QuantityIsNot(quantity) => json!({"quantity": {"ne": quantity}}),
            Self::Both(one, other) => json!({"and": [one.written(), other.written()]}),
            Self::Not(other) => json!({"not": other.written()}),
        }
    }
}

fn side(is_buy: bool) -> &'static str {
    if is_buy { "buy" } else { "sell" }
}

fn price(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn names(keys: &[u64]) -> Vec<String> {
    keys.iter().map(|key| format!("k{key}")).collect()
}

/// All but letters and digits as `%XX` (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let each =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(each).collect()
}
