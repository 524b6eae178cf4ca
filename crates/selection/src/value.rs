//! What a field of an event is, and what a filter compares it with.

use std::{borrow::Cow, cmp::Ordering, fmt};

use smol_str::SmolStr;

use crate::decimal::Decimal;

/// One value found in an event.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Decimal),
    Text {
        text: Cow<'a, str>,
        /// What it is worth, if it is written like a number.
        number: Option<Decimal>,
    },
    /// An object or a list as such, a number beyond all bounds, a string that is not Unicode. It is there, and equals
    /// nothing that a filter can name.
    Other,
}

/// One value in a filter. Ordered by kind first, then by value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(Box<Decimal>),
    Text(SmolStr),
}

impl<'a> Value<'a> {
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let number = Decimal::parse(&text);
        Self::Text { text, number }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Its place in the order of numbers: that of a number, and of a text that is written like one.
    pub(crate) fn as_number(&self) -> Option<&Decimal> {
        match self {
            Self::Number(number) | Self::Text { number: Some(number), .. } => Some(number),
            _ => None,
        }
    }
}

impl Scalar {
    pub(crate) fn number(number: Decimal) -> Self {
        Self::Number(Box::new(number))
    }

    /// Its place relative to `value` in the order of scalars. `None` for a value that equals no scalar.
    fn compare(&self, value: &Value<'_>) -> Option<Ordering> {
        let rank = match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Number(_) => 2,
            Value::Text { .. } => 3,
            Value::Other => return None,
        };
        Some(match (self, value) {
            (Self::Bool(own), Value::Bool(other)) => own.cmp(other),
            (Self::Number(own), Value::Number(other)) => (**own).cmp(other),
            (Self::Text(own), Value::Text { text, .. }) => own.as_str().cmp(text),
            _ => self.rank().cmp(&rank),
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

/// As JSON.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(&quoted(text)),
        }
    }
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A set of values, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set(Box<[Scalar]>);

impl Set {
    pub(crate) fn new(mut values: Vec<Scalar>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self(values.into())
    }

    pub(crate) fn values(&self) -> &[Scalar] {
        &self.0
    }

    /// Whether `value` is one of them: typed, numbers by value.
    pub(crate) fn has(&self, value: &Value<'_>) -> bool {
        match &*self.0 {
            [only] => only.compare(value) == Some(Ordering::Equal),
            values => {
                !matches!(value, Value::Other)
                    && values.binary_search_by(|own| own.compare(value).unwrap_or(Ordering::Less)).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_typed_and_compares_numbers_by_value() {
        let number = |text| Decimal::parse(text).unwrap();
        let scalars = vec![
            Scalar::Text("1".into()),
            Scalar::number(number("2.50")),
            Scalar::Null,
            Scalar::Bool(false),
            Scalar::number(number("2.5")),
        ];
        let set = Set::new(scalars);
        assert_eq!(set.values().len(), 4);
        for (value, is_in) in [
            (Value::text("1"), true),
            (Value::Number(number("1")), false),
            (Value::Number(number("25e-1")), true),
            (Value::text("2.5"), false),
            (Value::Null, true),
            (Value::Bool(false), true),
            (Value::Bool(true), false),
            (Value::Other, false),
        ] {
            assert_eq!(set.has(&value), is_in, "{value:?}");
        }
    }
}
