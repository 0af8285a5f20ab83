//! One authority and one leaf for all peers, as each of them wants to read it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name in the leaf.
pub const NAME: &str = "localhost";
/// Of the PKCS #12 file, which must have one.
pub const PASSWORD: &str = "bench";

/// Where the files lie.
#[derive(Clone)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Makes them: P-256, as the fabric's own.
    pub fn make(dir: &Path) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "bench authority");
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let made = Self { dir: dir.to_owned() };
        std::fs::write(made.authority(), authority.pem()).unwrap();
        std::fs::write(made.leaf(), leaf.pem()).unwrap();
        std::fs::write(made.key(), key.serialize_pem()).unwrap();
        std::fs::write(made.leaf_and_key(), leaf.pem() + &key.serialize_pem()).unwrap();
        made
    }

    /// Those that another process of this bench has made.
    pub fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn authority(&self) -> PathBuf {
        self.dir.join("authority.pem")
    }

    pub fn leaf(&self) -> PathBuf {
        self.dir.join("leaf.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.join("key.pem")
    }

    /// In one file, as HAProxy reads them.
    pub fn leaf_and_key(&self) -> PathBuf {
        self.dir.join("both.pem")
    }

    /// As rathole reads them.
    pub fn pkcs12(&self) -> PathBuf {
        let file = self.dir.join("leaf.p12");
        let made = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", &format!("pass:{PASSWORD}")])
            .arg("-in")
            .arg(self.leaf())
            .arg("-inkey")
            .arg(self.key())
            .arg("-certfile")
            .arg(self.authority())
            .arg("-out")
            .arg(&file)
            .output()
            .expect("openssl starts");
        assert!(made.status.success(), "openssl pkcs12: {}", String::from_utf8_lossy(&made.stderr));
        file
    }

    /// TLS 1.3 that wants the other's certificate, and shows ours.
    pub fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots(), provider.clone()).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier);
        Arc::new(config.with_single_cert(self.chain(), self.private_key()).unwrap())
    }

    /// The other end of it.
    pub fn client(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots());
        Arc::new(config.with_client_auth_cert(self.chain(), self.private_key()).unwrap())
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.authority()).unwrap()).unwrap();
        Arc::new(roots)
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_file(self.leaf()).unwrap()]
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.key()).unwrap()
    }
}
