//! Which web pages may open a socket here.
//!
//! Browsers let any page open a WebSocket to any server, and say in `Origin` which page it is. Programs that are not
//! browsers send none, and are not asked. Pure: it looks at one request and decides.

use std::{fmt, str::FromStr};

use standpipe_protocol::{ErrorCode, Refusal, refusal::clip};

use crate::authority;

/// The rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Pages that this machine itself serves, to sockets that are opened at a loopback address. `Host` must be a loopback
    /// literal too: a stranger's name that was pointed here would otherwise be its own origin (DNS rebinding).
    SameHost,
    /// Pages of these origins.
    Named(Vec<Origin>),
    /// Any page.
    Any,
}

/// `scheme://host[:port]` as a browser writes it (RFC 6454 §6.2), or `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an origin is `scheme://host[:port]` without a path, or `null`; `{0}` is not")]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let is_host = |b: u8| b.is_ascii_graphic() && !b"/?#@\\*,".contains(&b);
        let fits = text.split_once("://").is_some_and(|(scheme, rest)| {
            is_scheme(scheme) && rest.bytes().all(is_host) && authority::host(rest).is_some()
        });
        if text == "null" || fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(OriginError(clip(text))) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Origins {
    /// Decides about one handshake, by its `Origin` and `Host`.
    ///
    /// # Errors
    /// `FORBIDDEN`, saying what would let the page in.
    pub fn judge(&self, origin: &str, host: Option<&str>) -> Result<(), Refusal> {
        let (allowed, hint) = match self {
            Self::Any => (true, ""),
            Self::Named(names) => {
                (names.iter().any(|name| name.0.eq_ignore_ascii_case(origin)), "name it in `auth.allowed_origins`")
            }
            Self::SameHost => {
                let page = origin.split_once("://").is_some_and(|(_, authority)| authority::is_loopback(authority));
                let here = host.is_some_and(authority::is_loopback);
                (
                    page && here,
                    "only pages of this machine may, at a loopback address; name others in `auth.allowed_origins`",
                )
            }
        };
        if allowed {
            return Ok(());
        }
        let message = format!("pages of the origin `{}` may not open a socket here", clip(origin));
        Err(Refusal::new(ErrorCode::Forbidden, message).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path_and_no_wildcard() {
        for good in ["https://a.example", "http://[::1]:8080", "HTTPS://A.example:444", "null", "app+x.1-y://host"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "https://",
            "https://a/",
            "https://a.example/p",
            "https://*.example",
            "1x://a",
            "https://a b",
            "https://u@a",
            "*",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_rule_lets_in_exactly_whom_it_names() {
        let named = Origins::Named(vec!["https://a.example".parse().unwrap(), "null".parse().unwrap()]);
        let here = Some("127.0.0.1:8080");
        for (rule, origin, host, allowed) in [
            (&Origins::Any, "https://anything.example", None, true),
            (&Origins::Any, "null", here, true),
            (&named, "https://a.example", Some("b.example"), true),
            (&named, "https://A.example", Some("b.example"), true),
            (&named, "null", here, true),
            (&named, "http://a.example", here, false),
            (&named, "https://a.example:444", here, false),
            (&named, "https://a.example.evil.example", here, false),
            (&named, "http://127.0.0.1:8080", here, false),
            (&Origins::SameHost, "http://127.0.0.1:8080", here, true),
            (&Origins::SameHost, "http://localhost:3000", Some("localhost:8080"), true),
            (&Origins::SameHost, "http://[::1]:8080", Some("[::1]:8080"), true),
            (&Origins::SameHost, "https://evil.example", here, false),
            (&Origins::SameHost, "http://evil.example:8080", Some("evil.example:8080"), false),
            (&Origins::SameHost, "http://127.0.0.1:8080", Some("evil.example:8080"), false),
            (&Origins::SameHost, "http://127.0.0.1:8080", None, false),
            (&Origins::SameHost, "http://localhost.evil.example", here, false),
            (&Origins::SameHost, "null", here, false),
            (&Origins::SameHost, "", here, false),
        ] {
            assert_eq!(rule.judge(origin, host).is_ok(), allowed, "{rule:?} {origin} {host:?}");
        }
    }
}
