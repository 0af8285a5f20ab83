//! Pools: the prefixes and ranges out of which leases take their addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::bounds::{DERIVE_TRIES_MAX, V4_POOL_MIN, V6_HOSTS_RESERVED, V6_POOL_BITS_MIN};
use crate::keys::{GrantKey, leading_u64, leading_u128};

/// A named source of addresses. The name is part of the derivation: the same range under another name differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub id: Box<str>,
    pub range: Range,
}

/// An IPv6 prefix, or an IPv4 prefix or span of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    V6(Ipv6Net),
    /// First and last address; `whole` when it is a prefix, whose first and last address stay unused.
    V4 {
        first: Ipv4Addr,
        last: Ipv4Addr,
        whole: bool,
    },
}

impl Pool {
    /// `host bits = trunc(HMAC(G[e], enc("address", pool id, n)), bits of the pool)`.
    ///
    /// An IPv4 range takes `floor(leading 64 bits × size / 2^64)`, which for a prefix is the same as its leading bits.
    /// A reserved identifier is skipped by adding a counter field (u32, from 1) to the encoding.
    pub fn address(&self, key: &GrantKey, window: u64) -> IpAddr {
        let window = window.to_be_bytes();
        let mut tag = key.derive("address", &[self.id.as_bytes(), &window]);
        for counter in 1..=DERIVE_TRIES_MAX {
            let candidate = self.range.pick(&tag);
            if !self.range.reserves(candidate) {
                return candidate;
            }
            tag = key.derive("address", &[self.id.as_bytes(), &window, &counter.to_be_bytes()]);
        }
        self.range.pick(&tag)
    }
}

impl Range {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V6(net), IpAddr::V6(a)) => net.contains(&a),
            (Self::V4 { first, last, .. }, IpAddr::V4(a)) => *first <= a && a <= *last,
            (Self::V6(_), IpAddr::V4(_)) | (Self::V4 { .. }, IpAddr::V6(_)) => false,
        }
    }

    pub fn is_v6(&self) -> bool {
        match self {
            Self::V6(_) => true,
            Self::V4 { .. } => false,
        }
    }

    /// How many addresses a lease may get, as a real number: a stranger's guess hits one of these. (The few that an
    /// IPv6 prefix reserves are less than this number's precision.)
    pub fn size(&self) -> f64 {
        match self {
            Self::V6(net) => 2f64.powi(128 - i32::from(net.prefix_len())),
            Self::V4 { first, last, whole } => {
                span(*first, *last).saturating_sub(if *whole { 2 } else { 0 }) as f64
            }
        }
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V6(a), Self::V6(b)) => a.contains(b) || b.contains(a),
            (Self::V4 { first: a, last: b, .. }, Self::V4 { first: c, last: d, .. }) => a <= d && c <= b,
            (Self::V6(_), Self::V4 { .. }) | (Self::V4 { .. }, Self::V6(_)) => false,
        }
    }

    fn pick(&self, tag: &[u8]) -> IpAddr {
        match self {
            Self::V6(net) => {
                let host = leading_u128(tag).checked_shr(u32::from(net.prefix_len())).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(net.network()) | host))
            }
            Self::V4 { first, last, .. } => {
                let offset = (u128::from(leading_u64(tag)) * u128::from(span(*first, *last))) >> 64;
                IpAddr::V4(Ipv4Addr::from(u32::from(*first).wrapping_add(offset as u32)))
            }
        }
    }

    /// Addresses that are nobody's: an operator's fixed ones, and identifiers reserved by RFC 4291 and RFC 5453.
    fn reserves(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V6(net), IpAddr::V6(a)) => {
                let host = u128::from(a) & u128::from(net.hostmask());
                host < V6_HOSTS_RESERVED || (net.prefix_len() <= 64 && reserved_identifier(a))
            }
            (Self::V4 { first, last, whole }, IpAddr::V4(a)) => *whole && (a == *first || a == *last),
            (Self::V6(_), IpAddr::V4(_)) | (Self::V4 { .. }, IpAddr::V6(_)) => true,
        }
    }
}

/// RFC 5453 §3: Ethernet blocks of IANA (0200:5eff:fe…) and the subnet anycast identifiers.
fn reserved_identifier(address: Ipv6Addr) -> bool {
    let identifier = u128::from(address) as u64;
    identifier == 0 || identifier >> 24 == 0x02_00_5e_ff_fe || identifier >> 7 == 0xfdff_ffff_ffff_ff80 >> 7
}

fn span(first: Ipv4Addr, last: Ipv4Addr) -> u64 {
    u64::from(u32::from(last)).saturating_sub(u64::from(u32::from(first))) + 1
}

/// Why a range is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("not a prefix (2001:db8:42::/64, 203.0.113.0/24) or a range (203.0.113.10-203.0.113.99)")]
    Syntax,
    #[error("host bits are set: the prefix itself would be {0}")]
    HostBits(ipnet::IpNet),
    #[error("the range ends before it begins")]
    Backwards,
    #[error("too small: an IPv4 pool needs at least 16 addresses, an IPv6 pool a /96 or larger")]
    TooSmall,
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let range = match text.split_once('-') {
            Some((first, last)) => {
                let first: Ipv4Addr = first.trim().parse().map_err(|_| RangeError::Syntax)?;
                let last: Ipv4Addr = last.trim().parse().map_err(|_| RangeError::Syntax)?;
                if last < first {
                    return Err(RangeError::Backwards);
                }
                Self::V4 { first, last, whole: false }
            }
            None => prefix(text)?,
        };
        match range {
            Self::V6(net) if net.prefix_len() > 128 - V6_POOL_BITS_MIN => Err(RangeError::TooSmall),
            Self::V4 { first, last, .. } if span(first, last) < V4_POOL_MIN => Err(RangeError::TooSmall),
            Self::V6(_) | Self::V4 { .. } => Ok(range),
        }
    }
}

fn prefix(text: &str) -> Result<Range, RangeError> {
    if let Ok(net) = text.parse::<Ipv6Net>() {
        return match net.trunc() == net {
            true => Ok(Range::V6(net)),
            false => Err(RangeError::HostBits(net.trunc().into())),
        };
    }
    let net: Ipv4Net = text.parse().map_err(|_| RangeError::Syntax)?;
    if net.trunc() != net {
        return Err(RangeError::HostBits(net.trunc().into()));
    }
    Ok(Range::V4 { first: net.network(), last: net.broadcast(), whole: true })
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V6(net) => write!(f, "{net}"),
            Self::V4 { first, last, whole: true } => {
                let bits = span(*first, *last).trailing_zeros();
                write!(f, "{first}/{}", 32 - bits)
            }
            Self::V4 { first, last, whole: false } => write!(f, "{first}-{last}"),
        }
    }
}
