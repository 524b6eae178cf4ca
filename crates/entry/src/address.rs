//! Whose address a request comes from, when proxies that the operator trusts stand in between; and which addresses count
//! as one.
//!
//! Whoever connects can write any header. So one is believed only if the peer itself is a trusted proxy, and only as far
//! as proxies that are trusted have written it: each adds the address it was connected from at the end. Pure: it looks at
//! one request and decides.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use http::HeaderMap;
use standpipe_protocol::refusal::clip;

/// The addresses of a network: `10.0.0.0/8`, `fd00::/8`; one address is a network, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Nothing is set in it beyond the prefix.
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is not of the form.
    #[error("a network is an address, or one with `/` and the length of its prefix, such as 10.0.0.0/8; `{0}` is not")]
    Malformed(String),
    /// More bits than the address has.
    #[error("the prefix of `{0}` is longer than its address, which has {1} bits")]
    TooLong(String, u8),
    /// `10.1.2.3/8` may mean 10.0.0.0/8 or 10.1.2.3.
    #[error("`{0}` has bits beyond its prefix; did you mean {1}?")]
    Loose(String, Network),
}

/// The proxies that are trusted to say whom they pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub networks: Vec<Network>,
    /// The one header that they write. Any other is the client's own word.
    pub header: ForwardedBy,
}

/// The header in which proxies say whom they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For: client, proxy`: what nearly all proxies write.
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

impl Proxies {
    /// Whether this address is one of theirs.
    pub fn are_at(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The address of the client: the last one in the header that is not a trusted proxy's.
    ///
    /// If all are, it is the first. If one cannot be read (`unknown`, a name, a typo), what stands before it proves
    /// nothing, and the proxy that wrote it stands for its clients.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.are_at(client) {
            return client;
        }
        let name = match self.header {
            ForwardedBy::XForwardedFor => "x-forwarded-for",
            ForwardedBy::Forwarded => "forwarded",
        };
        // Several lines are one list (RFC 9110 §5.3).
        let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
        let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        for hop in hops.into_iter().rev() {
            let hop = match self.header {
                ForwardedBy::XForwardedFor => Some(hop),
                ForwardedBy::Forwarded => forwarded_for(hop),
            };
            let Some(address) = hop.and_then(node) else { break };
            client = address;
            if !self.are_at(address) {
                break;
            }
        }
        client
    }
}

/// The `for` of one element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let is_port = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
            if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
                return None;
            }
            IpAddr::V6(address.parse().ok()?)
        }
        None => text.parse().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()))?,
    };
    Some(address.to_canonical())
}

/// What limits count as one address: of IPv6 the /64, which is the least that one customer is given (RFC 6177 §2), so
/// that nobody comes from 2^64 places; of IPv4 the address.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Network {
    /// Whether an address is in it. IPv4 addresses may be written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                masked(address.to_canonical(), self.prefix) == self.address
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed(clip(text));
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| malformed())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        if prefix > bits {
            return Err(NetworkError::TooLong(clip(text), bits));
        }
        let network = Self { address: masked(address, prefix), prefix };
        if network.address != address {
            return Err(NetworkError::Loose(clip(text), network));
        }
        match address.to_canonical() {
            // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
            address @ IpAddr::V4(_) if bits == 128 && prefix >= 96 => Ok(Self { address, prefix: prefix - 96 }),
            _ => Ok(network),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address with nothing set beyond the first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str], header: ForwardedBy) -> Proxies {
        Proxies { networks: networks.iter().map(|text| text.parse().unwrap()).collect(), header }
    }

    fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (http::HeaderName::from_static(name), line.parse().unwrap())).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_what_its_prefix_says() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "127.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(ip(inside)), "{inside} in {network}");
            assert!(!parsed.contains(ip(outside)), "{outside} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_told_what_it_might_be() {
        for (text, told) in [
            ("10.1.2.3/8", "did you mean 10.0.0.0/8?"),
            ("10.0.0.0/33", "which has 32 bits"),
            ("fd00::1/8", "did you mean fd00::/8?"),
            ("10.0.0", "`10.0.0` is not"),
            ("10.0.0.0/x", "is not"),
            ("proxy.example", "is not"),
            ("", "is not"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxys() {
        let two = proxies(&["10.0.0.0/8", "127.0.0.1"], ForwardedBy::XForwardedFor);
        for (peer, lines, client) in [
            // A peer that is not trusted is the client, whatever it writes.
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // What the client wrote itself stands before what the proxies added.
            ("127.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1", &["198.51.100.1", "203.0.113.9 , 10.1.1.1"], "203.0.113.9"),
            ("127.0.0.1", &["10.9.9.9, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
            // All are proxies: the first of them.
            ("127.0.0.1", &["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &[""], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.9, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.9, unknown, 10.1.1.1"], "10.1.1.1"),
            ("127.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]x"], "127.0.0.1"),
            ("127.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(two.client(ip(peer), &headers("x-forwarded-for", lines)), ip(client), "{peer} {lines:?}");
        }
    }

    #[test]
    fn of_two_headers_the_one_that_is_not_configured_is_the_clients_own_word() {
        let by_forwarded = proxies(&["127.0.0.1"], ForwardedBy::Forwarded);
        let mut both = headers("forwarded", &["for=198.51.100.1, For=\"[2001:db8::7]:4711\";proto=https"]);
        both.extend(headers("x-forwarded-for", &["192.0.2.66"]));
        assert_eq!(by_forwarded.client(ip("127.0.0.1"), &both), ip("2001:db8::7"));
        let by_x = proxies(&["127.0.0.1"], ForwardedBy::XForwardedFor);
        assert_eq!(by_x.client(ip("127.0.0.1"), &both), ip("192.0.2.66"));
        for obfuscated in ["for=_hidden", "proto=https", "for=unknown", ""] {
            let headers = headers("forwarded", &[obfuscated]);
            assert_eq!(by_forwarded.client(ip("127.0.0.1"), &headers), ip("127.0.0.1"), "{obfuscated}");
        }
    }

    #[test]
    fn a_customers_ipv6_addresses_count_as_one() {
        assert_eq!(household(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_ne!(household(ip("2001:db8:1:2::1")), household(ip("2001:db8:1:3::1")));
        assert_eq!(household(ip("::ffff:192.0.2.1")), household(ip("192.0.2.1")));
        assert_ne!(household(ip("192.0.2.1")), household(ip("192.0.2.2")));
    }
}
