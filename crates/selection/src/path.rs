//! Field paths: how a filter says which part of an event it is about.
//!
//! A path is names between dots, from the payload inwards: `price`, `user.name`. A leading `data.` names the payload
//! and may be left out; `data` alone is the payload as a whole, and `data.data` its field called `data`. `$topic`,
//! `$key`, `$id`, `$ts` and `$source` reach the envelope; a payload field called `$topic` is `data.$topic`. A dot that
//! belongs to a name is written `\.`, a backslash `\\`. Names that are empty cannot be reached.

use std::fmt;

use smallvec::SmallVec;
use smol_str::{SmolStr, ToSmolStr};
use standpipe_protocol::{
    Refusal,
    refusal::{clip, did_you_mean},
};

use crate::{filter::invalid, wording::list};

/// The longest path, in bytes as written.
pub const MAX_PATH_BYTES: usize = 255;

/// The most names in one path.
pub const MAX_PATH_STEPS: usize = 16;

/// The words that combine filters, and so cannot begin a path.
pub(crate) const COMBINERS: [&str; 3] = ["and", "or", "not"];

/// Which part of an event is meant: the shortest text that says it, since filters keep their paths.
///
/// Invariant: it reads as the [`Target`] that it was written from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Path(SmolStr);

/// A path, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A field beside the payload.
    Envelope(Envelope),
    /// Names from the payload inwards; none for the payload itself.
    Data(Steps),
}

/// Most paths are one short name, which takes no allocation.
pub(crate) type Steps = SmallVec<[SmolStr; 1]>;

/// The fields beside the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Envelope {
    Topic,
    Key,
    Id,
    Ts,
    Source,
}

impl Envelope {
    pub(crate) const ALL: [Self; 5] = [Self::Topic, Self::Key, Self::Id, Self::Ts, Self::Source];

    fn name(self) -> &'static str {
        match self {
            Self::Topic => "$topic",
            Self::Key => "$key",
            Self::Id => "$id",
            Self::Ts => "$ts",
            Self::Source => "$source",
        }
    }
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// `INVALID_FILTER`, naming the path and what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        Target::parse(text).map(|target| Self(target.to_smolstr()))
    }

    /// The same, taken apart.
    pub(crate) fn target(&self) -> Target {
        Target::parse(&self.0).unwrap_or_else(|_| Target::Data(Steps::new()))
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_PATH_BYTES {
            let why = format!("has {} bytes, at most {MAX_PATH_BYTES} are allowed", text.len());
            return Err(refuse(text, &why, "the mapping of the source can give the field a shorter name"));
        }
        if text.starts_with('$') {
            return envelope(text).map(Self::Envelope);
        }
        let mut steps = steps(text)?;
        if steps.len() > MAX_PATH_STEPS {
            let why = format!("has {} names, at most {MAX_PATH_STEPS} are allowed", steps.len());
            return Err(refuse(text, &why, "the mapping of the source can put the field nearer to the top"));
        }
        if steps.first().is_some_and(|first| first == "data") {
            steps.remove(0);
        }
        Ok(Self::Data(steps))
    }
}

/// The place of the last dot that is not escaped.
pub(crate) fn last_dot(text: &str) -> Option<usize> {
    let is_dot = |at: &usize| text.get(..*at).is_some_and(|before| backslashes_at_end(before).is_multiple_of(2));
    text.match_indices('.').map(|(at, _)| at).rev().find(is_dot)
}

fn backslashes_at_end(text: &str) -> usize {
    text.bytes().rev().take_while(|b| *b == b'\\').count()
}

fn steps(text: &str) -> Result<Steps, Refusal> {
    if !text.contains('\\') && text.split('.').all(|name| !name.is_empty()) {
        return Ok(text.split('.').map(SmolStr::new).collect());
    }
    let mut steps = Steps::new();
    let mut step = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next() {
            Some('\\') => {
                let Some(c @ ('.' | '\\')) = rest.next() else {
                    let hint = "`\\.` is a dot in a name, `\\\\` a backslash";
                    return Err(refuse(text, "has a backslash that escapes nothing", hint));
                };
                step.push(c);
            }
            Some(c) if c != '.' => step.push(c),
            end_of_step => {
                if step.is_empty() {
                    let hint = "names stand between single dots, as in `user.name`";
                    return Err(refuse(text, "has an empty name", hint));
                }
                steps.push(SmolStr::new(&step));
                step.clear();
                if end_of_step.is_none() {
                    return Ok(steps);
                }
            }
        }
    }
}

