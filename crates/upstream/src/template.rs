//! Texts with the names of parameters in them, such as `https://api.example/pairs/{pair}`, and what they become.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::endpoint::{Endpoint, EndpointError, Family};

/// The values that a client gives, by the names of parameters.
pub type Params = BTreeMap<String, String>;

/// All but the unreserved characters of RFC 3986 §2.3: a value stays within its place in a path or a query.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Arc<str>),
}

impl Template {
    /// Reads `text`, in which `{name}` is the place of a value for each of `names`. All other braces are text.
    fn parse(text: &str, names: &[Arc<str>]) -> Self {
        let (mut parts, mut rest) = (Vec::new(), text);
        loop {
            let next = names.iter().filter_map(|name| Some((rest.find(&format!("{{{name}}}"))?, name))).min();
            let Some((at, name)) = next else { break };
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Value(Arc::clone(name)));
            rest = from.get(name.len() + 2..).unwrap_or_default();
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Self(parts)
    }

    /// The text with `params` in their places, each as `write` writes it there; nothing where one is missing.
    fn fill(&self, params: &Params, write: impl Fn(usize, &str) -> String) -> String {
        let part = |(place, part): (usize, &Part)| match part {
            Part::Text(text) => text.clone(),
            Part::Value(name) => params.get(&**name).map(|value| write(place, value)).unwrap_or_default(),
        };
        self.0.iter().enumerate().map(part).collect()
    }

    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|part| match part {
            Part::Value(name) => Some(name),
            Part::Text(_) => None,
        })
    }
}

/// An address with places for parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlTemplate {
    template: Template,
    family: Family,
}

impl UrlTemplate {
    /// Reads an address of `family` that has a place `{name}` for some of `names`.
    pub fn parse(text: &str, names: &[Arc<str>], family: Family) -> Self {
        Self { template: Template::parse(text, names), family }
    }

    /// Whether a parameter decides which server is asked, or in which way.
    pub fn decides_host(&self) -> bool {
        match self.template.0.first() {
            Some(Part::Text(text)) if self.template.0.len() > 1 => {
                let authority = text.split_once("://").map(|(_, rest)| rest);
                !authority.is_some_and(|rest| rest.contains(['/', '?', '#']))
            }
            Some(Part::Text(_)) => false,
            Some(Part::Value(_)) | None => true,
        }
    }

    /// The name of the parameter that is the whole address, if one is.
    fn whole(&self) -> Option<&Arc<str>> {
        match self.template.0.as_slice() {
            [Part::Value(name)] => Some(name),
            _ => None,
        }
    }

    /// The names that have a place in it.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.template.names()
    }

    /// The address that `params` make. A value at the very beginning stands as it is; in any other place it is
    /// percent-encoded, so that it does not end the part of the address where it stands.
    ///
    /// # Errors
    /// They make none.
    pub fn fill(&self, params: &Params) -> Result<Endpoint, EndpointError> {
        let text = self.template.fill(params, |place, value| match place {
            0 => value.to_owned(),
            _ => utf8_percent_encode(value, RESERVED).to_string(),
        });
        Endpoint::parse(&text, self.family)
    }

    /// The same parameters in the one spelling that is used of all that mean the same.
    ///
    /// # Errors
    /// They make no address.
    pub fn canonical(&self, mut params: Params) -> Result<Params, EndpointError> {
        if let Some(value) = self.whole().and_then(|name| params.get_mut(&**name)) {
            *value = self.family.url(value)?.into();
        }
        Ok(params)
    }
}

/// `text` with `params` in their places, each escaped as within a JSON text.
pub(crate) fn fill_json(text: &str, params: &Params) -> String {
    let names: Vec<Arc<str>> = params.keys().map(|name| Arc::from(name.as_str())).collect();
    Template::parse(text, &names).fill(params, |_, value| within_json(value).into_owned())
}

fn within_json(value: &str) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(value).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(Cow::Borrowed(""), |inner| Cow::Owned(inner.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn template(text: &str) -> UrlTemplate {
        UrlTemplate::parse(text, &["page_url".into(), "q".into()], Family::Http)
    }

    #[test]
    fn values_stay_in_their_places() {
        let hostile = params(&[("q", "a/../b?c=d&e#f{page_url}%2e")]);
        let filled = template("https://a.example/x/{q}/y?q={q}&z={other}").fill(&hostile).unwrap();
        let encoded = "a%2F..%2Fb%3Fc%3Dd%26e%23f%7Bpage_url%7D%252e";
        assert_eq!(filled.request_url(), format!("https://a.example/x/{encoded}/y?q={encoded}&z={{other}}"));
        let page = params(&[("page_url", "HTTPS://A.example:443/b/../c?d=e")]);
        assert_eq!(template("{page_url}").fill(&page).unwrap().request_url(), "https://a.example/c?d=e");
        for bad in ["", "a.example", "ftp://a.example/", "https://", "https://a.example/#x"] {
            assert!(template("{page_url}").fill(&params(&[("page_url", bad)])).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_decides_the_host_is_known() {
        for (text, decides) in [
            ("{page_url}", true),
            ("{page_url}/x", true),
            ("https://{q}.example/", true),
            ("https://a.example{q}", true),
            ("https://a.example:{q}/", true),
            ("https://a.example/{q}", false),
            ("https://a.example?{q}", false),
            ("https://a.example/", false),
        ] {
            assert_eq!(template(text).decides_host(), decides, "{text}");
        }
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        let canonical = |url: &str| template("{page_url}").canonical(params(&[("page_url", url)])).unwrap();
        assert_eq!(canonical("https://A.example:443/b/../c"), canonical("https://a.example/c"));
        assert_ne!(canonical("https://a.example/c"), canonical("https://a.example/c/"));
        let within = template("https://a.example/?q={q}");
        assert_eq!(within.canonical(params(&[("q", " B ")])).unwrap(), params(&[("q", " B ")]));
    }

    #[test]
    fn frames_that_are_sent_stay_json() {
        let hostile = params(&[("pair", "a\",\"op\":\"x\\\n"), ("n", "{pair}")]);
        let filled = fill_json(r#"{"op":"subscribe","pair":"{pair}","n":"{n}","other":"{other}"}"#, &hostile);
        let value: serde_json::Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(value["pair"], "a\",\"op\":\"x\\\n");
        assert_eq!(
            (&value["op"], &value["n"], &value["other"]),
            (&"subscribe".into(), &"{pair}".into(), &"{other}".into())
        );
    }
}
