//! Where a server is, as people write it: `localhost:8080`, `https://host/ws/trades.btc`, `wss://host/ws?topics=a`.
//!
//! This file decides which texts are addresses and what they mean. The part of the query that says where delivery
//! begins (`after`, `resume`) is taken out of it, because it changes with every connection.

use std::{fmt, str::FromStr};

use standpipe_protocol::{After, CursorError};
use url::Url;

/// The address of a server, scheme `ws` or `wss`, with what its query says for all connections alike.
///
/// Its `Display` hides the values of credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    after: Option<After>,
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL.
    #[error(
        "`{text}` is not an address ({reason}); one looks like ws://127.0.0.1:8080, https://example.com or host:port"
    )]
    Form {
        /// What was given, without what may be a credential.
        text: String,
        /// What the parser of URLs says.
        reason: url::ParseError,
    },
    /// A scheme that leads to no WebSocket.
    #[error("`{0}` is not a scheme of a WebSocket server; use ws, wss, http or https")]
    Scheme(String),
    /// `user:password@` in front of the host.
    #[error("credentials do not belong in front of the host; pass a token instead")]
    Credentials,
    /// `after=` with something that is no cursor.
    #[error("`after` in the address: {0}")]
    After(#[from] CursorError),
}

/// Parameters that choose no events: with none but these in the query, nothing is selected by it.
const NOT_SELECTING: [&str; 6] = ["access_token", "token", "overflow", "on_gap", "confirm", "snapshot"];

/// Parameters whose values nobody may see.
const SECRET: [&str; 3] = ["access_token", "token", "resume"];

impl Address {
    /// The URL, without `after` and `resume`, credentials included.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What `after` in the query said.
    pub fn after(&self) -> Option<&After> {
        self.after.as_ref()
    }

    /// Whether path or query select events.
    pub fn selects(&self) -> bool {
        let by_path = self.url.path().strip_prefix("/ws/").is_some_and(|topic| !topic.is_empty());
        by_path || self.url.query_pairs().any(|(name, _)| name != "conflate" && !NOT_SELECTING.contains(&&*name))
    }

    /// Whether the query asks for conflation, under which a client orders its cursor differently.
    pub fn conflates(&self) -> bool {
        self.says("conflate")
    }

    /// Whether the query asks for a snapshot, which what can be resumed does not bring.
    pub fn asks_for_snapshot(&self) -> bool {
        self.says("snapshot")
    }

    fn says(&self, parameter: &str) -> bool {
        self.url.query_pairs().any(|(name, value)| name == parameter && value != "0")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("ws://{text}") };
        let form = |reason| AddressError::Form { text: without_credentials(text).to_owned(), reason };
        let mut url = Url::parse(&whole).map_err(form)?;
        let scheme = match url.scheme() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if url.scheme() != scheme {
            // Fails only for schemes that are not of one kind, and these two are.
            url.set_scheme(scheme).map_err(|()| AddressError::Scheme(scheme.to_owned()))?;
        }
        url.set_fragment(None);
        if matches!(url.path(), "" | "/") {
            url.set_path("/ws");
        }
        let after = url.query_pairs().find(|(name, _)| name == "after").map(|(_, value)| value.parse()).transpose()?;
        let kept = |pair: &&str| !matches!(pair.split('=').next(), Some("after" | "resume" | ""));
        let query: Vec<&str> = url.query().unwrap_or_default().split('&').filter(kept).collect();
        let query = Some(query.join("&")).filter(|query| !query.is_empty());
        url.set_query(query.as_deref());
        Ok(Self { url, after })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.url))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Of a text that is no URL, the part in which nobody writes a credential: without user and query.
fn without_credentials(text: &str) -> &str {
    let place = text.split('?').next().unwrap_or_default();
    place.rsplit('@').next().unwrap_or_default()
}

/// `url` for the eyes of people: without the values of credentials.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let pairs: Vec<String> = url.query().map(|query| query.split('&').map(hidden).collect()).unwrap_or_default();
    shown.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
    // The query is ours by now, except that the ellipsis was escaped.
    shown.to_string().replace("=%E2%80%A6", "=…")
}

fn hidden(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if SECRET.contains(&name) => format!("{name}=…"),
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// The one that the tests of all clients share.
    #[derive(Deserialize)]
    struct Table {
        read: Vec<(String, String)>,
        refused: Vec<(String, String)>,
        selects: Vec<(String, bool)>,
    }

    impl Table {
        fn load() -> Self {
            serde_json::from_str(include_str!("../../../tests/clients/addresses.json")).unwrap()
        }
    }

    fn read(text: &str) -> String {
        text.parse::<Address>().map_or_else(|e| format!("error: {e}"), |address| address.to_string())
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, url) in Table::load().read {
            assert_eq!(read(&text), url, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be_right() {
        for (text, part) in Table::load().refused {
            let error = read(&text);
            assert!(error.starts_with("error: ") && error.contains(&part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_cursor_in_the_query_is_taken_out_of_it() {
        let address: Address = "ws://h/ws?topics=a&after=9f00000000000001:17:t%3A1&snapshot=1".parse().unwrap();
        assert_eq!(address.after().map(ToString::to_string).as_deref(), Some("9f00000000000001:17:t:1"));
        assert_eq!(address.url().query(), Some("topics=a&snapshot=1"));
    }

    #[test]
    fn credentials_are_not_shown() {
        let address: Address = "ws://h?access_token=hunter2&topics=a&token=hunter2".parse().unwrap();
        assert_eq!(format!("{address:?}"), "Address(ws://h/ws?access_token=…&topics=a&token=…)");
        assert!(address.url().as_str().contains("hunter2"));
    }

    #[test]
    fn an_address_selects_by_its_path_or_by_its_query() {
        for (text, selects) in Table::load().selects {
            assert_eq!(text.parse::<Address>().unwrap().selects(), selects, "{text}");
        }
        assert!("h?conflate=1".parse::<Address>().unwrap().conflates());
        assert!(!"h?conflate=0".parse::<Address>().unwrap().conflates());
    }
}