fn envelope(text: &str) -> Result<Envelope, Refusal> {
    let names = Envelope::ALL.map(Envelope::name);
    if let Some(field) = Envelope::ALL.into_iter().find(|field| field.name() == text) {
        return Ok(field);
    }
    let shown = clip(text);
    let hint = match did_you_mean(text, names.into_iter().chain(COMBINERS)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the envelope has {}; a payload field of that name is `data.{shown}`", list(names)),
    };
    Err(invalid(format!("there is no envelope field `{shown}`"), hint))
}

fn refuse(path: &str, why: &str, hint: &str) -> Refusal {
    invalid(format!("the field path `{}` {why}", clip(path)), hint)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As it can be read again.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = match self {
            Self::Envelope(field) => return f.write_str(field.name()),
            Self::Data(steps) => steps,
        };
        let Some(first) = steps.first() else { return f.write_str("data") };
        if first == "data" || first.starts_with('$') || COMBINERS.contains(&first.as_str()) {
            f.write_str("data.")?;
        }
        for (i, step) in steps.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            f.write_str(&step.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    fn steps_of(text: &str) -> Vec<String> {
        match Path::parse(text).unwrap().target() {
            Target::Data(steps) => steps.iter().map(ToString::to_string).collect(),
            Target::Envelope(field) => vec![format!("{field:?}")],
        }
    }

    #[test]
    fn names_stand_between_dots() {
        for (text, steps) in [
            ("price", vec!["price"]),
            ("user.name", vec!["user", "name"]),
            ("data.px", vec!["px"]),
            ("data", vec![]),
            ("data.data", vec!["data"]),
            ("data.$topic", vec!["$topic"]),
            ("data.and", vec!["and"]),
            ("a\\.b.c\\\\d", vec!["a.b", "c\\d"]),
            ("__proto__.constructor", vec!["__proto__", "constructor"]),
            ("$ts", vec!["Ts"]),
            ("日本.x y", vec!["日本", "x y"]),
        ] {
            assert_eq!(steps_of(text), steps, "{text}");
        }
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        let long = "x".repeat(256);
        let deep = ["x"; 17].join(".");
        let told: Vec<String> =
            ["", "a..b", ".a", "a.", "a\\b", "a\\", "$topics", "$and", "$price", "$topic.x", &long, &deep]
                .into_iter()
                .map(|text| {
                    let refusal = Path::parse(text).unwrap_err();
                    format!("{} [{}]", refusal.message, refusal.hint.unwrap_or_default())
                })
                .collect();
        expect![[r"
            the field path `` has an empty name [names stand between single dots, as in `user.name`]
            the field path `a..b` has an empty name [names stand between single dots, as in `user.name`]
            the field path `.a` has an empty name [names stand between single dots, as in `user.name`]
            the field path `a.` has an empty name [names stand between single dots, as in `user.name`]
            the field path `a\b` has a backslash that escapes nothing [`\.` is a dot in a name, `\\` a backslash]
            the field path `a\` has a backslash that escapes nothing [`\.` is a dot in a name, `\\` a backslash]
            there is no envelope field `$topics` [did you mean `$topic`?]
            there is no envelope field `$and` [did you mean `and`?]
            there is no envelope field `$price` [the envelope has `$topic`, `$key`, `$id`, `$ts`, `$source`; a payload field of that name is `data.$price`]
            there is no envelope field `$topic.x` [did you mean `$topic`?]
            the field path `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…` has 256 bytes, at most 255 are allowed [the mapping of the source can give the field a shorter name]
            the field path `x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x` has 17 names, at most 16 are allowed [the mapping of the source can put the field nearer to the top]"]].assert_eq(&told.join("\n"));
    }

    #[test]
    fn an_escaped_dot_separates_nothing() {
        assert_eq!(last_dot("a.b.c"), Some(3));
        assert_eq!(last_dot("a.b\\.c"), Some(1));
        assert_eq!(last_dot("a\\\\.c"), Some(3));
        assert_eq!(last_dot("a\\.c"), None);
    }

    proptest! {
        #[test]
        fn a_shown_path_reads_as_the_same_path(names in proptest::collection::vec("[a.\\\\$]{1,4}|data|and|[^.]{1,3}", 0..5)) {
            let target = Target::Data(names.into_iter().map(SmolStr::from).collect());
            let path = Path::parse(&target.to_string()).unwrap();
            prop_assert_eq!(path.to_string(), target.to_string());
            prop_assert_eq!(path.target(), target);
        }

        #[test]
        fn any_text_is_a_path_or_refused(text in "[a.$\\\\]{0,20}|.{0,300}") {
            let _ = last_dot(&text);
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Target::parse(&text), Ok(path.target()));
            }
        }
    }
}
