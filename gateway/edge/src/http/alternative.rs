//! `Alt-Svc` (RFC 7838): the same name and port speak HTTP/3, too, for as long as the client's lease takes newcomers.
//!
//! No host is named, so a client asks for the name's address anew, as it would for a connection over TCP.

use http::header::{ALT_SVC, HeaderMap, HeaderValue};
use rotator::UnixTime;
use state::records::Auth;

use super::Visit;
use crate::bounds::{ALT_SVC_MAX_S, ALT_SVC_MIN_S};

/// Adds it to a service's answer, whatever transport that goes out by: a client that uses HTTP/3 already stays with it.
///
/// Not where the service asks for the device's key: browsers show no certificate over QUIC, and would be turned away there.
pub(super) fn tell(visit: &Visit, headers: &mut HeaderMap) {
    let gate = &visit.gate;
    if !gate.http3 || visit.card.auth == Auth::Key || gate.drain.quic.is_cancelled() {
        return;
    }
    if let Some(told) = alternative(visit.reached.port, visit.closes, gate.clock.now()) {
        headers.insert(ALT_SVC, told);
    }
}

/// `None`: the lease is over, or nearly so.
fn alternative(port: u16, closes: UnixTime, now: UnixTime) -> Option<HeaderValue> {
    let left_s = closes.since(now).min(ALT_SVC_MAX_S);
    if left_s < ALT_SVC_MIN_S {
        return None;
    }
    HeaderValue::try_from(format!("h3=\":{port}\"; ma={left_s}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_the_lease_and_is_not_said_for_a_moment() {
        let said = |closes, now| {
            let told = alternative(8443, UnixTime::from_secs(closes), UnixTime::from_secs(now));
            told.map(|told| told.to_str().unwrap().to_owned())
        };
        assert_eq!(said(1_000_600, 1_000_000).unwrap(), "h3=\":8443\"; ma=600");
        assert_eq!(said(1_000_000 + ALT_SVC_MIN_S, 1_000_000).unwrap(), "h3=\":8443\"; ma=5");
        assert_eq!(said(1_000_000 + ALT_SVC_MIN_S - 1, 1_000_000), None);
        assert_eq!(said(1_000_000, 1_000_000), None);
        assert_eq!(said(1_000_000, 2_000_000), None, "a connection may outlive its lease");
        assert_eq!(said(9_000_000, 1_000_000).unwrap(), "h3=\":8443\"; ma=86400");
    }
}
