//! The name under which an event is published: dot-separated tokens, no wildcards.

use std::{cmp::Ordering, fmt, num::NonZeroU32, sync::Arc};

use ahash::AHashSet;

/// The longest topic or topic pattern, in bytes.
pub const MAX_TOPIC_BYTES: usize = 255;

/// The name of a stream of events, such as `trades.XBT/USD`. Cheap to clone.
///
/// Dot-separated tokens, none of them empty, at most [`MAX_TOPIC_BYTES`] bytes. A token holds any character but the
/// separator `.`, the wildcards `*` and `>`, the list separator `,`, white space and control characters;
/// [`escape_token`] makes a token of any text.
///
/// The same name means another topic in each [`Scope`]. Equality and order regard both; what is written is the name alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    scope: Scope,
    name: Arc<str>,
}

/// By scope, then by name.
impl Ord for Topic {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most that are compared are the same, and share their name: see [`Topics`].
        let name = || if Arc::ptr_eq(&self.name, &other.name) { Ordering::Equal } else { self.name.cmp(&other.name) };
        self.scope.cmp(&other.scope).then_with(name)
    }
}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How many topics are known by name at most; beyond that, it begins anew.
const MAX_TOPICS: usize = 4096;

/// Topics that have been named lately, so that those of the same name share it.
#[derive(Debug, Default)]
pub struct Topics(AHashSet<Arc<str>>);

impl Topics {
    /// The topic of this name that all share.
    ///
    /// # Errors
    /// As of [`Topic::new`].
    pub fn get(&mut self, text: &str) -> Result<Topic, TopicError> {
        if let Some(name) = self.0.get(text) {
            return Ok(Topic { scope: Scope::SHARED, name: Arc::clone(name) });
        }
        let topic = Topic::new(text)?;
        if self.0.len() >= MAX_TOPICS {
            self.0.clear();
        }
        self.0.insert(Arc::clone(&topic.name));
        Ok(topic)
    }
}

/// Where the name of a topic means something: among the topics that all share, or among those of one instance of a
/// demand-driven source. It is known on this side alone; nothing on the wire tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Scope(u32);

impl Scope {
    /// That of all topics but those of instances.
    pub const SHARED: Self = Self(0);

    /// That of the `number`th instance of this process.
    pub fn instance(number: NonZeroU32) -> Self {
        Self(number.get())
    }
}

/// Why a text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Longer than [`MAX_TOPIC_BYTES`]; the number is the length found.
    #[error("a topic has at most {MAX_TOPIC_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Nothing before, between or behind the dots.
    #[error("a topic has no empty tokens, `{0}` has one")]
    EmptyToken(String),
    /// A character that no token may hold.
    #[error("a topic token has no {found:?}, `{topic}` has one")]
    Character {
        /// The character.
        found: char,
        /// The text that holds it.
        topic: String,
    },
}

impl Topic {
    /// Checks `text` and makes a topic of it.
    pub fn new(text: &str) -> Result<Self, TopicError> {
        if text.len() > MAX_TOPIC_BYTES {
            return Err(TopicError::TooLong(text.len()));
        }
        for token in text.split('.') {
            if token.is_empty() {
                return Err(TopicError::EmptyToken(text.to_owned()));
            }
            if let Some(found) = token.chars().find(|c| !is_token_char(*c)) {
                return Err(TopicError::Character { found, topic: text.to_owned() });
            }
        }
        Ok(Self { scope: Scope::SHARED, name: text.into() })
    }

    /// The topic of this name in `scope`.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Where its name means something.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Its tokens, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.name.split('.')
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl serde::Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

/// Whether `c` may stand in a topic token as it is.
pub fn is_token_char(c: char) -> bool {
    !matches!(c, '.' | '*' | '>' | ',') && !c.is_whitespace() && !c.is_control()
}

/// What a byte that cannot stand in a token becomes has so many.
const ESCAPED: usize = 3;

/// Makes one token of any text, different texts giving different tokens.
///
/// Characters that no token may hold, and `~` itself, become `~` and two upper-case hexadecimal digits for each of
/// their UTF-8 bytes; the empty text becomes `~`. (`~` needs no escape in a URL, which `%` would.)
pub fn escape_token(text: &str) -> String {
    if text.is_empty() {
        return "~".to_owned();
    }
    let mut token = String::with_capacity(ESCAPED * text.len());
    let mut utf8 = [0; 4];
    for c in text.chars() {
        if c != '~' && is_token_char(c) {
            token.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut utf8).bytes() {
            token.push('~');
            for digit in [byte >> 4, byte & 15] {
                token.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_of_one_name_share_it_and_are_forgotten_when_there_are_too_many() {
        let mut topics = Topics::default();
        let (one, other) = (topics.get("a.b").unwrap(), topics.get("a.b").unwrap());
        assert!(Arc::ptr_eq(&one.name, &other.name));
        assert_eq!(one, Topic::new("a.b").unwrap());
        assert!(topics.get("a b").is_err());
        for n in 0..MAX_TOPICS {
            topics.get(&format!("t.{n}")).unwrap();
        }
        assert!(topics.0.len() <= MAX_TOPICS);
        let again = topics.get("a.b").unwrap();
        assert!(!Arc::ptr_eq(&one.name, &again.name));
        assert_eq!((one.cmp(&again), &one), (Ordering::Equal, &again));
        let instance = NonZeroU32::new(1).unwrap();
        assert!(one < one.clone().within(Scope::instance(instance)) && one < topics.get("a.c").unwrap());
    }

    #[test]
    fn topics_are_tokens_between_dots() {
        for good in ["a", "trades.XBT/USD", "a.b.c", "tweets.élan", "a.~2E"] {
            assert_eq!(Topic::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", "a.>", "a b", "a,b", "a\n", &"x".repeat(256)] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn escaping_keeps_what_needs_no_escape() {
        assert_eq!(escape_token("XBT/USD"), "XBT/USD");
        assert_eq!(escape_token("a.b *>,~"), "a~2Eb~20~2A~3E~2C~7E");
        assert_eq!(escape_token(""), "~");
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_one_token_and_its_own(a in ".{0,30}", b in ".{0,30}") {
            let token = escape_token(&a);
            prop_assert!(token.len() > MAX_TOPIC_BYTES || Topic::new(&token).unwrap().tokens().count() == 1);
            prop_assert_eq!(a == b, token == escape_token(&b));
        }
    }
}
