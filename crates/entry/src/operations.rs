//! Who may use the operations: read the metrics, look at connections, close them, publish, drain.
//!
//! With an admin token, whoever knows it. Without one, only programs on this machine that spoke to this server
//! themselves: a peer on loopback is not enough, because a reverse proxy on the same host is such a peer for the whole
//! world, and so is a browser that shows a stranger's page. Pure: it looks at one request and decides.
//!
//! Not every proxy says that it is one. nginx, as it comes, passes a request on without one header of its own, and with
//! its own idea of `Host`, which is an address of this machine; what gives it away is HTTP/1.0, or that it closes each
//! connection, or a `Connection: upgrade` that upgrades nothing (the recipe for WebSockets, applied to everything). What
//! passes on bytes and not requests cannot be told from a program here: then a token has to be set, or the proxy be named
//! in `limits.trusted_proxies`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Version, header};
use standpipe_protocol::{ErrorCode, Refusal, command::Secret};
use subtle::ConstantTimeEq;

use crate::authority;

/// The rule.
#[derive(Debug, Clone)]
pub enum Operations {
    /// Requests that carry this token as `Authorization: Bearer` or `X-Standpipe-Admin-Token`, from wherever they come.
    Token(Secret),
    /// Requests from this machine that nobody passed on and no web page made.
    Local,
}

