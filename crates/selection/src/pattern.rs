//! Topic patterns: which topics a subscription is about.

use std::{fmt, str::FromStr, sync::Arc};

use standpipe_protocol::{
    ErrorCode, Refusal, Topic,
    refusal::clip,
    topic::{MAX_TOPIC_BYTES, Scope, escape_token, is_token_char},
};

/// A topic, or a pattern of topics: `*` stands for one token, `>` for one or more and only at the end. Cheap to clone.
///
/// `trades.*` selects `trades.BTC`, not `trades` and not `trades.BTC.spot`; `trades.>` selects the last, too; `>`
/// selects everything. At most [`MAX_TOPIC_BYTES`] bytes.
///
/// It selects topics of one [`Scope`]: of those that all share, unless it was put [`Pattern::within`] another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    scope: Scope,
    text: Arc<str>,
}

impl Pattern {
    /// Checks `text` and makes a pattern of it.
    ///
    /// # Errors
    /// `INVALID_TOPIC`, naming the pattern and what is wrong with it.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            let hint = "`trades.*` selects one level, `>` selects everything";
            return Err(Refusal::new(ErrorCode::InvalidTopic, "a topic pattern is empty").hint(hint));
        }
        if text.len() > MAX_TOPIC_BYTES {
            let why = format!("has {} bytes, at most {MAX_TOPIC_BYTES} are allowed", text.len());
            return Err(refuse(text, &why, "no topic is longer; `>` at the end stands for all further tokens"));
        }
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            match token {
                "" => {
                    let hint = "tokens stand between single dots, as in `trades.BTC`";
                    return Err(refuse(text, "has an empty token", hint));
                }
                ">" if tokens.peek().is_some() => {
                    let hint = "`>` stands for all further tokens; `*` stands for one";
                    return Err(refuse(text, "has `>` before its end", hint));
                }
                ">" | "*" => {}
                _ => check_token(text, token)?,
            }
        }
        Ok(Self::shared(text))
    }

    /// The pattern of every topic, `>`.
    pub fn everything() -> Self {
        Self::shared(">")
    }

    fn shared(text: &str) -> Self {
        Self { scope: Scope::SHARED, text: text.into() }
    }

    /// The pattern of topics of these names in `scope`.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Where it selects topics.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its tokens, in order.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.text.split('.')
    }

    /// Whether it has no wildcards, and so selects one topic.
    pub fn is_exact(&self) -> bool {
        !self.text.contains(['*', '>'])
    }

    /// Whether it selects `topic`.
    pub fn matches(&self, topic: &Topic) -> bool {
        self.scope == topic.scope() && self.matches_name(topic)
    }

    /// Whether it selects topics of this name, in whatever scope.
    pub fn matches_name(&self, topic: &Topic) -> bool {
        let mut found = topic.tokens();
        for token in self.tokens() {
            match (token, found.next()) {
                // Invariant: it is the last token of the pattern.
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (token, Some(found)) if token == found => {}
                _ => return false,
            }
        }
        found.next().is_none()
    }

    /// The pattern, in the scope of `other`, of exactly the names that both select; nothing if there is none.
    ///
    /// There always is one pattern for them, because each token is decided alone and `>` can only stand at the end.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (mut ours, mut theirs) = (self.tokens(), other.tokens());
        let mut common: Vec<&str> = Vec::new();
        loop {
            match (ours.next(), theirs.next()) {
                // Whatever the other one says of the rest, of which there is some.
                (Some(">"), Some(token)) => {
                    common.push(token);
                    common.extend(theirs);
                    break;
                }
                (Some(token), Some(">")) => {
                    common.push(token);
                    common.extend(ours);
                    break;
                }
                (Some("*"), Some(token)) | (Some(token), Some("*")) => common.push(token),
                (Some(token), Some(same)) if token == same => common.push(token),
                (None, None) => break,
                _ => return None,
            }
        }
        let text = common.join(".");
        // A wildcard stands for at least as many bytes as it takes: what is longer than a topic selects none.
        (text.len() <= MAX_TOPIC_BYTES).then(|| Self::shared(&text).within(other.scope))
    }

    /// Whether it selects every name that `other` selects.
    pub fn covers(&self, other: &Self) -> bool {
        self.intersection(other).as_ref() == Some(other)
    }
}

fn check_token(pattern: &str, token: &str) -> Result<(), Refusal> {
    let Some(wrong) = token.chars().find(|c| !is_token_char(*c)) else { return Ok(()) };
    Err(match wrong {
        '*' | '>' => {
            let hint =
                "a wildcard is a whole token; for the beginning of a name filter by `{\"$topic\":{\"prefix\":…}}`";
            refuse(pattern, &format!("has `{wrong}` as a part of the token `{}`", clip(token)), hint)
        }
        ',' => refuse(pattern, "has a comma", "each pattern is a value of its own in the list of topics"),
        _ => {
            let hint = format!("in a topic this character is written `{}`", escape_token(&wrong.to_string()));
            refuse(pattern, &format!("has the character {wrong:?}"), &hint)
        }
    })
}

fn refuse(pattern: &str, why: &str, hint: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidTopic, format!("the topic pattern `{}` {why}", clip(pattern))).hint(hint)
}

impl FromStr for Pattern {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl serde::Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::patterns;

