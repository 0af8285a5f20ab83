//! What may be attacked: this machine, and the edge's own pools. Pure.

use std::net::{IpAddr, Ipv4Addr};

use rotator::pool::Range;

use crate::rehearsal::dice::Dice;

/// A target that is not one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "drill_foreign_target: {0} is neither loopback nor in a pool of this edge. A drill attacks nothing but its own edge. Name addresses of its pools, or run it where they are."
)]
pub struct ForeignTarget(pub IpAddr);

/// # Errors
/// The address is neither on loopback nor in one of `pools`.
pub fn permitted(address: IpAddr, pools: &[Range]) -> Result<(), ForeignTarget> {
    let address = address.to_canonical();
    let own = address.is_loopback() || pools.iter().any(|range| range.contains(address));
    if own { Ok(()) } else { Err(ForeignTarget(address)) }
}

/// Where a stranger seems to come from: on loopback anywhere in 127.66.0.0/16, so that users and strangers can be told
/// apart by address; elsewhere from wherever this machine is.
pub fn source(target: IpAddr, dice: &mut Dice) -> Option<IpAddr> {
    match target {
        IpAddr::V4(address) if address.is_loopback() => {
            let host = 1 + dice.below(0xfffe) as u16;
            let [high, low] = host.to_be_bytes();
            Some(IpAddr::V4(Ipv4Addr::new(127, 66, high, low)))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// As [`source`], all out of one small network: as a flood from one place looks.
pub fn one_network(target: IpAddr, dice: &mut Dice) -> Option<IpAddr> {
    let source = source(target, dice)?;
    match source {
        IpAddr::V4(address) => {
            let [a, b, _, last] = address.octets();
            Some(IpAddr::V4(Ipv4Addr::new(a, b, 6, last)))
        }
        IpAddr::V6(_) => Some(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Vec<Range> {
        ["198.51.100.16-198.51.100.99", "2001:db8:42::/64"].map(|text| text.parse().unwrap()).to_vec()
    }

    #[test]
    fn loopback_and_own_pools_may_be_attacked_up_to_their_last_address() {
        for own in [
            "127.0.0.1",
            "127.83.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "198.51.100.16",
            "198.51.100.99",
            "2001:db8:42::7",
        ] {
            assert_eq!(permitted(own.parse().unwrap(), &pools()), Ok(()), "{own}");
        }
    }

    #[test]
    fn every_other_target_is_refused_by_name() {
        for foreign in
            ["198.51.100.15", "198.51.100.100", "2001:db8:43::7", "192.0.2.1", "0.0.0.0", "::ffff:192.0.2.1"]
        {
            let refused = permitted(foreign.parse().unwrap(), &pools()).unwrap_err();
            assert!(refused.to_string().starts_with("drill_foreign_target: "), "{foreign}");
        }
        assert!(permitted("198.51.100.16".parse().unwrap(), &[]).is_err());
    }

    #[test]
    fn strangers_on_loopback_are_never_taken_for_users() {
        let mut dice = Dice::seeded(3);
        let target = "127.83.0.1".parse().unwrap();
        for _ in 0..1000 {
            let Some(IpAddr::V4(source)) = source(target, &mut dice) else { panic!("none") };
            assert_eq!(source.octets()[..2], [127, 66]);
            let Some(IpAddr::V4(flood)) = one_network(target, &mut dice) else { panic!("none") };
            assert_eq!(flood.octets()[..3], [127, 66, 6]);
        }
        assert_eq!(source("192.0.2.1".parse().unwrap(), &mut dice), None);
    }
}
