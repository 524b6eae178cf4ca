//! Where a source may connect to whose address others decide.
//!
//! What a client names as a parameter must not make this server ask its own neighbours: the services of the machine, of
//! its network, or the metadata of its platform. So an address is judged twice: as it is written, by what it may begin
//! with, at first and after each redirect; and as what its name resolved to, the very address that is then connected to,
//! because a name may mean another one the next time it is asked for.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use url::{Host, Url};

use crate::endpoint::{EndpointError, Family};

/// Where a source may connect to.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Only to addresses that anyone on the internet could reach.
    pub public: bool,
    /// Only to addresses that begin like one of these. Without a list, to all.
    pub allow: Option<Vec<Allowed>>,
}

/// What an address may begin with: scheme, host, port, and as much of the path and query as was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(String);

impl Allowed {
    /// Reads the beginning of an address of `family`.
    ///
    /// # Errors
    /// It is not the beginning of one, or holds credentials.
    pub fn parse(text: &str, family: Family) -> Result<Self, EndpointError> {
        let url = family.url(text)?;
        if has_credentials(&url) {
            return Err(EndpointError::Credentials);
        }
        // Written out, so that a host ends where it ends: `https://a.example` does not begin `https://a.example.net/`.
        Ok(Self(url.into()))
    }

    /// As it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an address is out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    /// It begins with nothing that is allowed.
    #[error("it begins with nothing that `allow` names")]
    NotAllowed,
    /// It carries a user name or a password.
    #[error("it holds credentials")]
    Credentials,
    /// It is an address that not everyone can reach.
    #[error("its address is not public")]
    NotPublic,
}

impl Reach {
    /// Judges an address as it is written.
    ///
    /// # Errors
    /// Why it is out of reach.
    pub fn judge(&self, url: &Url) -> Result<(), OutOfReach> {
        if let Some(allow) = &self.allow {
            if has_credentials(url) {
                return Err(OutOfReach::Credentials);
            }
            if !allow.iter().any(|Allowed(beginning)| url.as_str().starts_with(beginning.as_str())) {
                return Err(OutOfReach::NotAllowed);
            }
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        if literal.is_some_and(|address| !self.admits(address)) { Err(OutOfReach::NotPublic) } else { Ok(()) }
    }

    /// Whether `address` may be connected to.
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.public || is_public(address)
    }

    /// Those of a name's addresses that may be connected to.
    pub(crate) fn of_resolved(&self, found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        found.filter(|address| self.admits(address.ip())).collect()
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Whether anyone on the internet could reach it, by the registries of RFC 6890 as of 2025.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Special blocks of IPv4: address and length of the prefix.
const SPECIAL_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),            // "this network"
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carriers' NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // metadata of Azure
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, and metadata of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, and broadcast
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(block, length): &(Ipv4Addr, u32)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        address.to_bits() & mask == block.to_bits()
    };
    !SPECIAL_V4.iter().any(is_in)
}

/// Blocks of IPv6 within the global unicast space that are special. Outside of that space (`2000::/3`) nothing is public.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarks, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: an IPv4 address in disguise
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Where a network's own NAT64 may lead is not known here: only the well-known prefix is looked through.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    let [first, .., high, low] = segments;
    if segments.starts_with(&NAT64) {
        return is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    let is_in = |(block, length): &(Ipv6Addr, u32)| {
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        address.to_bits() & mask == block.to_bits()
    };
    first >> 13 == 0b001 && !SPECIAL_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(reach: &Reach, url: &str) -> Result<(), OutOfReach> {
        reach.judge(&Url::parse(url).unwrap())
    }

    #[test]
    fn what_not_everyone_can_reach_is_out_of_reach_in_every_spelling() {
        let reach = Reach { public: true, allow: None };
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://127.255.255.254/",
            "http://0.0.0.0/",
            "http://10.1.2.3/",
            "http://100.64.0.1/",
            "http://100.127.255.255/",
            "http://169.254.169.254/latest/meta-data/",
            "http://168.63.129.16/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://192.0.0.192/",
            "http://198.19.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::]/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b:1::1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001:0:53aa::1]/",
            "http://[2001:db8::1]/",
            "http://[3fff::1]/",
            "http://[100::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://[ff02::1]/",
        ] {
            assert_eq!(judged(&reach, url), Err(OutOfReach::NotPublic), "{url}");
        }
        for url in [
            "http://1.1.1.1/",
            "http://100.63.255.255/",
            "http://172.32.0.1/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:1.1.1.1]/",
            "http://[64:ff9b::1.1.1.1]/",
            "http://a.example/",
        ] {
            assert_eq!(judged(&reach, url), Ok(()), "{url}");
        }
        assert_eq!(judged(&Reach::default(), "http://127.0.0.1/"), Ok(()));
    }

    #[test]
    fn an_address_begins_as_one_that_is_allowed_and_no_host_is_longer_than_it_was_written() {
        let allow = |texts: &[&str]| {
            let allow = texts.iter().map(|text| Allowed::parse(text, Family::Http).unwrap()).collect();
            Reach { public: false, allow: Some(allow) }
        };
        let host = allow(&["https://api.example"]);
        for url in ["https://api.example/", "https://API.example:443/a?b=c", "https://api.example/x/../y"] {
            assert_eq!(judged(&host, url), Ok(()), "{url}");
        }
        for url in [
            "http://api.example/",
            "https://api.example:8443/",
            "https://api.example.net/",
            "https://other.example/https://api.example/",
        ] {
            assert_eq!(judged(&host, url), Err(OutOfReach::NotAllowed), "{url}");
        }
        for url in ["https://me@api.example/", "https://api.example:pw@other.example/"] {
            assert_eq!(judged(&host, url), Err(OutOfReach::Credentials), "{url}");
        }
        let path = allow(&["https://api.example/v1/"]);
        for url in ["https://api.example/v1/../v2/", "https://api.example/v1/%2e%2e/v2/", "https://api.example/v1"] {
            assert_eq!(judged(&path, url), Err(OutOfReach::NotAllowed), "{url}");
        }
        assert_eq!(judged(&path, "https://api.example/v2/../v1/a"), Ok(()));
        assert_eq!(Allowed::parse("https://me:pw@api.example/", Family::Http), Err(EndpointError::Credentials));
    }
}
