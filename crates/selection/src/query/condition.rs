//! One condition in a URL: `where.<field>[.<operator>]=value[,value…]`.
//!
//! A URL has no types. So a value equals a string that is written so, a number of the same value, and the literal
//! `true`, `false` or `null` of that name: `where.a=1` is the JSON filter `{"a":{"in":["1",1]}}`.

use standpipe_protocol::{Refusal, refusal::clip};

use super::decode;
use crate::{
    decimal::Decimal,
    filter::{Comparison, Draft, Node, Operator, Test, invalid},
    path::{Path, last_dot},
    value::{Scalar, Set},
    wording::bound,
};

/// Reads a condition; `name` is what stands behind `where.`, decoded, and `raw` the value as it stands in the URL.
pub(super) fn read(draft: &mut Draft<'_>, name: &str, raw: &str) -> Result<Node, Refusal> {
    draft.count(1)?;
    let (field, operator) = split(name)?;
    let path = Path::parse(field)?;
    let values = Values::read(draft, name, raw)?;
    let order = |comparison| Ok::<_, Refusal>(Test::Order(comparison, Box::new(values.number()?)));
    let test = match operator {
        Operator::Eq | Operator::In => Test::In(values.set()),
        Operator::Ne | Operator::Nin => Test::NotIn(values.set()),
        Operator::Gt => order(Comparison::Greater)?,
        Operator::Gte => order(Comparison::GreaterOrEqual)?,
        Operator::Lt => order(Comparison::Less)?,
        Operator::Lte => order(Comparison::LessOrEqual)?,
        Operator::Prefix => Test::Prefix(values.single()?.into()),
        Operator::Suffix => Test::Suffix(values.single()?.into()),
        Operator::Contains => Test::Contains(values.single()?.into()),
        Operator::Exists => match values.single()? {
            "true" | "1" => Test::Exists(true),
            "false" | "0" => Test::Exists(false),
            other => {
                return Err(values.refuse(&format!("is `{}`", clip(other)), "`true` or `false`"));
            }
        },
    };
    Ok(draft.field(path, test))
}

/// The field, and the operator if the last name is one.
fn split(name: &str) -> Result<(&str, Operator), Refusal> {
    let last = last_dot(name).map_or(name, |dot| name.get(dot + 1..).unwrap_or_default());
    let field = last_dot(name).and_then(|dot| name.get(..dot));
    match (field, Operator::named(last)) {
        (Some(field), Some(operator)) => Ok((field, operator)),
        (None, Some(_)) => {
            let hint = format!("write `where.<field>.{last}=…`, or `where.{last}.eq=…` for a field called `{last}`");
            Err(refuse(name, "has an operator, but no field", &hint))
        }
        (Some(field), None) => match Operator::surely_meant(last) {
            Some(meant) => {
                let (field, shown) = (clip(field), clip(name));
                let hint =
                    format!("did you mean `where.{field}.{meant}`? for a field called so write `where.{shown}.eq`");
                Err(refuse(name, &format!("ends with `{}`, which is no operator", clip(last)), &hint))
            }
            None => Ok((name, Operator::Eq)),
        },
        (None, None) => Ok((name, Operator::Eq)),
    }
}

/// The values of one condition, decoded; at least one.
struct Values<'n> {
    name: &'n str,
    texts: Vec<String>,
}

impl<'n> Values<'n> {
    fn read(draft: &Draft<'_>, name: &'n str, raw: &str) -> Result<Self, Refusal> {
        let mut values = Self { name, texts: Vec::new() };
        let (max, max_bytes) = (draft.bounds.max_set_values, draft.bounds.max_filter_bytes);
        if raw.len() > max_bytes {
            let why = format!("has {} bytes, at most {max_bytes} are allowed", raw.len());
            return Err(values.refuse(&why, &bound("max_filter_bytes")));
        }
        if raw.split(',').nth(max).is_some() {
            return Err(values.refuse(&format!("has more than {max} values"), &bound("max_set_values")));
        }
        // Split first and decoded then: an escaped comma is a part of its value.
        for part in raw.split(',') {
            values.texts.push(decode(part, || format!("the parameter `where.{}`", clip(name)))?);
        }
        Ok(values)
    }

    fn single(&self) -> Result<&str, Refusal> {
        match &*self.texts {
            [only] => Ok(only),
            several => {
                let why = format!("has {} values, its operator takes one", several.len());
                Err(self.refuse(&why, "a comma in the value is written `%2C`"))
            }
        }
    }

    fn number(&self) -> Result<Decimal, Refusal> {
        let text = self.single()?;
        let why = || format!("is `{}`, which is not a number", clip(text));
        Decimal::parse(text).ok_or_else(|| self.refuse(&why(), "ordering is by number, such as 30240.1"))
    }

    fn set(&self) -> Set {
        Set::new(self.texts.iter().flat_map(|text| readings(text)).collect())
    }

    fn refuse(&self, why: &str, hint: &str) -> Refusal {
        refuse(self.name, why, hint)
    }
}

fn refuse(name: &str, why: &str, hint: &str) -> Refusal {
    invalid(format!("the parameter `where.{}` {why}", clip(name)), hint)
}

/// Everything that a value of a URL may stand for.
fn readings(text: &str) -> impl Iterator<Item = Scalar> {
    let typed = match text {
        "null" => Some(Scalar::Null),
        "true" => Some(Scalar::Bool(true)),
        "false" => Some(Scalar::Bool(false)),
        other => Decimal::parse(other).map(Scalar::number),
    };
    typed.into_iter().chain([Scalar::Text(text.into())])
}
