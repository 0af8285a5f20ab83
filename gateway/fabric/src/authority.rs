//! The fabric's own certificate authority: one P-256 root, short-lived leaves that name a role and a member.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::{Identity, Role};

const AUTHORITY_NAME: &str = "Wandergate fabric authority";
/// The last second of the year 9999, the end of X.509's time.
const LAST_SECOND: u64 = 253_402_300_799;

/// From when until when a certificate holds, unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
}

/// Signs leaves. Belongs on no edge and no hub: whoever holds it is everybody.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What a member shows and signs with, and whom it believes.
pub struct Credentials {
    pub(crate) identity: Identity,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authority: CertificateDer<'static>,
}

/// Why no certificate came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// The end comes before the beginning.
    #[error("the validity ends before it begins")]
    ValidityEmpty,
    /// The PEM text holds no key or certificate of ours.
    #[error("the PEM text does not hold what belongs here")]
    NotOurs,
    /// The signer failed.
    #[error("the certificate could not be made")]
    Signing,
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Errors
    /// [`AuthorityError::ValidityEmpty`]; [`AuthorityError::Signing`] when the system has no randomness.
    pub fn generate(validity: Validity) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| AuthorityError::Signing)?;
        let mut params = authority_params();
        set_validity(&mut params, validity)?;
        let certificate = params.self_signed(&key).map_err(|_| AuthorityError::Signing)?;
        Ok(Self { certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// Certificate and private key, for a file of mode 0600.
    pub fn to_secret_pem(&self) -> String {
        pem_text(&self.certificate, &self.issuer.key().serialize_pem())
    }

    /// Reads what [`Authority::to_secret_pem`] wrote.
    ///
    /// # Errors
    /// [`AuthorityError::NotOurs`].
    pub fn from_secret_pem(pem: &str) -> Result<Self, AuthorityError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| AuthorityError::NotOurs)?.into_owned();
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| AuthorityError::NotOurs)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| AuthorityError::NotOurs)?;
        Ok(Self { certificate, issuer: Issuer::new(authority_params(), key) })
    }

    /// A fresh key and a leaf for one member.
    ///
    /// # Errors
    /// [`AuthorityError::ValidityEmpty`]; [`AuthorityError::Signing`] when the system has no randomness.
    pub fn issue(&self, identity: &Identity, validity: Validity) -> Result<Credentials, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| AuthorityError::Signing)?;
        let mut params = CertificateParams::default();
        set_validity(&mut params, validity)?;
        let uri = identity.to_uri().try_into().map_err(|_| AuthorityError::Signing)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages(identity.role());
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|_| AuthorityError::Signing)?;
        Ok(Credentials {
            identity: identity.clone(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            authority: self.certificate.clone(),
        })
    }
}

impl Credentials {
    /// Whose they are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Leaf, private key and the authority's certificate, for a file of mode 0600.
    pub fn to_secret_pem(&self) -> String {
        let leaf = pem_text(&self.certificate, &pem_block("PRIVATE KEY", self.key.secret_der()));
        leaf + &pem_block("CERTIFICATE", &self.authority)
    }

    /// Reads what [`Credentials::to_secret_pem`] wrote.
    ///
    /// # Errors
    /// [`AuthorityError::NotOurs`].
    pub fn from_secret_pem(pem: &str) -> Result<Self, AuthorityError> {
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        let mut next = || {
            certificates
                .next()
                .and_then(Result::ok)
                .map(CertificateDer::into_owned)
                .ok_or(AuthorityError::NotOurs)
        };
        let (certificate, authority) = (next()?, next()?);
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| AuthorityError::NotOurs)?;
        let identity = crate::tls::identity_of(&certificate).ok_or(AuthorityError::NotOurs)?;
        Ok(Self { identity, certificate, key, authority })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Hubs and local hubs listen; everybody dials.
fn usages(role: Role) -> Vec<ExtendedKeyUsagePurpose> {
    match role {
        Role::Hub | Role::LocalHub => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
        Role::Edge | Role::Server => vec![ExtendedKeyUsagePurpose::ClientAuth],
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_validity(params: &mut CertificateParams, validity: Validity) -> Result<(), AuthorityError> {
    if validity.not_after < validity.not_before {
        return Err(AuthorityError::ValidityEmpty);
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(validity.not_before.min(LAST_SECOND));
    params.not_after = epoch + Duration::from_secs(validity.not_after.min(LAST_SECOND));
    Ok(())
}

fn pem_text(certificate: &CertificateDer<'_>, key_pem: &str) -> String {
    pem_block("CERTIFICATE", certificate) + key_pem
}

/// RFC 7468.
fn pem_block(label: &str, der: &[u8]) -> String {
    use std::fmt::Write;
    let encoded = BASE64.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        // Writing to a String cannot fail, and base64 is ASCII.
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Validity = Validity { not_before: 1_700_000_000, not_after: 1_731_536_000 };

    #[test]
    fn an_authority_and_its_leaves_survive_their_files() {
        let authority = Authority::generate(YEAR).unwrap();
        let again = Authority::from_secret_pem(&authority.to_secret_pem()).unwrap();
        assert_eq!(again.certificate, authority.certificate);
        let who = Identity::new(Role::Edge, "e1").unwrap();
        let leaf = again.issue(&who, YEAR).unwrap();
        let leaf_again = Credentials::from_secret_pem(&leaf.to_secret_pem()).unwrap();
        assert_eq!(leaf_again.identity(), &who);
        assert_eq!(leaf_again.authority, authority.certificate);
        assert_eq!(leaf_again.key.secret_der(), leaf.key.secret_der());
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "garbage"] {
            assert!(Authority::from_secret_pem(text).is_err());
            assert!(Credentials::from_secret_pem(text).is_err());
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let authority = Authority::generate(YEAR).unwrap();
        let leaf = authority.issue(&Identity::new(Role::Hub, "h").unwrap(), YEAR).unwrap();
        assert_eq!(format!("{authority:?}"), "Authority { .. }");
        assert!(!format!("{leaf:?}").contains("key"));
    }

    #[test]
    fn an_empty_validity_is_refused_and_a_far_one_is_cut() {
        let empty = Validity { not_before: 2, not_after: 1 };
        assert_eq!(Authority::generate(empty).unwrap_err(), AuthorityError::ValidityEmpty);
        assert!(Authority::generate(Validity { not_before: 0, not_after: u64::MAX }).is_ok());
    }
}