/// What one request says about where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The other end of the TCP connection.
    pub peer: IpAddr,
    /// Whether that is a proxy that the configuration names.
    pub is_proxy: bool,
    /// HTTP's version.
    pub version: Version,
    /// The authority of an absolute request target; it goes before `Host` (RFC 9112 §3.2.2).
    pub target: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// The condition that a request did not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A token is set, the request has none.
    NoToken,
    /// The request has another one.
    WrongToken,
    /// The peer is another machine.
    RemotePeer,
    /// No `Host`, or more than one.
    NoHost,
    /// `Host` is a name or address that does not have to mean this machine.
    ForeignHost,
    /// The peer is a proxy that the configuration names.
    TrustedProxy,
    /// A proxy passed the request on: it left this header.
    Forwarded(&'static str),
    /// The request is as some proxies make it, and hardly any program: this is how.
    LikeAProxy(&'static str),
    /// A page of another site made the request: this header says so.
    CrossSite(&'static str),
}

/// Where the token may stand instead, behind a platform that takes what is in `Authorization` for a credential of its own.
const ADMIN_TOKEN: HeaderName = HeaderName::from_static("x-standpipe-admin-token");

/// Headers that only a proxy adds, besides all `X-Forwarded-*`.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "via", "x-real-ip", "x-actor-request-id"];

impl Operations {
    /// Decides about one request.
    ///
    /// # Errors
    /// The first condition that is not met.
    pub fn judge(&self, evidence: Evidence<'_>) -> Result<(), Denial> {
        match self {
            Self::Token(token) => {
                // The length may show in the time this takes; which byte differs does not.
                let is_it = |given: &str| bool::from(given.as_bytes().ct_eq(token.0.as_bytes()));
                match (bearer(evidence.headers), only(evidence.headers, &ADMIN_TOKEN)) {
                    (None, None) => Err(Denial::NoToken),
                    (one, other) if one.is_some_and(is_it) || other.is_some_and(is_it) => Ok(()),
                    _ => Err(Denial::WrongToken),
                }
            }
            Self::Local => is_local(evidence),
        }
    }
}

fn is_local(Evidence { peer, is_proxy, version, target, headers }: Evidence<'_>) -> Result<(), Denial> {
    if !peer.to_canonical().is_loopback() {
        return Err(Denial::RemotePeer);
    }
    if is_proxy {
        return Err(Denial::TrustedProxy);
    }
    for name in headers.keys() {
        if name.as_str().starts_with("x-forwarded-") {
            return Err(Denial::Forwarded("X-Forwarded-*"));
        }
        if let Some(proxy) = PROXY_HEADERS.iter().find(|proxy| name == **proxy) {
            return Err(Denial::Forwarded(proxy));
        }
    }
    if version < Version::HTTP_11 {
        return Err(Denial::LikeAProxy("HTTP/1.0"));
    }
    if names(headers, "close") {
        return Err(Denial::LikeAProxy("Connection: close"));
    }
    if names(headers, "upgrade") && !headers.contains_key(header::UPGRADE) {
        return Err(Denial::LikeAProxy("Connection: upgrade"));
    }
    let host = only(headers, &header::HOST).ok_or(Denial::NoHost)?;
    if !authority::is_loopback(host) || target.is_some_and(|target| !authority::is_loopback(target)) {
        return Err(Denial::ForeignHost);
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = only(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if origin.is_none_or(|origin| !origin.eq_ignore_ascii_case(host)) {
            return Err(Denial::CrossSite("Origin"));
        }
    }
    // `none` is a person who typed the address. `same-site` is any other port of this machine.
    let site = headers.get_all("sec-fetch-site");
    if site.iter().any(|site| site != "same-origin" && site != "none") {
        return Err(Denial::CrossSite("Sec-Fetch-Site"));
    }
    Ok(())
}

/// Whether `Connection` has this option (RFC 9110 §7.6.1).
fn names(headers: &HeaderMap, option: &str) -> bool {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| name.trim().eq_ignore_ascii_case(option))
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1), if there is exactly one such header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The value of a header that stands exactly once and is text.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        const OPERATIONS: &str = "this is an operation";
        let rule = "without an admin token, operations answer only to programs on this machine that ask at a loopback \
                    address, not through a proxy and not from another site's page; set `admin.token` to use them from \
                    elsewhere";
        let local = |why: String| Self::new(ErrorCode::Forbidden, format!("{OPERATIONS}, and {why}")).hint(rule);
        match denial {
            Denial::NoToken => {
                Self::new(ErrorCode::Unauthorized, format!("{OPERATIONS}, and the request has no token"))
                    .hint("send the admin token as `Authorization: Bearer …`, or as `X-Standpipe-Admin-Token`")
            }
            Denial::WrongToken => {
                Self::new(ErrorCode::Unauthorized, format!("{OPERATIONS}, and the token is not the admin token"))
                    .hint("`admin.token` of the server's configuration is the right one")
                    .of_credential()
            }
            Denial::RemotePeer => local("the request came from another machine".to_owned()),
            Denial::NoHost => local("the request has no single `Host` header".to_owned()),
            Denial::ForeignHost => {
                local("`Host` is not a loopback address such as 127.0.0.1, [::1] or localhost".to_owned())
            }
            Denial::TrustedProxy => local("the request came through a proxy of `limits.trusted_proxies`".to_owned()),
            Denial::Forwarded(header) => local(format!("the request came through a proxy: it has `{header}`")),
            Denial::LikeAProxy(how) => Self::new(
                ErrorCode::Forbidden,
                format!("{OPERATIONS}, and the request is as proxies make it: it has `{how}`"),
            )
            .hint("without an admin token a program on this machine asks by HTTP/1.1 and keeps its connection, as curl does; \
                   else set `admin.token`"),
            Denial::CrossSite(header) => local(format!("a page of another site made the request: `{header}` says so")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:8080";

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse::<http::HeaderValue>().unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in list.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn local(peer: &str, list: &[(&str, &str)]) -> Result<(), Denial> {
        let (peer, headers) = (peer.parse().unwrap(), headers(list));
        Operations::Local.judge(Evidence { peer, ..evidence(&headers) })
    }

    fn evidence(headers: &HeaderMap) -> Evidence<'_> {
        let peer = IpAddr::from([127, 0, 0, 1]);
        Evidence { peer, is_proxy: false, version: Version::HTTP_11, target: None, headers }
    }

    #[test]
    fn without_a_token_only_this_machine_itself_may() {
        for list in [
            &[("host", HERE)][..],
            &[("host", "localhost:8080")],
            &[("host", "[::1]:8080")],
            &[("host", HERE), ("origin", "http://127.0.0.1:8080")],
            &[("host", HERE), ("sec-fetch-site", "same-origin")],
            &[("host", HERE), ("sec-fetch-site", "none")],
        ] {
            for peer in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(local(peer, list), Ok(()), "{peer} {list:?}");
            }
            for peer in ["10.0.0.1", "192.168.1.2", "::", "fe80::1", "::ffff:10.0.0.1"] {
                assert_eq!(local(peer, list), Err(Denial::RemotePeer), "{peer} {list:?}");
            }
        }
    }

    #[test]
    fn a_proxy_on_the_same_host_is_not_this_machine() {
        for (header, value, told) in [
            ("X-Forwarded-For", "203.0.113.9", "X-Forwarded-*"),
            ("X-Forwarded-Proto", "https", "X-Forwarded-*"),
            ("X-Forwarded-Anything", "", "X-Forwarded-*"),
            ("Forwarded", "for=203.0.113.9", "forwarded"),
            ("Via", "1.1 proxy", "via"),
            ("X-Real-IP", "203.0.113.9", "x-real-ip"),
            ("X-Actor-Request-ID", "r1", "x-actor-request-id"),
        ] {
            assert_eq!(
                local("127.0.0.1", &[("host", HERE), (header, value)]),
                Err(Denial::Forwarded(told)),
                "{header}"
            );
        }
    }

    #[test]
    fn a_proxy_that_says_nothing_is_known_by_how_it_asks() {
        for (list, told) in [
            (&[("host", HERE), ("connection", "close")][..], "Connection: close"),
            (&[("host", HERE), ("connection", "Keep-Alive, Close")], "Connection: close"),
            (&[("host", HERE), ("connection", "upgrade")], "Connection: upgrade"),
        ] {
            assert_eq!(local("127.0.0.1", list), Err(Denial::LikeAProxy(told)), "{list:?}");
        }
        let headers = headers(&[("host", HERE), ("connection", "keep-alive")]);
        let local = |evidence| Operations::Local.judge(evidence);
        assert_eq!(local(evidence(&headers)), Ok(()));
        let old = Evidence { version: Version::HTTP_10, ..evidence(&headers) };
        assert_eq!(local(old), Err(Denial::LikeAProxy("HTTP/1.0")));
        assert_eq!(local(Evidence { is_proxy: true, ..evidence(&headers) }), Err(Denial::TrustedProxy));
    }

    #[test]
    fn a_name_that_was_rebound_to_this_machine_is_refused() {
        for (list, denial) in [
            (&[][..], Denial::NoHost),
            (&[("host", HERE), ("host", HERE)], Denial::NoHost),
            (&[("host", "")], Denial::ForeignHost),
            (&[("host", "evil.example:8080")], Denial::ForeignHost),
            (&[("host", "127.0.0.1.evil.example")], Denial::ForeignHost),
            (&[("host", "0.0.0.0:8080")], Denial::ForeignHost),
        ] {
            assert_eq!(local("127.0.0.1", list), Err(denial), "{list:?}");
        }
        let headers = headers(&[("host", HERE)]);
        let evidence = Evidence { target: Some("evil.example"), ..evidence(&headers) };
        assert_eq!(Operations::Local.judge(evidence), Err(Denial::ForeignHost));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        for (header, value, told) in [
            ("origin", "https://evil.example", "Origin"),
            ("origin", "null", "Origin"),
            ("origin", "", "Origin"),
            ("origin", "http://127.0.0.1:9090", "Origin"),
            ("origin", "http://localhost:8080", "Origin"),
            ("origin", "https://127.0.0.1:8080", "Origin"),
            ("sec-fetch-site", "cross-site", "Sec-Fetch-Site"),
            ("sec-fetch-site", "same-site", "Sec-Fetch-Site"),
            ("sec-fetch-site", "new-word", "Sec-Fetch-Site"),
        ] {
            let denial = Err(Denial::CrossSite(told));
            assert_eq!(local("127.0.0.1", &[("host", HERE), (header, value)]), denial, "{header}: {value}");
        }
        let twice = [("host", HERE), ("origin", "http://127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")];
        assert_eq!(local("127.0.0.1", &twice), Err(Denial::CrossSite("Origin")));
    }

    #[test]
    fn with_a_token_whoever_knows_it_may_and_nobody_else() {
        let rule = Operations::Token(Secret("s3cret".to_owned()));
        let judge = |list: &[(&str, &str)], peer: &str| {
            let (peer, headers) = (peer.parse().unwrap(), headers(list));
            rule.judge(Evidence { peer, ..evidence(&headers) })
        };
        for value in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert_eq!(
                judge(&[("authorization", value), ("x-forwarded-for", "1.2.3.4")], "10.0.0.1"),
                Ok(()),
                "{value}"
            );
        }
        for (value, denial) in [
            ("Bearer s3creT", Denial::WrongToken),
            ("Bearer s3cre", Denial::WrongToken),
            ("Bearer s3crett", Denial::WrongToken),
            ("Bearer", Denial::NoToken),
            ("Bearer ", Denial::NoToken),
            ("Basic s3cret", Denial::NoToken),
            ("s3cret", Denial::NoToken),
        ] {
            assert_eq!(judge(&[("authorization", value)], "127.0.0.1"), Err(denial), "{value:?}");
        }
        assert_eq!(judge(&[("host", HERE)], "127.0.0.1"), Err(Denial::NoToken), "loopback does not replace the token");
        let twice = [("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")];
        assert_eq!(judge(&twice, "127.0.0.1"), Err(Denial::NoToken));
        for (own, platforms, judged) in [
            ("s3cret", "Bearer of-the-platform", Ok(())),
            ("S3cret", "Bearer of-the-platform", Err(Denial::WrongToken)),
            ("S3cret", "Bearer s3cret", Ok(())),
            ("", "", Err(Denial::WrongToken)),
        ] {
            let both = [("x-standpipe-admin-token", own), ("authorization", platforms)];
            assert_eq!(judge(&both, "10.0.0.1"), judged, "{own:?} {platforms:?}");
        }
    }

    #[test]
    fn a_denial_says_which_condition_failed_and_shows_no_secret() {
        for (denial, code, word) in [
            (Denial::NoToken, ErrorCode::Unauthorized, "no token"),
            (Denial::WrongToken, ErrorCode::Unauthorized, "not the admin token"),
            (Denial::RemotePeer, ErrorCode::Forbidden, "another machine"),
            (Denial::NoHost, ErrorCode::Forbidden, "Host"),
            (Denial::ForeignHost, ErrorCode::Forbidden, "Host"),
            (Denial::Forwarded("via"), ErrorCode::Forbidden, "`via`"),
            (Denial::CrossSite("Origin"), ErrorCode::Forbidden, "`Origin`"),
        ] {
            let refusal = Refusal::from(denial);
            assert_eq!(refusal.code, code);
            assert!(refusal.message.contains(word), "{}", refusal.message);
            assert!(refusal.hint.is_some());
        }
        let rule = Operations::Token(Secret("s3cret".to_owned()));
        assert!(!format!("{rule:?}").contains("s3cret"));
    }
}
