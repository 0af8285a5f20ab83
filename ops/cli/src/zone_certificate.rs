//! The zone's certificate where the configuration names none: a private CA in the state folder, a fresh leaf at start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rotator::UnixTime;

use crate::secrets;

/// Days for which the CA and a leaf hold.
const CA_DAYS: u64 = 3650;
const LEAF_DAYS: u64 = 90;
const DAY_S: u64 = 86_400;

/// PEM of a chain and its key.
pub struct Pem {
    pub chain: String,
    pub key: zeroize::Zeroizing<String>,
}

/// Where the CA's certificate lies: clients of a private deployment are given this file.
pub fn ca_file(dir: &Path) -> PathBuf {
    dir.join("ca.pem")
}

/// Issues a leaf for the zone, `*.zone` included, by the CA in `dir`, which is made when it is not there.
///
/// # Errors
/// The CA's files can't be read or written, or are damaged.
pub fn issue(dir: &Path, zone: &str, now: UnixTime) -> Result<Pem> {
    let issuer = authority(dir, zone, now)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new([zone.to_owned(), format!("*.{zone}")])?;
    params.distinguished_name = named(zone);
    hold(&mut params, now, LEAF_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, &issuer)?;
    Ok(Pem { chain: leaf.pem(), key: key.serialize_pem().into() })
}

fn authority(dir: &Path, zone: &str, now: UnixTime) -> Result<Issuer<'static, KeyPair>> {
    let key_pem = secrets::load_or_make(&dir.join("ca.key"), || {
        Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem().into_bytes())
    })?;
    let key = KeyPair::from_pem(std::str::from_utf8(&key_pem)?).context("ca.key holds no private key")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Wandergate private CA for {zone}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    hold(&mut params, now, CA_DAYS);
    let file = ca_file(dir);
    if !file.exists() {
        std::fs::write(&file, params.self_signed(&key)?.pem())?;
    }
    Ok(Issuer::new(params, key))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Sets from when until when a certificate holds; a day of the past for clients whose clocks are behind.
fn hold(params: &mut CertificateParams, now: UnixTime, days: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.minus(DAY_S).secs());
    params.not_after = epoch + Duration::from_secs(now.plus(days * DAY_S).secs());
}
