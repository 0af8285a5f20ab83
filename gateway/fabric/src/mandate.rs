//! What an active hub shows to prove that it is one: the signed votes of a majority of its plane. Pure.
//!
//! ```text
//! mandate:  format u8 = 1, plane, term u64, active, count u8, count × vote
//! vote:     issued at u64 (unix seconds), certificate (length u16, DER), signature (length u8, ASN.1 DER)
//! signed:   "wandergate fabric vote 1\0", plane, term u64, active, issued at u64
//! ```
//!
//! Integers are big-endian, a *name* is a length u8 and so many bytes that [`is_name`] allows. The voter's name is that in
//! its certificate, a leaf of the fabric's authority (P-256, SHA-256). A member that was told a plane's instances believes
//! a hub only with the votes of more than half of them, each by its own valid certificate, for this plane, term and hub.
//! So a stolen certificate of any other member elects nobody, a stolen hub is one vote, and a term cannot be made up.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::bounds::{
    CERTIFICATE_MAX, INSTANCES_MAX, MANDATE_MAX, NAME_MAX, SIGNATURE_MAX, VOTE_AGE_MAX_S, VOTE_AHEAD_MAX_S,
};
use crate::identity::{Identity, Role};
use crate::refusal::is_name;
use crate::tls::{Keyring, identity_of};

#[cfg(test)]
mod tests;

const FORMAT: u8 = 1;
const SIGNED: &[u8] = b"wandergate fabric vote 1\0";

/// A plane as its members know it: its name, its hubs, and the authority that names them.
#[derive(Clone, Debug)]
pub struct PlaneRoster {
    plane: Box<str>,
    instances: BTreeSet<Box<str>>,
    roots: RootCertStore,
}

/// A plane that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The plane or one of its hubs.
    #[error("a name of a plane or hub is 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName,
    /// None, or more than [`INSTANCES_MAX`].
    #[error("a plane has 1 to {INSTANCES_MAX} hubs")]
    Size,
    /// Two of them have one name.
    #[error("two hubs of a plane have the same name")]
    Doubled,
    /// The keyring holds no usable authority.
    #[error("the authority's certificate cannot be used")]
    Authority,
}

/// One signed vote, for a plane, term and candidate that are known from where it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// When it was signed, unix seconds.
    pub issued_at: u64,
    /// The voter's certificate, DER.
    pub certificate: Bytes,
    /// Over [`vote_text`].
    pub signature: Bytes,
}

/// What an active shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// The plane.
    pub plane: String,
    /// The term, from 1.
    pub term: u64,
    /// The hub that the votes are for.
    pub active: String,
    /// The votes, at most [`INSTANCES_MAX`].
    pub votes: Vec<Vote>,
}

/// What a mandate proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The term.
    pub term: u64,
    /// The active hub of that term.
    pub active: String,
}

/// Why a mandate proves nothing. Members are told `mandate_invalid` for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum MandateError {
    /// It does not parse, or is too long.
    #[error("the mandate is malformed")]
    Malformed,
    /// It is for another plane.
    #[error("the mandate is for another plane")]
    OtherPlane,
    /// It is for a hub that the plane does not have, or for term 0.
    #[error("the mandate is for a hub that the plane does not have")]
    OtherHub,
    /// A voter's certificate is not of our authority, not valid now, or not a hub's.
    #[error("the certificate of a vote is not valid now, or not of our authority")]
    CertificateInvalid,
    /// A voter is not of the plane, or votes twice.
    #[error("a vote is by nobody of the plane, or the second of one hub")]
    VoterUnknown,
    /// A signature is wrong: another plane, term, hub or time was signed.
    #[error("a vote's signature does not fit")]
    SignatureInvalid,
    /// A vote is older than [`VOTE_AGE_MAX_S`] or from the future.
    #[error("a vote is too old, or from the future")]
    VoteStale,
    /// Half of the hubs, or less.
    #[error("the votes are no majority")]
    TooFewVotes,
}

