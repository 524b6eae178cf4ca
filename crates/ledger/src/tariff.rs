//! What a confirmed delivery is called where it is charged, and what it costs.
//!
//! The topics that a rule is about are somebody else's to recognize: a rule holds a function. An event's [`Class`] is found
//! once, when it gets its place in the log, and not once for each client.

use std::{fmt, sync::Arc};

use standpipe_protocol::{Class, Topic};

use crate::Usd;

/// What is charged for, by the name under which it has a price. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(Arc<str>);

/// Why a text is not the name of something that can be charged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or with characters that no name has.
    #[error("a name has 1 to {MAX_NAME} printable characters and no space, `{0}` is not one")]
    Malformed(String),
    /// The platform charges for these itself (`cannot-charge-apify-event`).
    #[error("names that begin with `apify-` belong to the platform, `{0}` does")]
    Reserved(String),
}

const MAX_NAME: usize = 100;

impl EventName {
    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    /// If it is no name, or one that the platform keeps for itself.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(NameError::Malformed(text.chars().take(MAX_NAME).collect()));
        }
        if text.starts_with("apify-") {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for EventName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for EventName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Tells whether a topic is one that a rule is about.
pub type Selector = Box<dyn Fn(&Topic) -> bool + Send + Sync>;

/// Events whose topic `selects` are charged as `event`.
pub struct Rule {
    /// Which topics.
    pub selects: Selector,
    /// As what.
    pub event: EventName,
}

/// One thing that is charged for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// Its name.
    pub name: EventName,
    /// What one of it costs, if that is known.
    pub price: Option<Usd>,
}

/// The rules, in order: the first that selects a topic says what its events are charged as.
pub struct Tariff {
    rules: Vec<(Selector, Class)>,
    names: Vec<Priced>,
}

/// More different names than this have no place in a [`Class`].
pub const MAX_NAMES: usize = 32;

impl Tariff {
    /// A tariff of `rules`, with the prices that `price` knows.
    ///
    /// # Errors
    /// The number of names, if there are more than [`MAX_NAMES`].
    pub fn new(rules: Vec<Rule>, price: impl Fn(&EventName) -> Option<Usd>) -> Result<Self, usize> {
        let mut tariff = Self { rules: Vec::new(), names: Vec::new() };
        for Rule { selects, event } in rules {
            let known = tariff.names.iter().position(|priced| priced.name == event);
            let place = known.unwrap_or_else(|| {
                tariff.names.push(Priced { price: price(&event), name: event });
                tariff.names.len() - 1
            });
            let class = u8::try_from(place).ok().filter(|class| usize::from(*class) < MAX_NAMES);
            tariff.rules.push((selects, Class(class.ok_or(place + 1)?)));
        }
        Ok(tariff)
    }

    /// What an event of `topic` is charged as; nothing if no rule is about it.
    pub fn class(&self, topic: &Topic) -> Option<Class> {
        self.rules.iter().find(|(selects, _)| selects(topic)).map(|(_, class)| *class)
    }

    /// All names, in the order of their classes.
    pub fn names(&self) -> &[Priced] {
        &self.names
    }
}

impl fmt::Debug for Tariff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tariff").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(prefix: &'static str, name: &str) -> Rule {
        Rule {
            selects: Box::new(move |topic| topic.as_str().starts_with(prefix)),
            event: EventName::new(name).unwrap(),
        }
    }

    #[test]
    fn the_first_rule_that_selects_a_topic_names_its_events() {
        let rules = vec![rule("trades.btc", "premium"), rule("trades", "trade"), rule("news", "trade")];
        let tariff = Tariff::new(rules, |name| (name.as_str() == "trade").then_some("0.1".parse().unwrap())).unwrap();
        let class = |topic: &str| tariff.class(&Topic::new(topic).unwrap()).map(Class::index);
        assert_eq!([class("trades.btc"), class("trades.eth"), class("news.x")], [Some(0), Some(1), Some(1)]);
        assert_eq!(class("other"), None, "what no rule is about is not charged");
        assert_eq!(tariff.names().iter().filter(|priced| priced.price.is_some()).count(), 1);
    }

    #[test]
    fn names_of_the_platform_and_texts_that_are_no_names_are_refused() {
        for bad in ["", "a b", "naïve", "apify-actor-start", &"x".repeat(101)] {
            assert!(EventName::new(bad).is_err(), "{bad}");
        }
        assert!(EventName::new("event-delivered").is_ok());
    }
}
