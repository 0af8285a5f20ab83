//! The certificate now: swapped without a restart, checked before it is taken.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::auth::AnyDevice;

/// One certificate for every name of the zone (`*.zone`). Clones share it.
#[derive(Clone)]
pub struct Certificates(Arc<ArcSwap<CertifiedKey>>);

/// Why a certificate is refused; the one before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate chain is not readable PEM: {0}")]
    Chain(rustls_pki_types::pem::Error),
    #[error("the private key is not readable PEM")]
    Key,
    #[error("the chain is empty")]
    Empty,
    #[error("key and certificate do not belong together: {0}")]
    Mismatch(rustls::Error),
}

impl Certificates {
    /// # Errors
    /// The PEM can't be read, or key and certificate do not match.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(certified(chain, key)?))))
    }

    /// Takes a new certificate for handshakes from now on.
    ///
    /// # Errors
    /// As [`Certificates::from_pem`]; the old one stays.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        self.0.store(Arc::new(certified(chain, key)?));
        Ok(())
    }

    /// A TLS 1.2 and 1.3 configuration that always serves the newest certificate. No early data: it can be replayed.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let both = [&version::TLS13, &version::TLS12];
        self.config(&both, Arc::new(NoClientAuth))
    }

    /// The same for services that ask for the device's key: see [`crate::auth`]. TLS 1.3 alone.
    pub fn keyed_config(&self) -> Arc<ServerConfig> {
        self.config(&[&version::TLS13], AnyDevice::verifier())
    }

    fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        // Both versions are supported by the provider: this can't fail.
        #[expect(clippy::expect_used, reason = "constant input")]
        let builder = builder.with_protocol_versions(versions).expect("ring has both");
        let mut config =
            builder.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(masked)")
    }
}

fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(CertificateError::Chain)?;
    if chain.is_empty() {
        return Err(CertificateError::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(CertificateError::Mismatch)
}