impl PlaneRoster {
    /// A plane of these hubs, by the authority that `keyring` trusts.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn new<'a>(
        plane: &str,
        instances: impl IntoIterator<Item = &'a str>,
        keyring: &Keyring,
    ) -> Result<Self, RosterError> {
        let mut names = BTreeSet::new();
        for name in instances.into_iter().take(INSTANCES_MAX + 1) {
            if !is_name(name) {
                return Err(RosterError::NotAName);
            }
            if !names.insert(name.into()) {
                return Err(RosterError::Doubled);
            }
        }
        if !is_name(plane) {
            return Err(RosterError::NotAName);
        }
        if names.is_empty() || names.len() > INSTANCES_MAX {
            return Err(RosterError::Size);
        }
        let roots = keyring.roots().map_err(|_| RosterError::Authority)?;
        Ok(Self { plane: plane.into(), instances: names, roots })
    }

    /// The plane's name.
    pub fn plane(&self) -> &str {
        &self.plane
    }

    /// Its hubs, sorted.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = &str> {
        self.instances.iter().map(|name| &**name)
    }

    /// Is this one of its hubs?
    pub fn has(&self, name: &str) -> bool {
        self.instances.contains(name)
    }

    /// Votes that make an active.
    pub fn majority(&self) -> usize {
        self.instances.len() / 2 + 1
    }

    /// Who cast this vote, if it is a good one now.
    ///
    /// # Errors
    /// [`MandateError`]: certificate, voter, signature or time.
    pub fn voter(
        &self,
        vote: &Vote,
        term: u64,
        candidate: &str,
        now: UnixTime,
    ) -> Result<String, MandateError> {
        let certificate = CertificateDer::from(&vote.certificate[..]);
        let who = self.hub_of(&certificate, now)?;
        if !self.has(who.name()) {
            return Err(MandateError::VoterUnknown);
        }
        let text = vote_text(&self.plane, term, candidate, vote.issued_at);
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| MandateError::CertificateInvalid)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data)
            .verify(&text, &vote.signature)
            .map_err(|_| MandateError::SignatureInvalid)?;
        let age = now.as_secs().saturating_sub(vote.issued_at);
        let ahead = vote.issued_at.saturating_sub(now.as_secs());
        if age > VOTE_AGE_MAX_S || ahead > VOTE_AHEAD_MAX_S {
            return Err(MandateError::VoteStale);
        }
        Ok(who.name().to_owned())
    }

    /// Whose certificate it is, if it is a hub's, of our authority and valid now.
    fn hub_of(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<Identity, MandateError> {
        let invalid = |_| MandateError::CertificateInvalid;
        let parsed = ParsedCertificate::try_from(certificate).map_err(invalid)?;
        let algorithms = default_provider().signature_verification_algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], now, algorithms)
            .map_err(invalid)?;
        identity_of(certificate).filter(|who| who.role() == Role::Hub).ok_or(MandateError::CertificateInvalid)
    }
}

impl Vote {
    /// The last second of the voter's certificate, unix seconds; `None` when it cannot be read.
    pub fn not_after(&self) -> Option<u64> {
        let (_, parsed) = X509Certificate::from_der(&self.certificate).ok()?;
        u64::try_from(parsed.validity().not_after.timestamp()).ok()
    }

    /// Appends it.
    pub fn encode(&self, out: &mut BytesMut) {
        debug_assert!(self.certificate.len() <= CERTIFICATE_MAX && self.signature.len() <= SIGNATURE_MAX);
        out.put_u64(self.issued_at);
        out.put_u16(self.certificate.len() as u16);
        out.put_slice(&self.certificate);
        out.put_u8(self.signature.len() as u8);
        out.put_slice(&self.signature);
    }

