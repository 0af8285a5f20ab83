//! Source addresses as the networks they belong to, and the keyed hash that places a network in a sketch.

use std::hash::Hasher;
use std::net::IpAddr;

use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use crate::bounds::PREFIX_LEVELS;

/// How wide a network is looked at. All levels are watched at once: the owner of a /48 has 65,536 networks of /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// IPv4 /32, IPv6 /64.
    Host,
    /// IPv4 /24, IPv6 /56.
    Site,
    /// IPv6 /48. IPv4 has no such level: its wider allocations belong to many.
    Network,
}

impl Level {
    pub const ALL: [Self; PREFIX_LEVELS] = [Self::Host, Self::Site, Self::Network];

    const fn bits(self, v4: bool) -> Option<u8> {
        match (self, v4) {
            (Self::Host, true) => Some(32),
            (Self::Host, false) => Some(64),
            (Self::Site, true) => Some(24),
            (Self::Site, false) => Some(56),
            (Self::Network, true) => None,
            (Self::Network, false) => Some(48),
        }
    }
}

/// The network of `source` at `level`, if that level exists in its family. IPv4-mapped addresses count as IPv4.
pub fn network_of(source: IpAddr, level: Level) -> Option<IpNet> {
    let source = source.to_canonical();
    let bits = level.bits(source.is_ipv4())?;
    IpNet::new(source, bits).ok().map(|net| net.trunc())
}

/// Place of a network in a sketch: 64 bits that nobody can foresee without the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PrefixKey(pub(crate) u64);

/// 128 secret bits (never shown: its `Debug` is blank), so that nobody can choose sources that fall on a victim's cells.
#[derive(Clone, Copy)]
pub(crate) struct Seed {
    low: u64,
    high: u64,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    pub(crate) const fn new(bytes: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { low: both as u64, high: (both >> 64) as u64 }
    }

    pub(crate) const fn words(self) -> (u64, u64) {
        (self.low, self.high)
    }

    pub(crate) fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.low, self.high)
    }

    /// The key of `source` (canonical) at `level`.
    pub(crate) fn prefix_key(self, source: IpAddr, level: Level) -> Option<PrefixKey> {
        let bits = level.bits(source.is_ipv4())?;
        let mut hasher = self.hasher();
        match source {
            IpAddr::V4(ip) => hasher.write_u64(u64::from(u32::from(ip)) >> (32 - bits) | 1 << 63),
            // At most a /64 matters; the upper half is all there is to hash.
            IpAddr::V6(ip) => hasher.write_u64((u128::from(ip) >> 64) as u64 >> (64 - bits)),
        }
        hasher.write_u8(bits);
        Some(PrefixKey(hasher.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_belongs_to_its_networks() {
        let all = |ip: &str| Level::ALL.map(|l| network_of(ip.parse().unwrap(), l).map(|n| n.to_string()));
        assert_eq!(all("192.0.2.77"), [Some("192.0.2.77/32".into()), Some("192.0.2.0/24".into()), None]);
        assert_eq!(all("::ffff:192.0.2.77"), all("192.0.2.77"));
        assert_eq!(
            all("2001:db8:aa:bbcc:1:2:3:4").map(Option::unwrap),
            ["2001:db8:aa:bbcc::/64", "2001:db8:aa:bb00::/56", "2001:db8:aa::/48"]
        );
    }

    #[test]
    fn keys_agree_within_a_network_and_differ_between_networks_levels_and_seeds() {
        let seed = Seed::new([7; 16]);
        let key = |ip: &str, level| seed.prefix_key(ip.parse().unwrap(), level);
        assert_eq!(key("2001:db8::1", Level::Host), key("2001:db8::2", Level::Host));
        assert_ne!(key("2001:db8::1", Level::Host), key("2001:db8:0:1::1", Level::Host));
        assert_eq!(key("2001:db8::1", Level::Site), key("2001:db8:0:1::1", Level::Site));
        assert_eq!(key("192.0.2.1", Level::Site), key("192.0.2.255", Level::Site));
        assert_ne!(key("192.0.2.1", Level::Host), key("192.0.2.2", Level::Host));
        assert_ne!(key("::", Level::Host), key("::", Level::Site));
        assert_ne!(key("0.0.0.0", Level::Host), key("::", Level::Host));
        let other = Seed::new([8; 16]).prefix_key("192.0.2.1".parse().unwrap(), Level::Host);
        assert_ne!(key("192.0.2.1", Level::Host), other);
    }
}
