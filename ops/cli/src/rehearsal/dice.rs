//! Chance for rehearsals: fast, seeded by the system, good enough to guess with, and never used for a secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rotator::pool::Range;

use crate::secrets;

/// Marsaglia's xorshift64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// # Errors
    /// The system has no random bytes.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self::seeded(u64::from_le_bytes(secrets::random()?)))
    }

    pub const fn seeded(seed: u64) -> Self {
        // Zero is the one state that xorshift never leaves.
        Self(if seed == 0 { 0x9e37_79b9_7f4a_7c15 } else { seed })
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0 to `below` − 1; 0 when `below` is 0.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(below)) >> 64) as u64
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(8) {
            let word = self.word().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        out
    }

    /// Any address of a range, each as likely.
    pub fn address(&mut self, range: &Range) -> IpAddr {
        match range {
            Range::V4 { first, last, .. } => {
                let span = u64::from(u32::from(*last) - u32::from(*first).min(u32::from(*last))) + 1;
                IpAddr::V4(Ipv4Addr::from(u32::from(*first) + self.below(span) as u32))
            }
            Range::V6(net) => {
                let host = u128::from_le_bytes(self.bytes()) & u128::from(net.hostmask());
                IpAddr::V6(Ipv6Addr::from(u128::from(net.network()) | host))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_lies_in_its_range_and_both_ends_occur() {
        let mut dice = Dice::seeded(7);
        for text in ["198.51.100.0/28", "198.51.100.7-198.51.100.22", "2001:db8::/96"] {
            let range: Range = text.parse().unwrap();
            assert!((0..2000).all(|_| range.contains(dice.address(&range))), "{text}");
        }
        let range: Range = "198.51.100.7-198.51.100.22".parse().unwrap();
        let seen: std::collections::BTreeSet<IpAddr> = (0..2000).map(|_| dice.address(&range)).collect();
        assert_eq!(seen.len(), 16);
    }

    #[test]
    fn zero_is_no_trap() {
        let mut dice = Dice::seeded(0);
        assert_ne!(dice.word(), dice.word());
        assert_eq!(dice.below(0), 0);
        assert_eq!(dice.below(1), 0);
    }
}