    /// Takes one off the front; `None` when it does not parse.
    pub fn decode(rest: &mut Bytes) -> Option<Self> {
        let issued_at = rest.try_get_u64().ok()?;
        let certificate = usize::from(rest.try_get_u16().ok()?);
        let certificate = take(rest, certificate, CERTIFICATE_MAX)?;
        let signature = usize::from(rest.try_get_u8().ok()?);
        let signature = take(rest, signature, SIGNATURE_MAX)?;
        Some(Self { issued_at, certificate, signature })
    }
}

impl Mandate {
    /// Its bytes, at most [`MANDATE_MAX`]. The caller has bounded names and votes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(1024);
        out.put_u8(FORMAT);
        put_name(&mut out, &self.plane);
        out.put_u64(self.term);
        put_name(&mut out, &self.active);
        out.put_u8(self.votes.len() as u8);
        self.votes.iter().for_each(|vote| vote.encode(&mut out));
        debug_assert!(out.len() <= MANDATE_MAX);
        out.freeze()
    }

    /// Reads what [`Mandate::encode`] wrote; believes nothing of it.
    ///
    /// # Errors
    /// [`MandateError::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MandateError> {
        if bytes.len() > MANDATE_MAX {
            return Err(MandateError::Malformed);
        }
        let mut rest = Bytes::copy_from_slice(bytes);
        let mandate = Self::take(&mut rest).ok_or(MandateError::Malformed)?;
        if rest.is_empty() { Ok(mandate) } else { Err(MandateError::Malformed) }
    }

    fn take(rest: &mut Bytes) -> Option<Self> {
        if rest.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let plane = take_name(rest)?;
        let term = rest.try_get_u64().ok()?;
        let active = take_name(rest)?;
        let count = usize::from(rest.try_get_u8().ok()?);
        if count > INSTANCES_MAX {
            return None;
        }
        let votes = (0..count).map(|_| Vote::decode(rest)).collect::<Option<_>>()?;
        Some(Self { plane, term, active, votes })
    }

    /// What these bytes prove to a member of `roster` at `now`.
    ///
    /// # Errors
    /// [`MandateError`]. One bad vote spoils all: a hub that shows one is lying.
    pub fn verify(bytes: &[u8], roster: &PlaneRoster, now: UnixTime) -> Result<Proven, MandateError> {
        let mandate = Self::decode(bytes)?;
        if mandate.plane != roster.plane() {
            return Err(MandateError::OtherPlane);
        }
        if !roster.has(&mandate.active) || mandate.term == 0 {
            return Err(MandateError::OtherHub);
        }
        let mut voters = BTreeSet::new();
        for vote in &mandate.votes {
            if !voters.insert(roster.voter(vote, mandate.term, &mandate.active, now)?) {
                return Err(MandateError::VoterUnknown);
            }
        }
        if voters.len() < roster.majority() {
            return Err(MandateError::TooFewVotes);
        }
        Ok(Proven { term: mandate.term, active: mandate.active })
    }
}

/// The text that a voter signs.
pub fn vote_text(plane: &str, term: u64, candidate: &str, issued_at: u64) -> Vec<u8> {
    let mut text = BytesMut::with_capacity(64);
    text.put_slice(SIGNED);
    put_name(&mut text, plane);
    text.put_u64(term);
    put_name(&mut text, candidate);
    text.put_u64(issued_at);
    text.into()
}

fn put_name(out: &mut BytesMut, name: &str) {
    debug_assert!(name.len() <= NAME_MAX);
    out.put_u8(name.len() as u8);
    out.put_slice(name.as_bytes());
}

fn take(rest: &mut Bytes, length: usize, most: usize) -> Option<Bytes> {
    (length <= most && length <= rest.len()).then(|| rest.split_to(length))
}

fn take_name(rest: &mut Bytes) -> Option<String> {
    let length = usize::from(rest.try_get_u8().ok()?);
    let name = take(rest, length, NAME_MAX)?;
    std::str::from_utf8(&name).ok().filter(|name| is_name(name)).map(str::to_owned)
}
