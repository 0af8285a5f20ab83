//! Mutual TLS 1.3 and nothing older; identities are read from certificates here and nowhere else.
//!
//! "Signed by our authority" admits nobody by itself. A dialer accepts only the one listener that it means, by role and name;
//! a listener learns the exact identity and asks the wiring what it may do.

use std::fmt;
use std::sync::Arc;

use ::ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use arc_swap::ArcSwap;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::Credentials;
use crate::identity::Identity;

/// A member's credentials, ready for use, replaceable while links are up: new connections take the new ones.
pub struct Keyring {
    identity: Identity,
    current: ArcSwap<Loaded>,
}

struct Loaded {
    server: Arc<ServerConfig>,
    credentials: Credentials,
}

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
        Ok(Arc::new(Self { identity, current: ArcSwap::from_pointee(Loaded::new(credentials)?) }))
    }

    /// Renews: connections made from now on use these; those that stand are not touched.
    ///
    /// # Errors
    /// As [`Keyring::new`], and [`KeyringError::OtherIdentity`].
    pub fn replace(&self, credentials: Credentials) -> Result<(), KeyringError> {
        if credentials.identity != self.identity {
            return Err(KeyringError::OtherIdentity);
        }
        self.current.store(Arc::new(Loaded::new(credentials)?));
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

    /// Our certificate, and a signature with its key (ECDSA P-256, SHA-256, ASN.1) over `text`.
    ///
    /// # Errors
    /// The key is of another kind, or the system gave no randomness.
    pub(crate) fn sign(
        &self,
        text: &[u8],
    ) -> Result<(CertificateDer<'static>, Vec<u8>), ::ring::error::Unspecified> {
        let loaded = self.current.load();
        let random = ::ring::rand::SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            loaded.credentials.key.secret_der(),
            &random,
        )
        .map_err(|_| ::ring::error::Unspecified)?;
        let signature = key.sign(&random, text)?;
        Ok((loaded.credentials.certificate.clone(), signature.as_ref().to_vec()))
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
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&credentials)?), provider.clone())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![credentials.certificate.clone()], credentials.key.clone_key())?;
        // Each connection proves its certificate anew.
        server.send_tls13_tickets = 0;
        Ok(Self { server: Arc::new(server), credentials })
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
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
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
