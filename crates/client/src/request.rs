//! What a client asks for, and how it looks in a URL (`topics`, `where.…`, `filter`, `after`, …).

use std::{collections::BTreeMap, fmt::Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use standpipe_protocol::{After, Confirm, Json, OnGap, Overflow, command::Secret};
use url::Url;

use crate::Address;

/// What a client asks of a server, on every connection alike.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where.
    pub address: Address,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// What it selects in the URL, besides what the address itself selects. Empty: commands will select.
    pub selection: Selection,
    /// Where the delivery of what the URL selects begins: at the head, if nowhere is said here or in the address.
    pub after: Option<After>,
    /// What happens when it is slow; the server's choice, if `None`.
    pub overflow: Option<Overflow>,
    /// What happens when the log no longer holds what it resumes with.
    pub on_gap: OnGap,
    /// The proof of receipt it offers; the server's choice, if `None`.
    pub confirm: Option<Confirm>,
}

/// Which events, in the terms of a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Topic patterns; an event matches one of them.
    pub topics: Vec<String>,
    /// Conditions on fields; an event fulfils all of them.
    pub conditions: Vec<Condition>,
    /// A JSON filter, to be fulfilled too.
    pub filter: Option<Json>,
    /// Values for the parameters that a source declares.
    pub params: BTreeMap<String, String>,
    /// Whether the latest event of each matching key comes first.
    pub snapshot: bool,
    /// Whether a queued event is replaced by the newer one of its key.
    pub conflate: bool,
}

/// `where.<field>[.<operator>]=<value>[,<value>…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The path of a field, with an operator's name behind it unless equality is meant.
    pub field: String,
    /// The values; a comma within one is a character like any other here.
    pub values: Vec<String>,
}

/// What stands for itself in a query on both sides of `=`; the rest is escaped.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*')
    .remove(b'/')
    .remove(b':')
    .remove(b'$')
    .remove(b'@');

impl Selection {
    /// All events of these topics.
    pub fn topics<T: Into<String>>(topics: impl IntoIterator<Item = T>) -> Self {
        Self { topics: topics.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    fn selects(&self) -> bool {
        let Self { topics, conditions, filter, params, snapshot: _, conflate: _ } = self;
        !(topics.is_empty() && conditions.is_empty() && filter.is_none() && params.is_empty())
    }
}

impl Request {
    /// Asks `address` for what it selects itself.
    pub fn new(address: Address) -> Self {
        Self {
            after: address.after().cloned(),
            address,
            token: None,
            selection: Selection::default(),
            overflow: None,
            on_gap: OnGap::default(),
            confirm: None,
        }
    }

    /// Whether the URL selects events, so that they come without a command.
    pub fn selects(&self) -> bool {
        self.selection.selects() || self.address.selects()
    }

    /// Whether the URL asks for conflation.
    pub fn conflates(&self) -> bool {
        self.selection.conflate || self.address.conflates()
    }

    /// Whether the URL asks for a snapshot.
    pub fn asks_for_snapshot(&self) -> bool {
        self.selection.snapshot || self.address.asks_for_snapshot()
    }

    /// The URL of one connection. `resume` is the secret of the connection before it.
    pub fn url(&self, after: Option<&After>, resume: Option<&str>) -> Url {
        let mut query = self.address.url().query().unwrap_or_default().to_owned();
        let selection = &self.selection;
        if !selection.topics.is_empty() {
            put(&mut query, "topics", &selection.topics);
        }
        for Condition { field, values } in &selection.conditions {
            put(&mut query, &format!("where.{field}"), values);
        }
        let texts = [
            ("filter", selection.filter.as_ref().map(|filter| filter.as_str().to_owned())),
            ("snapshot", selection.snapshot.then(|| "1".to_owned())),
            ("conflate", selection.conflate.then(|| "1".to_owned())),
            ("overflow", self.overflow.map(|overflow| word(overflow).to_owned())),
            ("on_gap", (self.on_gap == OnGap::Fail).then(|| "fail".to_owned())),
            ("confirm", self.confirm.map(|confirm| proof(confirm).to_owned())),
            ("after", after.map(ToString::to_string)),
            ("resume", resume.map(str::to_owned)),
        ];
        let params = selection.params.iter().map(|(name, value)| (name.as_str(), Some(value.clone())));
        for (name, value) in params.chain(texts) {
            if let Some(value) = value {
                put(&mut query, name, &[value]);
            }
        }
        let mut url = self.address.url().clone();
        url.set_query((!query.is_empty()).then_some(&query));
        url
    }
}

/// Appends `name=value[,value…]`.
fn put(query: &mut String, name: &str, values: &[String]) {
    let separator = if query.is_empty() { "" } else { "&" };
    // Writing to a `String` cannot fail.
    let _ = write!(query, "{separator}{}=", utf8_percent_encode(name, PLAIN));
    for (i, value) in values.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(query, "{comma}{}", utf8_percent_encode(value, PLAIN));
    }
}

fn word(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Disconnect => "disconnect",
        Overflow::CatchUp => "catch_up",
        Overflow::Skip => "skip",
    }
}

fn proof(confirm: Confirm) -> &'static str {
    match confirm {
        Confirm::Pong => "pong",
        Confirm::Ack => "ack",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(address: &str) -> Request {
        Request::new(address.parse().unwrap())
    }

    #[test]
    fn everything_that_can_be_asked_for_stands_in_the_url() {
        let mut request = request("h?token=x");
        request.selection = Selection {
            topics: vec!["trades.>".into(), "a.*".into()],
            conditions: vec![
                Condition { field: "author.in".into(), values: vec!["a b".into(), "c,d".into(), "é".into()] },
                Condition { field: "$key".into(), values: vec!["1+1=2&x".into()] },
            ],
            filter: Some(Json::parse(r#"{"n":{"gt":1}}"#).unwrap()),
            params: [("page_url".to_owned(), "https://x/?a=1".to_owned())].into(),
            snapshot: true,
            conflate: true,
        };
        request.overflow = Some(Overflow::CatchUp);
        request.on_gap = OnGap::Fail;
        request.confirm = Some(Confirm::Ack);
        let after: After = "9f00000000000001:17:t:1".parse().unwrap();
        let url = request.url(Some(&after), Some("secret"));
        let expected = concat!(
            "ws://h/ws?token=x&topics=trades.%3E,a.*&where.author.in=a%20b,c%2Cd,%C3%A9&where.$key=1%2B1%3D2%26x",
            "&page_url=https://x/%3Fa%3D1&filter=%7B%22n%22%3A%7B%22gt%22%3A1%7D%7D&snapshot=1&conflate=1",
            "&overflow=catch_up&on_gap=fail&confirm=ack&after=9f00000000000001:17:t:1&resume=secret"
        );
        // What the set leaves alone may be written either way; both mean the same.
        assert_eq!(url.as_str(), expected.replace("%22%3A%7B", "%22:%7B").replace("%22%3A1", "%22:1"));
    }

    #[test]
    fn a_request_that_asks_for_nothing_special_has_no_query() {
        assert_eq!(request("h").url(None, None).as_str(), "ws://h/ws");
        assert!(!request("h").selects());
        assert!(request("h?topics=a").selects());
    }

    #[test]
    fn the_cursor_of_an_address_is_where_delivery_begins() {
        assert_eq!(request("h?topics=a&after=earliest").after, Some(After::Earliest));
    }
}
