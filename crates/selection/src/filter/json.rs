//! The JSON form of a filter, read strictly: what is not understood is refused, and the refusal names the place.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{Deserialize, de};
use serde_json::value::RawValue;
use smol_str::SmolStr;
use standpipe_protocol::{Refusal, refusal::clip};

use super::{Comparison, Draft, Node, Operator, Test, draft::invalid};
use crate::{
    decimal::Decimal,
    path::Path,
    value::{Scalar, Set},
    wording::{self, list},
};

/// Hints that are given at several places.
const EMPTY_LIST: &str = "it would select nothing, or everything: leave it out";
const HALF: &str = "a `\\u` escape is half of a surrogate pair: write both halves, or the character itself";
const BEYOND: &str = "an exponent is at most 1000000000000000, either way";

/// Reads a whole filter.
pub(crate) fn read(draft: &mut Draft<'_>, text: &str) -> Result<Node, Refusal> {
    let max = draft.bounds.max_filter_bytes;
    if text.len() > max {
        let why = format!("has {} bytes, at most {max} are allowed", text.len());
        return Err(Place::Top.refuse(why, wording::bound("max_filter_bytes")));
    }
    object(draft, text.trim_ascii(), Place::Top, 1)
}

/// Where in the filter. Put into words only for a refusal.
#[derive(Clone, Copy)]
enum Place<'a> {
    Top,
    Name(&'a Place<'a>, &'a str),
    Element(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Name(Place::Top, name) => f.write_str(name),
            Self::Name(outer, name) => write!(f, "{outer}.{name}"),
            Self::Element(outer, number) => write!(f, "{outer}[{number}]"),
        }
    }
}

impl Place<'_> {
    /// A refusal that begins with the place.
    fn refuse(&self, why: impl fmt::Display, hint: impl Into<String>) -> Refusal {
        match self {
            Self::Top => invalid(format!("the filter {why}"), hint),
            _ => invalid(format!("`{}` {why}", clip(&self.to_string())), hint),
        }
    }
}

/// A filter, or one inside another: an object of fields and combiners.
fn object(draft: &mut Draft<'_>, text: &str, place: Place<'_>, depth: usize) -> Result<Node, Refusal> {
    if depth > draft.bounds.depth() {
        let hint = format!(
            "what stands in one object has to hold together, without `and`; {}",
            wording::bound("max_filter_depth")
        );
        return Err(place.refuse(format!("is nested more than {} deep", draft.bounds.depth()), hint));
    }
    if !text.starts_with('{') {
        let hint = "a filter looks like {\"symbol\":\"BTC\",\"price\":{\"gte\":100}}";
        return Err(place.refuse(format!("has to be an object, not {}", kind(text)), hint));
    }
    let mut nodes = Vec::new();
    for (name, raw) in entries(draft, text, place)? {
        let inner = Place::Name(&place, &name);
        nodes.push(match name.as_str() {
            "and" => Node::all(filters(draft, raw.get(), inner, depth)?),
            "or" => Node::any(filters(draft, raw.get(), inner, depth)?),
            "not" => {
                draft.count(1)?;
                Node::Not(Box::new(object(draft, raw.get(), inner, depth + 1)?))
            }
            _ => field(draft, &name, raw.get(), inner)?,
        });
    }
    Ok(Node::all(nodes))
}

/// The list of an `and` or `or`.
fn filters(draft: &mut Draft<'_>, text: &str, place: Place<'_>, depth: usize) -> Result<Vec<Node>, Refusal> {
    draft.count(1)?;
    if !text.starts_with('[') {
        let hint = "it looks like {\"or\":[{\"symbol\":\"BTC\"},{\"price\":{\"gte\":100}}]}";
        return Err(place.refuse(format!("takes a list of filters, not {}", kind(text)), hint));
    }
    let max = draft.bounds.max_filter_nodes;
    let too_many = |TooMany| place.refuse(format!("has more than {max} filters"), wording::bound("max_filter_nodes"));
    let elements = elements(text, max).map_err(too_many)?;
    if elements.is_empty() {
        return Err(place.refuse("is an empty list", EMPTY_LIST));
    }
    let read = |(number, raw): (usize, &RawValue)| object(draft, raw.get(), Place::Element(&place, number), depth + 1);
    elements.into_iter().enumerate().map(read).collect()
}

