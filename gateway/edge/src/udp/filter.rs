//! Where a datagram goes, by its destination and its first byte. Pure.
//!
//! A connection that was admitted outlives its lease: what belongs to one goes on to an address that takes no newcomers
//! any more. What would begin a connection does not: its destination must be leased now.

use defense::Reason;
use rotator::GrantNo;
use state::Protocol;
use state::records::Auth;

use crate::admission::{Candidate, Door};

/// What becomes of one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The QUIC endpoint gets it.
    Quic,
    /// It begins a flow to a UDP service.
    Flow(Candidate),
    /// It belongs to a flow, and is on its way.
    Passed,
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
/// A datagram says no name: one that begins a flow has nothing but the address, so no other grant may share that, and
/// the service must ask for nothing more. A tombstone is silent, but for https entries: the endpoint refuses there at
/// once, as TCP's reset does, and only who was told the address can hear it.
pub fn newcomer(door: &Door, has_quic: bool) -> Fate {
    let candidates = match door {
        Door::Open(candidates) => candidates,
        Door::Reset(_) if has_quic => return Fate::Quic,
        Door::Reset(grant) => return Fate::Dark(Reason::Tombstone, Some(*grant)),
        Door::Dark(reason, grant) => return Fate::Dark(*reason, *grant),
    };
    let speaks = |candidate: &&Candidate| candidate.reached.protocol == Protocol::Udp;
    if has_quic && !candidates.iter().all(|candidate| speaks(&candidate)) {
        return Fate::Quic;
    }
    let mut flows = candidates.iter().filter(speaks);
    match (flows.next(), flows.next()) {
        (None, _) => Fate::Dark(Reason::NoWindow, None),
        (Some(_), Some(_)) => Fate::Dark(Reason::AmbiguousAddress, None),
        (Some(only), None) => match only.card.auth {
            // A name is asked of whatever can carry one, a key of everything.
            Auth::Address | Auth::Name => Fate::Flow(only.clone()),
            Auth::Key => Fate::Dark(Reason::AuthRequired, Some(only.card.grant)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use state::{Card, Listen, Transport};

    use super::*;
    use crate::fixture;

    const PORT: u16 = 5060;

    fn candidate(grant: GrantNo, listen: &str, auth: Auth) -> Candidate {
        let listen = Listen::parse(&[listen]).unwrap();
        let reached = listen.find(Transport::Udp, PORT).unwrap();
        let card = Arc::new(Card { listen, ..fixture::card(grant, auth) });
        Candidate { lease: fixture::lease(grant, 1000), card, reached }
    }

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
        assert_eq!(newcomer(&Door::Reset(7), true), Fate::Quic);
        assert_eq!(newcomer(&Door::Reset(7), false), dark(Reason::Tombstone, Some(7)));
        for has_quic in [false, true] {
            let door = Door::Dark(Reason::LeaseExpired, Some(3));
            assert_eq!(newcomer(&door, has_quic), dark(Reason::LeaseExpired, Some(3)));
        }
    }

    #[test]
    fn a_flow_needs_the_address_of_one_grant_alone_and_a_service_that_asks_for_no_key() {
        let udp = |grant, auth| candidate(grant, "udp/5060", auth);
        let door = |candidates: &[Candidate]| newcomer(&Door::Open(candidates.to_vec()), true);
        let only = udp(1, Auth::Address);
        assert_eq!(door(std::slice::from_ref(&only)), Fate::Flow(only.clone()));
        let named = udp(1, Auth::Name);
        assert_eq!(door(std::slice::from_ref(&named)), Fate::Flow(named.clone()), "there is none to show");
        assert_eq!(door(&[udp(1, Auth::Key)]), Fate::Dark(Reason::AuthRequired, Some(1)));
        assert_eq!(door(&[only, udp(2, Auth::Address)]), Fate::Dark(Reason::AmbiguousAddress, None));
    }

    #[test]
    fn https_entries_are_quics_where_there_is_an_endpoint_and_dark_where_there_is_none() {
        let https = candidate(1, "https/5060", Auth::Name);
        let door = Door::Open(vec![https, candidate(2, "udp/5060", Auth::Address)]);
        assert_eq!(newcomer(&door, true), Fate::Quic, "a name can tell whose it is");
        assert!(matches!(newcomer(&door, false), Fate::Flow(c) if c.card.grant == 2));
        let alone = Door::Open(vec![candidate(1, "https/5060", Auth::Address)]);
        assert_eq!(newcomer(&alone, false), Fate::Dark(Reason::NoWindow, None));
    }
}
