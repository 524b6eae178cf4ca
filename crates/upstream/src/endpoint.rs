//! The address of a feed, and how much of it may be shown.
//!
//! This file decides which URLs can be connected to and keeps their secrets (credentials, query) out of logs: an
//! [`Endpoint`] displays as scheme, host, port and path alone. Connecting is left to each kind.

use std::fmt;

use base64::Engine as _;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::reach::{OutOfReach, Reach};

/// An address of one family.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// What is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `ws://`, `wss://`.
    WebSocket,
    /// `http://`, `https://`.
    Http,
}

impl Family {
    /// How an address begins, without and with encryption.
    fn schemes(self) -> [&'static str; 2] {
        match self {
            Self::WebSocket => ["ws", "wss"],
            Self::Http => ["http", "https"],
        }
    }

    /// Reads a URL of this family.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn url(self, text: &str) -> Result<Url, EndpointError> {
        let url = Url::parse(text)?;
        if !self.schemes().contains(&url.scheme()) {
            return Err(EndpointError::Scheme { found: url.scheme().to_owned(), family: self });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(EndpointError::Host);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        Ok(url)
    }

    fn words(self) -> &'static str {
        match self {
            Self::WebSocket => "`ws://` or `wss://`",
            Self::Http => "`http://` or `https://`",
        }
    }
}

/// Why a text is not an address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL.
    #[error("not a URL: {0}")]
    Url(#[from] url::ParseError),
    /// Another protocol.
    #[error("a URL of this kind begins with {}, this one with `{found}:`", .family.words())]
    Scheme {
        /// How it begins.
        found: String,
        /// What it should be of.
        family: Family,
    },
    /// No name to connect to.
    #[error("the URL names no host")]
    Host,
    /// A part that is never sent (RFC 9110 §4.2.5), and that RFC 6455 §3 does not allow.
    #[error("a feed's URL has no fragment (`#…`)")]
    Fragment,
    /// What others see must not hold secrets.
    #[error("it holds credentials")]
    Credentials,
}

impl Endpoint {
    /// Reads an address of `family`.
    ///
    /// # Errors
    /// It is none, or not one to connect to.
    pub fn parse(text: &str, family: Family) -> Result<Self, EndpointError> {
        family.url(text).map(Self)
    }

    /// Whether `reach` allows to connect there, as far as that can be seen from how it is written.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn judge(&self, reach: &Reach) -> Result<(), OutOfReach> {
        reach.judge(&self.0)
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.0.scheme(), "wss" | "https")
    }

    /// The host, as a resolver takes it: IPv6 addresses without brackets.
    pub fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The port, given or implied.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The URL to ask for: everything but the credentials, which never go into a request line.
    pub(crate) fn request_url(&self) -> String {
        let mut url = self.0.clone();
        // Neither can fail for a URL that has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.into()
    }

    /// The value of an `Authorization` header made of the URL's credentials (RFC 7617), if it has any.
    pub(crate) fn authorization(&self) -> Option<String> {
        if self.0.username().is_empty() && self.0.password().is_none() {
            return None;
        }
        let mut pair: Vec<u8> = percent_decode_str(self.0.username()).collect();
        pair.push(b':');
        pair.extend(percent_decode_str(self.0.password().unwrap_or_default()));
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.0.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web_socket(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, Family::WebSocket)
    }

    #[test]
    fn only_urls_of_its_family_are_endpoints() {
        for good in ["ws://a", "wss://a:1/b?c=d", "ws://127.0.0.1:80/", "ws://[::1]:9/x", "wss://u:p@h/"] {
            assert!(web_socket(good).is_ok(), "{good}");
            let http = good.replacen("ws", "http", 1);
            assert!(web_socket(&http).is_err(), "{http}");
            assert!(Endpoint::parse(&http, Family::Http).is_ok() && Endpoint::parse(good, Family::Http).is_err());
        }
        for bad in ["", "a", "ws://", "wss://a/#x", "file:///etc/passwd"] {
            assert!(web_socket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let endpoint = web_socket("wss://me:hunter2@feed.example:9443/v1?key=hunter3").unwrap();
        assert_eq!(endpoint.to_string(), "wss://feed.example:9443/v1");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(wss://feed.example:9443/v1)");
    }

    #[test]
    fn credentials_go_into_a_header_and_not_into_the_request_line() {
        let endpoint = web_socket("ws://me%40x:p%3Aq@feed.example/?key=v").unwrap();
        assert_eq!(endpoint.request_url(), "ws://feed.example/?key=v");
        assert_eq!(endpoint.authorization().as_deref(), Some("Basic bWVAeDpwOnE="));
        assert_eq!(web_socket("ws://feed.example/").unwrap().authorization(), None);
    }

    #[test]
    fn hosts_and_ports_are_as_a_resolver_takes_them() {
        let of = |text: &str| web_socket(text).map(|e| (e.host(), e.port(), e.is_tls())).unwrap();
        assert_eq!(of("wss://Feed.Example/"), ("feed.example".to_owned(), 443, true));
        assert_eq!(of("ws://feed.example/"), ("feed.example".to_owned(), 80, false));
        assert_eq!(of("ws://[::1]:81/"), ("::1".to_owned(), 81, false));
    }
}
