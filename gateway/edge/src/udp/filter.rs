//! Where a datagram goes, by its destination and its first byte. Pure.
//!
//! A connection that was admitted outlives its lease: what belongs to one goes on to an address that takes no newcomers
//! any more. What would begin a connection does not: its destination must be leased now.

use defense::Reason;
use rotator::GrantNo;

use crate::admission::Door;

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The QUIC endpoint gets it.
    Quic,
    /// Nothing shows. The reason is for our own eyes.
    Dark(Reason, Option<GrantNo>),
}

/// Could a QUIC packet that begins so belong to a connection that exists? Everything but Initial and 0-RTT packets
/// (RFC 9000 §17.2; in version 2 their bits stand for others, RFC 9369 §3.2, so there a handshake must begin and end at
/// an open door).
pub const fn may_go_on(first: u8) -> bool {
    let (is_long, kind) = (first & 0x80 != 0, first & 0x30);
    !is_long || kind == 0x20
}

/// Judges a datagram that may begin something, by what stands at its destination.
///
/// A tombstone's https entry is still the endpoint's: it refuses at once, as TCP's reset does, and only who was told the
/// address can hear it.
pub const fn newcomer(door: &Door, has_quic: bool) -> Fate {
    match (door, has_quic) {
        (Door::Open(_) | Door::Reset(_), true) => Fate::Quic,
        (Door::Open(_), false) => Fate::Dark(Reason::NoWindow, None),
        (Door::Reset(grant), false) => Fate::Dark(Reason::Tombstone, Some(*grant)),
        (Door::Dark(reason, grant), _) => Fate::Dark(*reason, *grant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_begin_a_connection_never_go_to_a_closed_address() {
        for low in 0..16 {
            for (first, goes_on) in
                [(0xc0, false), (0xd0, false), (0xe0, true), (0xf0, false), (0x40, true), (0, true)]
            {
                assert_eq!(may_go_on(first | low), goes_on, "{:#x}", first | low);
            }
        }
    }

    #[test]
    fn a_closed_address_and_one_that_never_was_are_silent_and_a_tombstone_is_told_where_there_is_a_voice() {
        let dark = |reason, grant| Fate::Dark(reason, grant);
        assert_eq!(newcomer(&Door::Open(vec![]), true), Fate::Quic);
        assert_eq!(newcomer(&Door::Open(vec![]), false), dark(Reason::NoWindow, None));
        assert_eq!(newcomer(&Door::Reset(7), true), Fate::Quic);
        assert_eq!(newcomer(&Door::Reset(7), false), dark(Reason::Tombstone, Some(7)));
        for has_quic in [false, true] {
            let door = Door::Dark(Reason::LeaseExpired, Some(3));
            assert_eq!(newcomer(&door, has_quic), dark(Reason::LeaseExpired, Some(3)));
        }
    }
}
