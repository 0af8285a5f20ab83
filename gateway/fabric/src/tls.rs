//! Mutual TLS 1.3 and nothing older; identities are read from certificates here and nowhere else.
//!
//! "Signed by our authority" admits nobody by itself. A dialer accepts only the one listener that it means, by role and name;
//! a listener learns the exact identity and asks the wiring what it may do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::Credentials;
use crate::identity::Identity;
use crate::mux::Side;

/// A member's credentials, ready for use, replaceable while links are up: new connections take the new ones.
pub struct Keyring {
    identity: Identity,
    current: ArcSwap<Loaded>,
    /// Counts the replacements.
    generation: AtomicU64,
}

struct Loaded {
    server: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
    credentials: Credentials,
}

/// The label under which a lane's text for [`proof_text`] is exported from its TLS connection.
pub const PROOF_LABEL: &[u8] = b"EXPORTER-wandergate-lane-proof";
const PROOF_SIGNED: &[u8] = b"wandergate fabric lane proof 1\0";

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Key, certificate and authority do not fit each other.
    #[error("the credentials do not fit together: {0}")]
    Unfit(#[from] Error),
    /// The new credentials belong to another member.
    #[error("the new credentials name another member")]
    OtherIdentity,
}

impl Keyring {
    /// Checks and loads.
    ///
    /// # Errors
    /// [`KeyringError::Unfit`].
    pub fn new(credentials: Credentials) -> Result<Arc<Self>, KeyringError> {
        let identity = credentials.identity.clone();
        let current = ArcSwap::from_pointee(Loaded::new(credentials)?);
        Ok(Arc::new(Self { identity, current, generation: AtomicU64::new(0) }))
    }

    /// Renews: connections made from now on use these, and those that stand prove them to their far side soon.
    ///
    /// # Errors
    /// As [`Keyring::new`], and [`KeyringError::OtherIdentity`].
    pub fn replace(&self, credentials: Credentials) -> Result<(), KeyringError> {
        if credentials.identity != self.identity {
            return Err(KeyringError::OtherIdentity);
        }
        self.current.store(Arc::new(Loaded::new(credentials)?));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Who we are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The authority that is believed.
    pub(crate) fn roots(&self) -> Result<RootCertStore, Error> {
        roots(&self.current.load().credentials)
    }

    /// Changes with every replacement; what is used after reading it is of this generation or a later one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Is it a certificate that `far` may show now, at its side of a connection? Whether the key is there as well is a
    /// matter of signatures.
    pub(crate) fn believes(
        &self,
        leaf: &CertificateDer<'_>,
        far: &Identity,
        side: Side,
        now: UnixTime,
    ) -> bool {
        let loaded = self.current.load();
        let is_valid = match side {
            Side::Dialer => loaded.clients.verify_client_cert(leaf, &[], now).is_ok(),
            Side::Listener => roots(&loaded.credentials).is_ok_and(|roots| {
                verify_listener(leaf, &[], &roots, now, &ring::default_provider()).is_ok()
            }),
        };
        is_valid && identity_of(leaf).as_ref() == Some(far)
    }

    /// As [`Keyring::sign`], over the text that `text` makes of our certificate.
    ///
    /// # Errors
    /// As [`Keyring::sign`].
    pub(crate) fn sign_for(
        &self,
        text: impl FnOnce(&CertificateDer<'_>) -> Vec<u8>,
    ) -> Result<(CertificateDer<'static>, Vec<u8>), ::ring::error::Unspecified> {
        let loaded = self.current.load();
        loaded.sign(&text(&loaded.credentials.certificate))
    }

    /// Our certificate, and a signature with its key (ECDSA P-256, SHA-256, ASN.1) over `text`.
    ///
    /// # Errors
    /// The key is of another kind, or the system gave no randomness.
    pub(crate) fn sign(
        &self,
        text: &[u8],
    ) -> Result<(CertificateDer<'static>, Vec<u8>), ::ring::error::Unspecified> {
        self.current.load().sign(text)
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.current.load().server.clone()
    }

    /// A client that believes one listener, by role and name, if our role may dial it.
    pub(crate) fn client(&self, listener: &Identity) -> Result<Arc<ClientConfig>, Error> {
        if !self.identity.role().may_dial(listener.role()) {
            return Err(Error::General("this role does not dial that one".into()));
        }
        let loaded = self.current.load();
        let credentials = &loaded.credentials;
        let verifier = OneListener {
            listener: listener.clone(),
            roots: roots(credentials)?,
            provider: ring::default_provider(),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(vec![credentials.certificate.clone()], credentials.key.clone_key())?;
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Loaded {
    fn new(credentials: Credentials) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&credentials)?), provider.clone())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(clients.clone())
            .with_single_cert(vec![credentials.certificate.clone()], credentials.key.clone_key())?;
        // Each connection proves its certificate anew.
        server.send_tls13_tickets = 0;
        Ok(Self { server: Arc::new(server), clients, credentials })
    }

    fn sign(&self, text: &[u8]) -> Result<(CertificateDer<'static>, Vec<u8>), ::ring::error::Unspecified> {
        let random = ::ring::rand::SystemRandom::new();
        let key = self.credentials.key.secret_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &random)
            .map_err(|_| ::ring::error::Unspecified)?;
        let signature = key.sign(&random, text)?;
        Ok((self.credentials.certificate.clone(), signature.as_ref().to_vec()))
    }
}

fn roots(credentials: &Credentials) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(credentials.authority.clone())?;
    Ok(roots)
}

/// The identity in a certificate that has been verified: exactly one subject alternative name, a URI of ours.
pub(crate) fn identity_of(certificate: &CertificateDer<'_>) -> Option<Identity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = &parsed.subject_alternative_name().ok()??.value.general_names;
    match names.as_slice() {
        [GeneralName::URI(uri)] => Identity::from_uri(uri),
        _ => None,
    }
}

/// What a renewed certificate's key signs in a lane: good for this connection, this side of it, and this certificate only.
/// `binding` is exported from the connection under [`PROOF_LABEL`].
pub fn proof_text(binding: &[u8; 32], side: Side, leaf: &CertificateDer<'_>) -> Vec<u8> {
    let side = match side {
        Side::Dialer => 0,
        Side::Listener => 1,
    };
    let hash = ::ring::digest::digest(&::ring::digest::SHA256, leaf);
    [PROOF_SIGNED, binding, &[side], hash.as_ref()].concat()
}

/// Did the key of this certificate sign this text (ECDSA P-256, SHA-256, ASN.1)?
pub(crate) fn is_signed_by(leaf: &CertificateDer<'_>, text: &[u8], signature: &[u8]) -> bool {
    X509Certificate::from_der(leaf).is_ok_and(|(_, parsed)| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data)
            .verify(text, signature)
            .is_ok()
    })
}

/// The last second at which a certificate holds, unix seconds.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok()
}

fn verify_listener(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(leaf)?;
    let algorithms = provider.signature_verification_algorithms.all;
    rustls::client::verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
}

/// Believes the certificate of one listener.
#[derive(Debug)]
struct OneListener {
    listener: Identity,
    roots: RootCertStore,
    provider: CryptoProvider,
}

impl ServerCertVerifier for OneListener {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_listener(end_entity, intermediates, &self.roots, now, &self.provider)?;
        if identity_of(end_entity).as_ref() != Some(&self.listener) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
