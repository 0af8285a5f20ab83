//! Proof that a device holds the private half of its key: an Ed25519 signature over a statement of what it asks for.

use data_encoding::HEXLOWER_PERMISSIVE;
use defense::Reason;
use ring::signature::{ED25519, UnparsedPublicKey};
use rotator::Class;
use rotator::enc::enc;
use state::records::{InviteHash, PublicKey};

use crate::challenge::Purpose;

/// What a device signs. It binds the key to one zone, one purpose, one occasion (challenge or invite), one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    pub zone: &'a str,
    pub purpose: Purpose,
    /// The challenge as it was received; empty if there is none.
    pub challenge: &'a str,
    /// [`crate::invite::Code::hash`], if there is an invite.
    pub invite: Option<InviteHash>,
    pub public_key: PublicKey,
    /// The name as it is sent; empty in a renewal.
    pub device: &'a str,
    /// As it is sent; `None` in a renewal.
    pub class: Option<Class>,
    /// Whether a renewal asks for new addresses at once.
    pub reissue: bool,
}

impl Statement<'_> {
    /// The bytes that are signed: `enc("statement", zone, purpose, challenge, invite hash or empty, public key, device,
    /// class or empty, reissue as 0 or 1)`.
    pub fn bytes(&self) -> Vec<u8> {
        let invite: &[u8] = self.invite.as_ref().map_or(&[], |hash| &hash.0);
        enc(
            "statement",
            &[
                self.zone.as_bytes(),
                self.purpose.name().as_bytes(),
                self.challenge.as_bytes(),
                invite,
                &self.public_key.0,
                self.device.as_bytes(),
                self.class.map_or("", class_name).as_bytes(),
                &[u8::from(self.reissue)],
            ],
        )
    }

    /// Verifies `proof`, a signature in hex, by the statement's own key.
    ///
    /// # Errors
    /// `key_invalid` for a key that nobody's private half fits alone, `key_proof_wrong` for any other failure.
    pub fn verify(&self, proof: &str) -> Result<(), Reason> {
        if low_order(&self.public_key) {
            return Err(Reason::KeyInvalid);
        }
        let mut signature = [0; SIGNATURE_BYTES];
        if proof.len() != SIGNATURE_BYTES * 2 {
            return Err(Reason::KeyProofWrong);
        }
        match HEXLOWER_PERMISSIVE.decode_mut(proof.as_bytes(), &mut signature) {
            Ok(SIGNATURE_BYTES) => {}
            Ok(_) | Err(_) => return Err(Reason::KeyProofWrong),
        }
        UnparsedPublicKey::new(&ED25519, &self.public_key.0)
            .verify(&self.bytes(), &signature)
            .map_err(|_| Reason::KeyProofWrong)
    }
}

const SIGNATURE_BYTES: usize = 64;

/// The word for a class, in statements, JSON and records.
pub const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Name => "name",
        Class::Agent => "agent",
    }
}

/// A public key from its 64 hex digits, in any case.
///
/// # Errors
/// `key_invalid`.
pub fn public_key(text: &str) -> Result<PublicKey, Reason> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| Reason::KeyInvalid)?;
    bytes.try_into().map(PublicKey).map_err(|_| Reason::KeyInvalid)
}

/// Points of small order, canonical and not (y = 0, 1, p − 1, p, p + 1, and the two of order 8): for them signatures
/// exist that need no private key. Compared without the sign bit.
fn low_order(key: &PublicKey) -> bool {
    let mut y = key.0;
    y[31] &= 0x7f;
    LOW_ORDER.contains(&y)
}

const LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    small(1),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    near_p(0xec),
    near_p(0xed),
    near_p(0xee),
];

const fn small(value: u8) -> [u8; 32] {
    let mut out = [0; 32];
    out[0] = value;
    out
}

/// p is 2^255 − 19: little-endian `ed ff … ff 7f`.
const fn near_p(first: u8) -> [u8; 32] {
    let mut out = [0xff; 32];
    out[0] = first;
    out[31] = 0x7f;
    out
}

#[cfg(test)]
#[path = "keys/tests.rs"]
mod tests;
