//! Challenges: a proof of work whose every parameter is inside one seal, so that asking costs the server no memory.
//!
//! A challenge is `base64url(purpose, expiry, bits, nonce, tag)` with
//! `tag = HMAC-SHA256(secret, enc("challenge", zone, purpose, expiry, bits, nonce, network))`. The network is that of
//! the source and is not written down: a challenge that is carried elsewhere does not verify.
//!
//! A solution is a number `s` for which `SHA-256(challenge ":" s in decimal)` begins with at least `bits` zero bits.

use std::fmt;
use std::net::IpAddr;

use data_encoding::BASE64URL_NOPAD;
use defense::Reason;
use ring::digest::{SHA256, digest};
use ring::hmac;
use rotator::UnixTime;
use rotator::enc::enc;

use crate::bounds::{CHALLENGE_TTL_S, POW_BITS_MAX};

/// What a challenge is good for. One purpose's can't be used for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    Enrollment,
    Renewal,
}

impl Purpose {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enrollment => "enrollment",
            Self::Renewal => "renewal",
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Enrollment => 1,
            Self::Renewal => 2,
        }
    }
}

/// A challenge's identity, for the store of those that were answered. Random: nobody chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; NONCE_BYTES]);

const NONCE_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
const HEAD_BYTES: usize = 1 + 8 + 1 + NONCE_BYTES;
const TOKEN_BYTES: usize = HEAD_BYTES + TAG_BYTES;
/// Characters of a challenge.
pub const CHALLENGE_CHARS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// Makes and verifies the challenges of one zone.
pub struct Mint {
    key: hmac::Key,
    zone: Box<str>,
}

/// A challenge that is ours, in time, and meant for this source and purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    pub nonce: Nonce,
    pub expires: UnixTime,
    pub bits: u8,
}

impl Mint {
    /// `secret` is a key of its own, such as `Root::purpose_key("challenge")`.
    pub fn new(secret: &[u8; 32], zone: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), zone: zone.into() }
    }

    /// A new challenge for `source`, and when it expires. `bits` is capped at [`POW_BITS_MAX`].
    pub fn challenge(
        &self,
        purpose: Purpose,
        bits: u8,
        source: IpAddr,
        now: UnixTime,
        nonce: [u8; NONCE_BYTES],
    ) -> (String, UnixTime) {
        let expires = now.plus(CHALLENGE_TTL_S);
        let mut token = [0; TOKEN_BYTES];
        token[0] = purpose.byte();
        token[1..9].copy_from_slice(&expires.secs().to_be_bytes());
        token[9] = bits.min(POW_BITS_MAX);
        token[10..HEAD_BYTES].copy_from_slice(&nonce);
        let tag = hmac::sign(&self.key, &self.sealed(&token[..HEAD_BYTES], source));
        token[HEAD_BYTES..].copy_from_slice(tag.as_ref());
        (BASE64URL_NOPAD.encode(&token), expires)
    }

    /// Verifies the seal first, in constant time, then what it says. Nothing is remembered.
    ///
    /// # Errors
    /// `challenge_invalid` for what is not ours or was meant otherwise, `challenge_expired`.
    pub fn verify(
        &self,
        challenge: &str,
        purpose: Purpose,
        source: IpAddr,
        now: UnixTime,
    ) -> Result<Sound, Reason> {
        if challenge.len() != CHALLENGE_CHARS {
            return Err(Reason::ChallengeInvalid);
        }
        let mut token = [0; TOKEN_BYTES];
        match BASE64URL_NOPAD.decode_mut(challenge.as_bytes(), &mut token) {
            Ok(TOKEN_BYTES) => {}
            Ok(_) | Err(_) => return Err(Reason::ChallengeInvalid),
        }
        let (head, tag) = token.split_at(HEAD_BYTES);
        hmac::verify(&self.key, &self.sealed(head, source), tag).map_err(|_| Reason::ChallengeInvalid)?;
        if head[0] != purpose.byte() {
            return Err(Reason::ChallengeInvalid);
        }
        let expires = UnixTime::from_secs(head[1..9].iter().fold(0, |acc, b| acc << 8 | u64::from(*b)));
        if now >= expires {
            return Err(Reason::ChallengeExpired);
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&head[10..]);
        Ok(Sound { nonce: Nonce(nonce), expires, bits: head[9] })
    }

    fn sealed(&self, head: &[u8], source: IpAddr) -> Vec<u8> {
        let (purpose, rest) = head.split_at(1);
        let (expiry, rest) = rest.split_at(8);
        let (bits, nonce) = rest.split_at(1);
        enc("challenge", &[self.zone.as_bytes(), purpose, expiry, bits, nonce, &network(source)])
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mint({}, masked)", self.zone)
    }
}

impl Sound {
    /// Whether `solution` answers the challenge.
    pub fn solved_by(&self, challenge: &str, solution: u64) -> bool {
        leading_zeros(challenge, solution) >= u32::from(self.bits)
    }
}

/// The least solution: what a client computes. Takes 2^bits hashes on average; `None` if there is none below `tries`.
pub fn solve(challenge: &str, bits: u8, tries: u64) -> Option<u64> {
    (0..tries).find(|solution| leading_zeros(challenge, *solution) >= u32::from(bits))
}

fn leading_zeros(challenge: &str, solution: u64) -> u32 {
    let hash = digest(&SHA256, format!("{challenge}:{solution}").as_bytes());
    let zeros = hash.as_ref().iter().take_while(|b| **b == 0).count();
    let rest = hash.as_ref().get(zeros).map_or(0, |b| b.leading_zeros());
    zeros as u32 * 8 + rest
}

/// The /24 of an IPv4 source, the /48 of an IPv6 one: family, then the leading bytes.
fn network(source: IpAddr) -> [u8; 7] {
    let mut out = [0; 7];
    match source.to_canonical() {
        IpAddr::V4(ip) => {
            out[0] = 4;
            out[1..4].copy_from_slice(&ip.octets()[..3]);
        }
        IpAddr::V6(ip) => {
            out[0] = 6;
            out[1..].copy_from_slice(&ip.octets()[..6]);
        }
    }
    out
}

#[cfg(test)]
#[path = "challenge/tests.rs"]
mod tests;