    #[test]
    fn wildcards_stand_for_whole_tokens() {
        for (pattern, selected, others) in [
            ("a", vec!["a"], vec!["b", "a.b"]),
            ("a.b", vec!["a.b"], vec!["a", "a.c", "a.b.c"]),
            ("*", vec!["a", "b"], vec!["a.b"]),
            ("a.*", vec!["a.b", "a.c"], vec!["a", "b.b", "a.b.c"]),
            ("*.b", vec!["a.b", "b.b"], vec!["b", "a.c", "a.b.b"]),
            ("a.*.c", vec!["a.b.c"], vec!["a.c", "a.b.d"]),
            ("a.>", vec!["a.b", "a.b.c"], vec!["a", "b.a"]),
            ("*.>", vec!["a.b", "a.b.c"], vec!["a"]),
            (">", vec!["a", "a.b", "a.b.c"], vec![]),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(selected.iter().all(|topic| pattern.matches(&Topic::new(topic).unwrap())), "{pattern}");
            assert!(!others.iter().any(|topic| pattern.matches(&Topic::new(topic).unwrap())), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_refused(text in ".{0,300}") {
            let _ = Pattern::new(&text);
        }

        #[test]
        fn every_topic_is_its_own_exact_pattern(text in "[a-c~/]{1,3}(\\.[a-c]{1,2}){0,4}") {
            let (pattern, topic) = (Pattern::new(&text).unwrap(), Topic::new(&text).unwrap());
            prop_assert!(pattern.is_exact() && pattern.matches(&topic));
        }
    }

    #[test]
    fn two_patterns_have_one_pattern_in_common_or_nothing() {
        for (one, other, common) in [
            ("a", "a", Some("a")),
            ("a", "b", None),
            ("*", ">", Some("*")),
            ("a.*", "*.b", Some("a.b")),
            ("a.>", "a", None),
            ("a.>", "*.*", Some("a.*")),
            ("a.>", "*.b.>", Some("a.b.>")),
            ("a.>", "*.>", Some("a.>")),
            ("a.*.>", "a.b", None),
            (">", "*.>", Some("*.>")),
        ] {
            let (one, other) = (Pattern::new(one).unwrap(), Pattern::new(other).unwrap());
            let common = common.map(|text| Pattern::new(text).unwrap());
            assert_eq!(one.intersection(&other), common, "{one} and {other}");
            assert_eq!(other.intersection(&one), common, "{other} and {one}");
        }
        let long = |text: &str| Pattern::new(&text.replace('x', &"x".repeat(200))).unwrap();
        assert_eq!(long("x.*").intersection(&long("*.x")), None, "no topic is as long");
    }

    /// All topics of up to four tokens of `a`, `b`, `c`, and a token that no pattern here names.
    fn all_topics() -> Vec<Topic> {
        let mut texts = vec![String::new()];
        let mut all = Vec::new();
        for _ in 0..4 {
            let longer = |text: &String| ["a", "b", "c", "z"].map(|token| format!("{text}.{token}"));
            texts = texts.iter().flat_map(longer).collect();
            all.extend(texts.iter().map(|text| Topic::new(text.trim_start_matches('.')).unwrap()));
        }
        all
    }

    proptest! {
        #[test]
        fn what_two_patterns_have_in_common_is_what_both_select(one in patterns(), other in patterns()) {
            let (one, other) = (Pattern::new(&one).unwrap(), Pattern::new(&other).unwrap());
            let common = one.intersection(&other);
            let (mut is_covered, mut is_any) = (true, false);
            for topic in all_topics() {
                let both = one.matches(&topic) && other.matches(&topic);
                prop_assert_eq!(common.as_ref().is_some_and(|common| common.matches(&topic)), both, "{}", topic);
                is_covered &= one.matches(&topic) || !other.matches(&topic);
                is_any |= both;
            }
            prop_assert_eq!(common.is_some(), is_any);
            prop_assert_eq!(one.covers(&other), is_covered, "{} covers {}", one, other);
        }
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        let long = "x".repeat(256);
        let told: Vec<String> = ["", "a..b", ".a", "a.>.b", "a.b*", "a>", "a,b", "a b", "a.\n", &long]
            .into_iter()
            .map(|text| {
                let refusal = Pattern::new(text).unwrap_err();
                assert_eq!(refusal.code, ErrorCode::InvalidTopic);
                format!("{} [{}]", refusal.message, refusal.hint.unwrap_or_default())
            })
            .collect();
        expect![[r#"
            a topic pattern is empty [`trades.*` selects one level, `>` selects everything]
            the topic pattern `a..b` has an empty token [tokens stand between single dots, as in `trades.BTC`]
            the topic pattern `.a` has an empty token [tokens stand between single dots, as in `trades.BTC`]
            the topic pattern `a.>.b` has `>` before its end [`>` stands for all further tokens; `*` stands for one]
            the topic pattern `a.b*` has `*` as a part of the token `b*` [a wildcard is a whole token; for the beginning of a name filter by `{"$topic":{"prefix":…}}`]
            the topic pattern `a>` has `>` as a part of the token `a>` [a wildcard is a whole token; for the beginning of a name filter by `{"$topic":{"prefix":…}}`]
            the topic pattern `a,b` has a comma [each pattern is a value of its own in the list of topics]
            the topic pattern `a b` has the character ' ' [in a topic this character is written `~20`]
            the topic pattern `a.\n` has the character '\n' [in a topic this character is written `~0A`]
            the topic pattern `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` has 256 bytes, at most 255 are allowed [no topic is longer; `>` at the end stands for all further tokens]"#]].assert_eq(&told.join("\n"));
    }
}
