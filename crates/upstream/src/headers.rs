//! The headers of a request to a feed, and of its answer.
//!
//! What a request carries is the author's and may be secret: names are shown, values never. What belongs to the connection
//! itself is not the author's to set.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use standpipe_protocol::refusal::clip;

use crate::Endpoint;

/// The most headers.
const MAX_HEADERS: usize = 32;

/// What a request says besides what it asks for.
#[derive(Clone, Default)]
pub struct Headers(HeaderMap);

/// Why texts are not headers. Names are told, values are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is none (RFC 9110 §5.1).
    #[error("{0:?} is no name of a header")]
    Name(String),
    /// The value holds what no header can (RFC 9110 §5.5).
    #[error("the value of {0} holds a character that no header can")]
    Value(String),
    /// It would break the connection.
    #[error("{0} belongs to the connection: it is set as that needs it")]
    Ours(String),
    /// More than any feed needs.
    #[error("there are {0}, at most {MAX_HEADERS} are sent")]
    TooMany(usize),
}

impl Headers {
    /// Headers of these names and values, instead of the usual ones of the same name.
    ///
    /// # Errors
    /// The first that is none, or is not the author's to set.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, HeaderError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let known = HeaderName::try_from(name).map_err(|_| HeaderError::Name(clip(name)))?;
            if is_ours(&known) {
                return Err(HeaderError::Ours(known.to_string()));
            }
            let mut value = HeaderValue::try_from(value).map_err(|_| HeaderError::Value(known.to_string()))?;
            value.set_sensitive(true);
            headers.insert(known, value);
        }
        if headers.len() > MAX_HEADERS {
            return Err(HeaderError::TooMany(headers.len()));
        }
        Ok(Self(headers))
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that a request to `url` says: who asks, with the credentials of the address, and what the author has it say.
    pub(crate) fn of_request(&self, url: &Endpoint) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let agent = HeaderValue::from_static(concat!("standpipe/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        // Base64 is always a valid value.
        if let Some(Ok(mut credentials)) = url.authorization().map(HeaderValue::try_from) {
            credentials.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, credentials);
        }
        headers.extend(self.0.clone());
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Whether a header says how the connection works, and not what is asked for.
fn is_ours(name: &HeaderName) -> bool {
    const OURS: [HeaderName; 10] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::HOST,
        header::EXPECT,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
    ];
    OURS.contains(name) || name.as_str().starts_with("sec-websocket-") || name.as_str() == "last-event-id"
}

/// The pause that a `Retry-After` header asks for (RFC 9110 §10.2.3): seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_connection_is_not_the_authors() {
        let of = |name: &'static str, value: &'static str| Headers::new([(name, value)]).map(|_| ());
        assert_eq!(of("X-Api-Key", "k"), Ok(()));
        assert_eq!(of("Sec-WebSocket-Key", "k"), Err(HeaderError::Ours("sec-websocket-key".to_owned())));
        assert_eq!(of("HOST", "a"), Err(HeaderError::Ours("host".to_owned())));
        assert_eq!(of("a b", "k"), Err(HeaderError::Name("a b".to_owned())));
        assert_eq!(of("a", "k\r\nHost: b"), Err(HeaderError::Value("a".to_owned())));
        let many: Vec<_> = (0..33).map(|n| format!("h{n}")).collect();
        assert_eq!(
            Headers::new(many.iter().map(|name| (name.as_str(), ""))).map(|_| ()),
            Err(HeaderError::TooMany(33))
        );
    }

    #[test]
    fn values_are_sent_and_not_shown() {
        let headers = Headers::new([("X-Api-Key", "hunter2"), ("User-Agent", "mine")]).unwrap();
        let url = Endpoint::parse("https://me:hunter3@feed.example/", crate::Family::Http).unwrap();
        let sent = headers.of_request(&url);
        assert_eq!(sent["x-api-key"], "hunter2");
        assert_eq!(sent["user-agent"], "mine");
        assert_eq!(sent["authorization"], "Basic bWU6aHVudGVyMw==");
        let shown = format!("{headers:?} {sent:?}");
        assert!(shown.contains("x-api-key") && !shown.contains("hunter") && !shown.contains("aHVu"), "{shown}");
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers, now)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
