//! `host[:port]` as it stands in `Host` and `Origin`, and whether it can only mean this machine.

use std::net::{IpAddr, Ipv6Addr};

/// The host part of `host[:port]`, brackets included, or nothing if the text is not of that form (RFC 9110 §7.2).
pub(crate) fn host(authority: &str) -> Option<&str> {
    let end = match authority.strip_prefix('[') {
        Some(literal) => literal.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(end)?;
    let port_is_fine =
        port.strip_prefix(':').map_or(port.is_empty(), |digits| digits.bytes().all(|b| b.is_ascii_digit()));
    (port_is_fine && !host.is_empty()).then_some(host)
}

/// Whether this `host[:port]` can only mean the machine that looks at it: an address literal of the loopback network,
/// or `localhost`, which browsers never ask a name server for.
///
/// Any other name may be made to point here by whoever owns it (DNS rebinding).
pub(crate) fn is_loopback(authority: &str) -> bool {
    let Some(host) = host(authority) else { return false };
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match literal {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|address| IpAddr::V6(address).to_canonical().is_loopback()),
        None if host.eq_ignore_ascii_case("localhost") => true,
        None => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() && address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (authority, expected) in [
            ("a.example", Some("a.example")),
            ("a.example:80", Some("a.example")),
            ("[::1]:80", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("a.example:", Some("a.example")),
            ("", None),
            (":80", None),
            ("[::1", None),
            ("[::1]80", None),
            ("a:b", None),
            ("user@a.example:1:2", None),
        ] {
            assert_eq!(host(authority), expected, "{authority:?}");
        }
    }

    #[test]
    fn only_what_cannot_be_rebound_is_this_machine() {
        for here in
            ["127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "localhost", "LocalHost:1", "[::1]:8080", "[::ffff:127.0.0.1]"]
        {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evil.example:8080",
            "::1",
            "2130706433",
            "0x7f.1",
            "127.1",
            "localhost.",
            "127.0.0.1:8080@evil.example",
            "user@127.0.0.1",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
