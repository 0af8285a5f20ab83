//! Who a connection is by its device's key: what a handshake must show, and whether that is the grant's own.
//!
//! A service with `auth = "key"` asks for a client certificate. Only its key counts: it must be the Ed25519 key with which
//! the grant's device is enrolled, and the handshake proves that the client has its private half. Who signed the
//! certificate, its names and its dates say nothing: the enrolment does, and a revocation ends it at once on every edge.
//! TLS 1.3 alone: before it, a client certificate travels in the clear and tells an observer which device calls.
//!
//! For QUIC the same: the configuration of [`Certificates::keyed_config`], then [`proves`] with what the connection shows
//! before anything it sends is looked at.
//!
//! [`Certificates::keyed_config`]: crate::Certificates::keyed_config

use std::sync::Arc;

use defense::Reason;
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use state::Card;
use state::records::{Auth, PublicKey};
use x509_parser::der_parser::asn1_rs::oid;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether a handshake has shown what the card's service asks for. `shown` are the client's certificates, its own first.
///
/// # Errors
/// `key_required`, or `key_mismatch` (another key than the device's, or a device that has none).
pub fn proves(card: &Card, shown: Option<&[CertificateDer<'_>]>) -> Result<(), Reason> {
    match card.auth {
        Auth::Address | Auth::Name => Ok(()),
        Auth::Key => {
            let certificate = shown.and_then(<[_]>::first).ok_or(Reason::KeyRequired)?;
            let key = key_of(certificate).ok_or(Reason::KeyMismatch)?;
            if card.key == Some(key) { Ok(()) } else { Err(Reason::KeyMismatch) }
        }
    }
}

/// Why a handshake failed that asked for a key: a client without one is told apart.
pub fn failure(error: &Error) -> Reason {
    match error {
        Error::NoCertificatesPresented => Reason::KeyRequired,
        Error::InvalidCertificate(_) => Reason::KeyMismatch,
        _ => Reason::HandshakeFailed,
    }
}

/// The Ed25519 key of a certificate (RFC 8410); `None` for any other kind, or bytes that are no certificate.
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    let info = parsed.public_key();
    let is_ed25519 = info.algorithm.algorithm == oid!(1.3.101.112) && rest.is_empty();
    let key = info.subject_public_key.data.as_ref().try_into().ok()?;
    is_ed25519.then_some(PublicKey(key))
}

/// Asks for a certificate and takes any of an Ed25519 key whose private half signed this handshake. Whose it is, is found
/// out afterwards: a resumed session is not asked again, and is judged by what it showed at first.
#[derive(Debug)]
pub struct AnyDevice;

impl AnyDevice {
    pub fn verifier() -> Arc<dyn ClientCertVerifier> {
        Arc::new(Self)
    }
}

impl ClientCertVerifier for AnyDevice {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match key_of(end_entity) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let wrong = || Error::from(CertificateError::BadSignature);
        let key = key_of(certificate).filter(|_| signed.scheme == SignatureScheme::ED25519);
        let key = UnparsedPublicKey::new(&ED25519, key.ok_or_else(wrong)?.0);
        key.verify(message, signed.signature()).map_err(|_| wrong())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests;