/// What is asked of one field: a scalar that it equals, or an object of operators.
fn field(draft: &mut Draft<'_>, name: &str, text: &str, place: Place<'_>) -> Result<Node, Refusal> {
    let path = Path::parse(name)?;
    if text.starts_with('[') {
        let hint = format!("for one of several values write {{\"in\":{}}}", clip(text));
        return Err(place.refuse("takes a value or an object of operators, not a list", hint));
    }
    if !text.starts_with('{') {
        draft.count(1)?;
        let set = Set::new(vec![scalar(text, place)?]);
        return Ok(draft.field(path, Test::In(set)));
    }
    let operators = entries(draft, text, place)?;
    if operators.is_empty() {
        return Err(place.refuse("has no operator", format!("operators are {}", list(Operator::names()))));
    }
    let mut nodes = Vec::with_capacity(operators.len());
    for (name, raw) in operators {
        draft.count(1)?;
        let Some(operator) = Operator::named(&name) else { return Err(unknown_operator(&name, place)) };
        let test = test(draft, operator, raw.get(), Place::Name(&place, &name))?;
        nodes.push(draft.field(path.clone(), test));
    }
    Ok(Node::all(nodes))
}

fn unknown_operator(name: &str, place: Place<'_>) -> Refusal {
    let hint = match Operator::meant(name) {
        _ if name == "not" => "`not` stands round a whole filter: {\"not\":{\"price\":{\"gt\":5}}}".to_owned(),
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("operators are {}; a nested field is written `user.name`", list(Operator::names())),
    };
    invalid(format!("unknown operator `{}` at `{}`", clip(name), clip(&place.to_string())), hint)
}

fn test(draft: &Draft<'_>, operator: Operator, text: &str, place: Place<'_>) -> Result<Test, Refusal> {
    let order = |comparison| Ok(Test::Order(comparison, Box::new(bound(text, place)?)));
    match operator {
        Operator::Eq => Ok(Test::In(Set::new(vec![scalar(text, place)?]))),
        Operator::Ne => Ok(Test::NotIn(Set::new(vec![scalar(text, place)?]))),
        Operator::In => Ok(Test::In(set(draft, text, place)?)),
        Operator::Nin => Ok(Test::NotIn(set(draft, text, place)?)),
        Operator::Gt => order(Comparison::Greater),
        Operator::Gte => order(Comparison::GreaterOrEqual),
        Operator::Lt => order(Comparison::Less),
        Operator::Lte => order(Comparison::LessOrEqual),
        Operator::Prefix => Ok(Test::Prefix(part(text, place)?)),
        Operator::Suffix => Ok(Test::Suffix(part(text, place)?)),
        Operator::Contains => Ok(Test::Contains(part(text, place)?)),
        Operator::Exists => match text {
            "true" => Ok(Test::Exists(true)),
            "false" => Ok(Test::Exists(false)),
            _ => {
                let hint = "`true` selects events that have the field, `false` those that do not";
                Err(place.refuse(format!("takes true or false, not {}", kind(text)), hint))
            }
        },
    }
}

/// A value that a field may equal.
fn scalar(text: &str, place: Place<'_>) -> Result<Scalar, Refusal> {
    match text.as_bytes().first() {
        Some(b'"') => Ok(Scalar::Text(SmolStr::new(string(text, place)?))),
        Some(b't') => Ok(Scalar::Bool(true)),
        Some(b'f') => Ok(Scalar::Bool(false)),
        Some(b'n') => Ok(Scalar::Null),
        Some(b'[' | b'{') | None => {
            let hint = "`eq` and `ne` take one value, `in` and `nin` a list; fields inside have paths of their own";
            Err(place.refuse(format!("takes a string, number, boolean or null, not {}", kind(text)), hint))
        }
        Some(_) => Ok(Scalar::number(number(text, place)?)),
    }
}

