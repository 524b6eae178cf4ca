//! Operations on the index: subscribers come, go and are looked for, and after each step the index has to say what a
//! scan of all entries says. The vocabulary is small, so that things meet.

#![no_main]

use std::{fmt::Write, sync::Arc};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use standpipe_protocol::{EventView, Json, Topic};
use standpipe_selection::{Bounds, Entry, Filter, Index, Pattern};

#[derive(Debug, Arbitrary)]
enum Operation {
    Insert { subscriber: u8, tokens: Vec<PatternToken>, is_open: bool, filter: Option<Condition> },
    Remove(u8),
    Match { topic: Vec<Token>, fields: Vec<(Name, Found)> },
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Token {
    A,
    B,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum PatternToken {
    Token(Token),
    Any,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Name {
    F,
    G,
    Inner,
    Topic,
    Ts,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Value {
    Null,
    True,
    False,
    Number(i8),
    /// The same value, written differently.
    Decimal(i8),
    TextOfNumber(i8),
    Text(Token),
    /// Does not fit in place.
    LongText(Token),
}

#[derive(Debug, Arbitrary)]
enum Found {
    One(Value),
    List(Vec<Value>),
    Object(Value),
}

#[derive(Debug, Arbitrary)]
enum Condition {
    In(Name, Value, Vec<Value>),
    NotIn(Name, Value, Vec<Value>),
    Order(Name, Order, i8),
    Prefix(Name, Token),
    Exists(Name, bool),
    All(Box<Condition>, Box<Condition>),
    Any(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

const BOUNDS: Bounds = Bounds {
    max_filter_bytes: 16 * 1024,
    max_filter_depth: 16,
    max_filter_nodes: 256,
    max_set_values: 64,
    max_subscriptions: 1,
    max_topics_per_command: 1,
};

struct Held {
    entry: Entry,
    subscriber: u32,
    pattern: Pattern,
    filter: Option<Arc<Filter>>,
}

fuzz_target!(|operations: Vec<Operation>| {
    let (mut index, mut model) = (Index::new(), Vec::<Held>::new());
    for operation in operations {
        match operation {
            Operation::Insert { subscriber, tokens, is_open, filter } => {
                let pattern = pattern(&tokens, is_open);
                let filter = filter.map(|condition| read(&condition));
                if filter == Some(None) {
                    continue;
                }
                let filter = filter.flatten();
                let subscriber = u32::from(subscriber % 16);
                let entry = index.insert(subscriber, &pattern, filter.clone());
                model.push(Held { entry, subscriber, pattern, filter });
            }
            Operation::Remove(which) if !model.is_empty() => {
                let held = model.swap_remove(usize::from(which) % model.len());
                index.remove(held.entry);
            }
            Operation::Remove(_) => {}
            Operation::Match { topic, fields } => look(&index, &model, &topic, &fields),
        }
        assert_eq!(index.len(), model.len());
    }
});

/// Compares the index with the model.
fn look(index: &Index, model: &[Held], topic: &[Token], fields: &[(Name, Found)]) {
    let tokens: Vec<&str> = topic.iter().take(4).map(|token| token.text()).collect();
    let topic = Topic::new(&if tokens.is_empty() { "a".to_owned() } else { tokens.join(".") }).unwrap();
    let data = payload(fields);
    let event = EventView { topic: &topic, key: None, id: None, ts: Some(3), source: "fuzz", data: &data };
    let wants =
        |held: &&Held| held.pattern.matches(&topic) && held.filter.as_ref().is_none_or(|filter| filter.matches(event));
    let mut expected: Vec<u32> = model.iter().filter(wants).map(|held| held.subscriber).collect();
    expected.sort_unstable();
    expected.dedup();
    let mut told = vec![u32::MAX];
    index.audience(event, &mut told);
    assert_eq!(told, expected, "{topic} {data}");
}

fn pattern(tokens: &[PatternToken], is_open: bool) -> Pattern {
    let mut words: Vec<&str> = tokens.iter().take(4).map(|token| token.text()).collect();
    if is_open || words.is_empty() {
        words.push(">");
    }
    Pattern::new(&words.join(".")).unwrap()
}

/// What nests too deep, for JSON or for a filter, is refused; all else is a filter.
fn read(condition: &Condition) -> Option<Arc<Filter>> {
    let json = Json::parse(condition.json()).ok()?;
    Filter::parse(&json, &BOUNDS).ok().map(Arc::new)
}

fn payload(fields: &[(Name, Found)]) -> String {
    let mut text = String::from("{");
    for (i, (name, found)) in fields.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{}\":{}", name.in_payload(), found.json());
    }
    text + "}"
}

impl Token {
    fn text(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl PatternToken {
    fn text(self) -> &'static str {
        match self {
            Self::Token(token) => token.text(),
            Self::Any => "*",
        }
    }
}

impl Name {
    fn path(self) -> &'static str {
        match self {
            Self::F => "f",
            Self::G => "g",
            Self::Inner => "f.x",
            Self::Topic => "$topic",
            Self::Ts => "$ts",
        }
    }

    fn in_payload(self) -> &'static str {
        match self {
            Self::F | Self::Inner => "f",
            Self::G | Self::Topic | Self::Ts => "g",
        }
    }
}

impl Value {
    fn json(self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::True => "true".to_owned(),
            Self::False => "false".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Decimal(number) => format!("{number}.00e0"),
            Self::TextOfNumber(number) => format!("\"{number}.0\""),
            Self::Text(token) => format!("\"{}\"", token.text()),
            Self::LongText(token) => format!("\"{}\"", token.text().repeat(40)),
        }
    }
}

impl Found {
    fn json(&self) -> String {
        match self {
            Self::One(value) => value.json(),
            Self::List(values) => list(values.iter().copied()),
            Self::Object(value) => format!("{{\"x\":{}}}", value.json()),
        }
    }
}

impl Condition {
    fn json(&self) -> String {
        match self {
            Self::In(name, first, more) => {
                Self::on(*name, "in", &list([*first].into_iter().chain(more.iter().copied())))
            }
            Self::NotIn(name, first, more) => {
                Self::on(*name, "nin", &list([*first].into_iter().chain(more.iter().copied())))
            }
            Self::Order(name, order, bound) => Self::on(*name, order.operator(), &bound.to_string()),
            Self::Prefix(name, token) => Self::on(*name, "prefix", &format!("\"{}\"", token.text())),
            Self::Exists(name, wanted) => Self::on(*name, "exists", &wanted.to_string()),
            Self::All(a, b) => format!("{{\"and\":[{},{}]}}", a.json(), b.json()),
            Self::Any(a, b) => format!("{{\"or\":[{},{}]}}", a.json(), b.json()),
            Self::Not(inner) => format!("{{\"not\":{}}}", inner.json()),
        }
    }

    fn on(name: Name, operator: &str, operand: &str) -> String {
        format!("{{\"{}\":{{\"{operator}\":{operand}}}}}", name.path())
    }
}

impl Order {
    fn operator(self) -> &'static str {
        match self {
            Self::Greater => "gt",
            Self::GreaterOrEqual => "gte",
            Self::Less => "lt",
            Self::LessOrEqual => "lte",
        }
    }
}

fn list(values: impl Iterator<Item = Value>) -> String {
    let values: Vec<String> = values.take(64).map(Value::json).collect();
    format!("[{}]", values.join(","))
}
