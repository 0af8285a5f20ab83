//! What both sides of a lane have proved about themselves, until when it holds, and how it is renewed in the lane.
//!
//! TLS proves a certificate when the lane begins. A renewed one is proved by a signature over a text that holds in this
//! lane and this direction only ([`proof_text`]): a proof that was overheard elsewhere, or sent back, proves nothing.

use std::sync::Arc;
use std::time::Duration;

use rustls::ConnectionCommon;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::pace::Pace;
use crate::bounds::{EXPIRY_CHECK_MAX, EXPIRY_CHECK_MIN, PROOFS_AT_ONCE, PROOFS_EVERY};
use crate::identity::Identity;
use crate::mux::Side;
use crate::refusal::Violation;
use crate::tls::{Keyring, PROOF_LABEL, is_signed_by, not_after, proof_text};
use crate::wire::Proof;

/// The papers of one lane.
pub(crate) struct Papers {
    keyring: Arc<Keyring>,
    /// The keyring's generation that the far side has seen.
    shown: u64,
    far: Identity,
    side: Side,
    binding: [u8; 32],
    /// The last second at which the far side's certificate holds, unix seconds.
    expires: u64,
    proofs: Pace,
}

impl Papers {
    /// Of a lane whose handshake is over. `shown` is the generation of our keyring before it began. `None` when the far
    /// side showed nothing.
    pub(crate) fn new<D>(
        keyring: &Arc<Keyring>,
        shown: u64,
        far: &Identity,
        side: Side,
        connection: &ConnectionCommon<D>,
    ) -> Option<Self> {
        let expires = not_after(connection.peer_certificates()?.first()?)?;
        let binding = connection.export_keying_material([0; 32], PROOF_LABEL, None).ok()?;
        let (keyring, far) = (keyring.clone(), far.clone());
        Some(Self { keyring, shown, far, side, binding, expires, proofs: pace() })
    }

    /// Has our certificate been replaced by one that the far side does not know?
    pub(super) fn is_renewed(&self) -> bool {
        self.keyring.generation() != self.shown
    }

    /// Proves our newest certificate.
    pub(super) fn prove(&mut self) -> Option<Proof> {
        self.shown = self.keyring.generation();
        let text = |leaf: &CertificateDer<'_>| proof_text(&self.binding, self.side, leaf);
        let (certificate, signature) = self.keyring.sign_for(text).ok()?;
        Some(Proof { certificate: certificate.to_vec().into(), signature: signature.into() })
    }

    /// The far side proves its newest certificate; from then on that one counts.
    pub(super) fn handle_proof(
        &mut self,
        proof: &Proof,
        now: Duration,
        wall: UnixTime,
    ) -> Result<(), Violation> {
        if !self.proofs.admit(now) {
            return Err(Violation::Flood);
        }
        let far_side = self.side.other();
        let leaf = CertificateDer::from(&proof.certificate[..]);
        let is_its = self.keyring.believes(&leaf, &self.far, far_side, wall)
            && is_signed_by(&leaf, &proof_text(&self.binding, far_side, &leaf), &proof.signature);
        self.expires = not_after(&leaf).filter(|_| is_its).ok_or(Violation::ProofInvalid)?;
        Ok(())
    }

    /// When to ask again; `None`: the far side's certificate has expired.
    pub(super) fn next_check(&self, wall: UnixTime) -> Option<Duration> {
        let left = (self.expires + 1).checked_sub(wall.as_secs()).filter(|left| *left > 0)?;
        // The wall clock tells whole seconds, and may be set meanwhile.
        Some(Duration::from_secs(left - 1).clamp(EXPIRY_CHECK_MIN, EXPIRY_CHECK_MAX))
    }
}

