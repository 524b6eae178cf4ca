//! `[billing]`: where confirmed deliveries are charged, as what, at which price.

use std::{collections::BTreeMap, path::PathBuf};

use ::config::{Value, ValueKind};
use standpipe_ledger::{EventName, Unbilled, Usd};
use standpipe_selection::Pattern;

use super::{
    keys::{Found, Reader, Setting, Shape},
    platform::Platform,
    sections::BillingKeys,
    texts::FilePath,
    values::{choice, wrong_type},
};

/// Deliveries that are billed, and where.
#[derive(Debug, Clone)]
pub struct Billing {
    /// Where they are charged.
    pub sink: Sink,
    /// The journal.
    pub journal: PathBuf,
    /// What events of which topics are charged as. The first pattern that selects a topic counts.
    pub events: Vec<(Pattern, EventName)>,
    /// The most that may be charged in all.
    pub cap: Option<Usd>,
    /// What happens to deliveries that cannot be billed.
    pub unbilled: Unbilled,
    /// What becomes of clients that cannot prove what they get.
    pub sse: Unproven,
    /// How many may be confirmed and not settled.
    pub max_unsettled: u64,
    /// What one connection may owe.
    pub max_owed: Option<Usd>,
}

/// Where charges go.
#[derive(Debug, Clone)]
pub enum Sink {
    /// Into a file.
    File {
        /// Which.
        path: PathBuf,
        /// Whose charges they are.
        run: String,
        /// What one of them costs, where that is known.
        prices: BTreeMap<EventName, Usd>,
    },
    /// To the platform.
    Apify(Box<Platform>),
}

/// What becomes of clients that cannot prove what they get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// They get it for nothing.
    Give,
    /// They are billed for what was written to them.
    Bill,
    /// They get nothing.
    Refuse,
}

/// The word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinkKind {
    None,
    File,
    Apify,
}

choice!(SinkKind: "none" => SinkKind::None, "file" => SinkKind::File, "apify" => SinkKind::Apify);
choice!(Unproven: "give" => Unproven::Give, "bill" => Unproven::Bill, "refuse" => Unproven::Refuse);
choice!(Unbilled: "hold" => Unbilled::Hold, "give" => Unbilled::Give);

/// What events are charged as.
pub(super) struct Events(Vec<(Pattern, EventName)>);

/// What they cost.
pub(super) struct Prices(BTreeMap<EventName, Usd>);

/// An amount of money.
pub(super) struct Amount(Usd);

impl Billing {
    /// Nothing where there is no sink.
    pub(super) fn check(keys: BillingKeys, reader: &mut Reader<'_>) -> Option<Self> {
        let sink = match keys.sink {
            SinkKind::None => {
                check_file(&keys, reader);
                return None;
            }
            SinkKind::File => {
                check_file(&keys, reader);
                let prices = keys.prices.map(|Prices(prices)| prices).unwrap_or_default();
                Sink::File { path: keys.file.0, run: keys.run, prices }
            }
            SinkKind::Apify => {
                if keys.prices.is_some() {
                    reader.problem("billing.prices", "the platform says what its events cost", "leave it out");
                }
                Sink::Apify(Box::new(Platform::check(&keys, reader)?))
            }
        };
        let (FilePath(journal), Events(events)) = (keys.journal, keys.event);
        Some(Self {
            sink,
            journal,
            events,
            cap: keys.cap.map(|Amount(cap)| cap),
            unbilled: keys.unbilled,
            sse: keys.sse,
            max_unsettled: keys.max_unsettled.get() as u64,
            max_owed: keys.max_owed.0.map(|Amount(amount)| amount),
        })
    }
}

/// What has to go together where charges are written to a file.
fn check_file(keys: &BillingKeys, reader: &mut Reader<'_>) {
    let is_sound = reader.sound(&["billing.cap", "billing.prices", "billing.event"]);
    let is_priced = |name| keys.prices.as_ref().is_some_and(|Prices(prices)| prices.contains_key(name));
    for (_, name) in keys.event.0.iter().filter(|(_, name)| !is_priced(name)) {
        if is_sound && keys.cap.is_some() {
            let what = format!("the price of `{name}` is not known, so that nobody can tell when it is reached");
            reader.problem("billing.cap", what, format!("write prices = {{ \"{name}\" = \"…\" }}"));
        }
    }
    if keys.file.0 == keys.journal.0 {
        reader.problem("billing.journal", "it is the file of charges as well", "they are two files");
    }
}

impl Setting for Events {
    const SHAPE: Shape = Shape::List;

    fn kind() -> String {
        "a name, or a list, each `{ topics = PATTERN, name = NAME }`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        if found.text().is_some() {
            return Some(Self(vec![(Pattern::everything(), read_name(found, reader)?)]));
        }
        let ValueKind::Array(items) = &found.value.kind else { return wrong_type::<_, Self>(found, reader) };
        let rules =
            items.iter().enumerate().map(|(i, item)| read_rule(&found.element(&format!("[{i}]"), item), reader));
        let rules: Vec<_> = rules.collect();
        rules.into_iter().collect::<Option<_>>().map(Self)
    }
}

fn read_rule(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<(Pattern, EventName)> {
    let ValueKind::Table(table) = &found.value.kind else { return wrong_type::<_, Events>(found, reader) };
    reader.refuse_unknown(&found.path, table, &["topics", "name"]);
    let member = |name: &str| table.get(name).map(|value| found.element(&format!(".{name}"), value));
    let (Some(topics), Some(name)) = (member("topics"), member("name")) else {
        return reader.refuse(found, "it has not both `topics` and `name`", "write { topics = \"a.>\", name = \"a\" }");
    };
    let pattern = match topics.text().map(Pattern::new) {
        Some(Ok(pattern)) => Some(pattern),
        Some(Err(refusal)) => reader.refuse(&topics, refusal.message, refusal.hint.unwrap_or_default()),
        None => wrong_type::<_, String>(&topics, reader),
    };
    Some((pattern?, read_name(&name, reader)?))
}

fn read_name(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<EventName> {
    let Some(text) = found.text() else { return wrong_type::<_, String>(found, reader) };
    reader.accept(found, EventName::new(text))
}

impl Setting for Prices {
    const SHAPE: Shape = Shape::Map;

    fn kind() -> String {
        "a table, each NAME = AMOUNT".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let ValueKind::Table(table) = &found.value.kind else { return wrong_type::<_, Self>(found, reader) };
        // Sorted, so that the same file gives the same report.
        let sorted: BTreeMap<&String, &Value> = table.iter().collect();
        let prices = sorted.into_iter().map(|(name, value)| {
            let found = found.element(&format!(".{name}"), value);
            let name = reader.accept(&found, EventName::new(name));
            let Amount(price) = Amount::read(&found, reader)?;
            Some((name?, price))
        });
        let prices: Vec<_> = prices.collect();
        prices.into_iter().collect::<Option<_>>().map(Self)
    }
}

impl Setting for Amount {
    const SHAPE: Shape = Shape::Text;

    fn kind() -> String {
        "US dollars as a text, such as `\"0.0003\"`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        // A number of TOML is a floating-point number, and no amount is.
        let Some(text) = found.text() else { return wrong_type::<_, Self>(found, reader) };
        match text.parse() {
            Ok(amount) => Some(Self(amount)),
            Err(error) => reader.refuse(found, format!("{text:?}: {error}"), format!("it is {}", Self::kind())),
        }
    }
}
