//! The names of the operators, and what those who write them otherwise may have meant.

use standpipe_protocol::refusal::did_you_mean;

/// What may be asked of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    In,
    Nin,
    Gt,
    Gte,
    Lt,
    Lte,
    Prefix,
    Suffix,
    Contains,
    Exists,
}

/// Every operator by its name, in the order of the documentation.
const NAMES: [(&str, Operator); 12] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("in", Operator::In),
    ("nin", Operator::Nin),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("prefix", Operator::Prefix),
    ("suffix", Operator::Suffix),
    ("contains", Operator::Contains),
    ("exists", Operator::Exists),
];

/// What other systems call them, in lower case.
const FOREIGN: [(&str, &str); 27] = [
    ("=", "eq"),
    ("==", "eq"),
    ("equals", "eq"),
    ("!=", "ne"),
    ("<>", "ne"),
    ("neq", "ne"),
    ("any", "in"),
    ("oneof", "in"),
    ("one_of", "in"),
    ("notin", "nin"),
    ("not_in", "nin"),
    (">", "gt"),
    (">=", "gte"),
    ("ge", "gte"),
    ("<", "lt"),
    ("<=", "lte"),
    ("le", "lte"),
    ("sw", "prefix"),
    ("startswith", "prefix"),
    ("starts_with", "prefix"),
    ("ew", "suffix"),
    ("endswith", "suffix"),
    ("ends_with", "suffix"),
    ("ct", "contains"),
    ("includes", "contains"),
    ("like", "contains"),
    ("ex", "exists"),
];

impl Operator {
    /// The operator of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
    }

    /// All names, in the order of the documentation.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The operator that `word` was most likely meant to be, where an operator must stand.
    pub(crate) fn meant(word: &str) -> Option<&'static str> {
        mistaken(word).or_else(|| did_you_mean(word, Self::names().filter(|name| name.get(..1) == word.get(..1))))
    }

    /// The operator that `word` was most likely meant to be, where it could as well be the name of a field: so a field
    /// that only resembles one of the short operators, as `new` does `ne`, is left alone.
    pub(crate) fn surely_meant(word: &str) -> Option<&'static str> {
        mistaken(word).or_else(|| did_you_mean(word, Self::names().filter(|name| name.len() > 3)))
    }
}

/// Another system's name, another case, or a letter typed twice.
fn mistaken(word: &str) -> Option<&'static str> {
    let word = word.trim_start_matches('$').to_ascii_lowercase();
    let foreign = FOREIGN.iter().find(|(name, _)| *name == word).map(|(_, meant)| *meant);
    let mut letters: Vec<char> = word.chars().collect();
    letters.dedup();
    let once: String = letters.into_iter().collect();
    foreign.or_else(|| Operator::names().find(|name| *name == word || *name == once))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_finds_its_operator() {
        for (word, meant) in [
            ("gtt", Some("gt")),
            ("GTE", Some("gte")),
            ("$gte", Some("gte")),
            ("$in", Some("in")),
            ("neq", Some("ne")),
            (">=", Some("gte")),
            ("startsWith", Some("prefix")),
            ("sufix", Some("suffix")),
            ("exist", Some("exists")),
            ("prefx", Some("prefix")),
            ("min", None),
            ("regex", None),
            ("", None),
        ] {
            assert_eq!(Operator::meant(word), meant, "{word}");
        }
    }

    #[test]
    fn a_field_that_resembles_an_operator_is_left_alone() {
        for name in ["new", "min", "net", "get", "let", "int", "pin", "note", "price", "url", "id"] {
            assert_eq!(Operator::surely_meant(name), None, "{name}");
        }
        for word in ["gtt", "Gte", "prefx", "contain", "neq"] {
            assert!(Operator::surely_meant(word).is_some(), "{word}");
        }
    }
}