fn set(draft: &Draft<'_>, text: &str, place: Place<'_>) -> Result<Set, Refusal> {
    if !text.starts_with('[') {
        let hint = format!("for one value write [{}]", clip(text));
        return Err(place.refuse(format!("takes a list of values, not {}", kind(text)), hint));
    }
    let max = draft.bounds.max_set_values;
    let too_many = |TooMany| place.refuse(format!("has more than {max} values"), wording::bound("max_set_values"));
    let elements = elements(text, max).map_err(too_many)?;
    if elements.is_empty() {
        return Err(place.refuse("is an empty list", EMPTY_LIST));
    }
    let read = |(number, raw): (usize, &RawValue)| scalar(raw.get(), Place::Element(&place, number));
    elements.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Set::new)
}

/// The number of `gt`, `gte`, `lt` and `lte`, which may also be written as a string.
fn bound(text: &str, place: Place<'_>) -> Result<Decimal, Refusal> {
    let hint = "ordering is by number: 30240.1 or \"30240.10\"";
    match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => number(text, place),
        Some(b'"') => {
            let string = string(text, place)?;
            let refusal = || place.refuse(format!("takes a number, not `{}`", clip(&string)), hint);
            Decimal::parse(&string).ok_or_else(refusal)
        }
        _ => Err(place.refuse(format!("takes a number, not {}", kind(text)), hint)),
    }
}

fn number(text: &str, place: Place<'_>) -> Result<Decimal, Refusal> {
    let refusal = || place.refuse(format!("has a number beyond all bounds, `{}`", clip(text)), BEYOND);
    Decimal::parse(text).ok_or_else(refusal)
}

/// The text of `prefix`, `suffix` and `contains`.
fn part(text: &str, place: Place<'_>) -> Result<Box<str>, Refusal> {
    if !text.starts_with('"') {
        return Err(place.refuse(format!("takes a string, not {}", kind(text)), "a string stands in quotes: \"BTC-\""));
    }
    Ok(string(text, place)?.into())
}

fn string<'a>(text: &'a str, place: Place<'_>) -> Result<Cow<'a, str>, Refusal> {
    if let Some(plain) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        && !plain.contains('\\')
    {
        return Ok(Cow::Borrowed(plain));
    }
    serde_json::from_str(text).map(Cow::Owned).map_err(|_| place.refuse("has a string that is not Unicode", HALF))
}

/// What a JSON text is, in words.
fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// There is more than is allowed; the rest was not read.
struct TooMany;

/// The elements of a JSON list, not yet taken apart.
fn elements(text: &str, max: usize) -> Result<Vec<&RawValue>, TooMany> {
    struct Visitor(usize);
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = seq.next_element()? {
                if elements.len() == self.0 {
                    return Err(de::Error::custom("too many"));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }
    // Invariant: `text` is one JSON list, so that its length is the only thing that can be wrong.
    de::Deserializer::deserialize_seq(&mut serde_json::Deserializer::from_str(text), Visitor(max)).map_err(|_| TooMany)
}

/// The entries of a JSON object, not yet taken apart, each name once.
fn entries<'a>(draft: &Draft<'_>, text: &'a str, place: Place<'_>) -> Result<Vec<(String, &'a RawValue)>, Refusal> {
    struct Entries<'a>(Vec<(String, &'a RawValue)>);
    impl<'de> Deserialize<'de> for Entries<'de> {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> de::Visitor<'de> for Visitor {
                type Value = Entries<'de>;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut entries = Vec::new();
                    while let Some(entry) = map.next_entry()? {
                        entries.push(entry);
                    }
                    Ok(Entries(entries))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    // The only fault that valid JSON can have here is a name of half a surrogate pair.
    let Entries(entries) =
        serde_json::from_str(text).map_err(|_| place.refuse("has a name that is not Unicode", HALF))?;
    let max = draft.bounds.max_filter_nodes;
    if entries.len() > max {
        return Err(place.refuse(format!("has more than {max} conditions"), wording::bound("max_filter_nodes")));
    }
    let mut names = HashSet::with_capacity(entries.len());
    match entries.iter().find(|(name, _)| !names.insert(name.as_str())) {
        Some((name, _)) => {
            let hint = "a name stands once in an object; two conditions of one name are written {\"and\":[{…},{…}]}";
            Err(Place::Name(&place, name).refuse("stands twice", hint))
        }
        None => Ok(entries),
    }
}