fn pace() -> Pace {
    Pace::new(PROOFS_EVERY, PROOFS_AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{Authority, Credentials, Validity};
    use crate::identity::Role;

    const YEAR: Validity = Validity { not_before: 1_700_000_000, not_after: 1_731_536_000 };
    const NOW: u64 = 1_710_000_000;

    fn who(role: Role, name: &str) -> Identity {
        Identity::new(role, name).unwrap()
    }

    fn wall(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn issue(authority: &Authority, role: Role, name: &str, not_after: u64) -> Credentials {
        authority.issue(&who(role, name), Validity { not_after, ..YEAR }).unwrap()
    }

    /// The two ends of a lane between edge `e` and hub `h`, whose certificates hold until the next second but ten.
    fn ends(authority: &Authority, binding: [u8; 32]) -> (Papers, Papers) {
        let end = |role, name, far, side| Papers {
            keyring: Keyring::new(issue(authority, role, name, NOW + 10)).unwrap(),
            shown: 0,
            far,
            side,
            binding,
            expires: NOW + 10,
            proofs: pace(),
        };
        (
            end(Role::Edge, "e", who(Role::Hub, "h"), Side::Dialer),
            end(Role::Hub, "h", who(Role::Edge, "e"), Side::Listener),
        )
    }

    #[test]
    fn a_certificate_holds_through_its_last_second_and_not_through_the_next() {
        let (edge, _) = ends(&Authority::generate(YEAR).unwrap(), [1; 32]);
        assert_eq!(edge.next_check(wall(NOW)), Some(Duration::from_secs(10)));
        assert_eq!(edge.next_check(wall(NOW + 10)), Some(EXPIRY_CHECK_MIN));
        assert_eq!(edge.next_check(wall(NOW + 11)), None);
        assert_eq!(edge.next_check(wall(NOW - 1_000_000)), Some(EXPIRY_CHECK_MAX));
    }

    #[test]
    fn a_renewed_certificate_is_proved_once_to_each_lane_and_extends_it() {
        let authority = Authority::generate(YEAR).unwrap();
        let (mut edge, mut hub) = ends(&authority, [1; 32]);
        assert!(!edge.is_renewed());
        edge.keyring.replace(issue(&authority, Role::Edge, "e", NOW + 1000)).unwrap();
        assert!(edge.is_renewed());
        let proof = edge.prove().unwrap();
        assert!(!edge.is_renewed());
        assert_eq!(hub.handle_proof(&proof, Duration::ZERO, wall(NOW)), Ok(()));
        assert_eq!((hub.expires, edge.expires), (NOW + 1000, NOW + 10));

        hub.keyring.replace(issue(&authority, Role::Hub, "h", NOW + 2000)).unwrap();
        let proof = hub.prove().unwrap();
        assert_eq!(edge.handle_proof(&proof, Duration::ZERO, wall(NOW)), Ok(()));
        assert_eq!(edge.expires, NOW + 2000);
    }

    #[test]
    fn what_proves_nothing_is_a_violation_and_extends_nothing() {
        let authority = Authority::generate(YEAR).unwrap();
        let (mut edge, mut hub) = ends(&authority, [1; 32]);
        let (mut other_lane, mut other_hub) = ends(&authority, [2; 32]);
        let (mut foreign, _) = ends(&Authority::generate(YEAR).unwrap(), [1; 32]);
        let mut other_name = ends(&authority, [1; 32]).0;
        other_name.keyring = Keyring::new(issue(&authority, Role::Edge, "e2", NOW + 1000)).unwrap();
        let mut other_role = ends(&authority, [1; 32]).0;
        other_role.keyring = Keyring::new(issue(&authority, Role::LocalHub, "e", NOW + 1000)).unwrap();
        let mut expired = ends(&authority, [1; 32]).0;
        expired.keyring = Keyring::new(issue(&authority, Role::Edge, "e", NOW - 1)).unwrap();
        let mut stolen = edge.prove().unwrap();
        stolen.certificate = issue(&authority, Role::Edge, "e", NOW + 1000).certificate.to_vec().into();
        let mut garbled = edge.prove().unwrap();
        garbled.certificate = garbled.certificate.slice(..100);
        for (what, proof) in [
            ("replayed from another lane", other_lane.prove().unwrap()),
            ("of another authority", foreign.prove().unwrap()),
            ("of another member", other_name.prove().unwrap()),
            ("of another role", other_role.prove().unwrap()),
            ("of an expired certificate", expired.prove().unwrap()),
            ("of a certificate whose key is not there", stolen),
            ("of no certificate", garbled),
            ("our own, sent back", hub.prove().unwrap()),
            ("of another lane's hub", other_hub.prove().unwrap()),
        ] {
            hub.proofs = pace();
            assert_eq!(
                hub.handle_proof(&proof, Duration::ZERO, wall(NOW)),
                Err(Violation::ProofInvalid),
                "{what}"
            );
            assert_eq!(hub.expires, NOW + 10);
        }
        assert_eq!(hub.handle_proof(&edge.prove().unwrap(), Duration::ZERO, wall(NOW)), Ok(()));
    }

    #[test]
    fn a_server_certificate_is_worth_nothing_on_the_other_side_of_its_usage() {
        // An edge's leaf is for clients only: as a listener's proof it fails by its usage, whatever its name.
        let authority = Authority::generate(YEAR).unwrap();
        let (mut edge, _) = ends(&authority, [1; 32]);
        let mut posing = ends(&authority, [1; 32]).0;
        (posing.side, edge.far) = (Side::Listener, who(Role::Edge, "e"));
        assert_eq!(
            edge.handle_proof(&posing.prove().unwrap(), Duration::ZERO, wall(NOW)),
            Err(Violation::ProofInvalid)
        );
    }
}
