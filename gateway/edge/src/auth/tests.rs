//! Which certificates prove what.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

use super::*;
use crate::fixture;

fn certificate(key: &KeyPair) -> CertificateDer<'static> {
    CertificateParams::new(vec!["whatever.example".into()]).unwrap().self_signed(key).unwrap().der().clone()
}

fn public(key: &KeyPair) -> PublicKey {
    PublicKey(key.public_key_raw().try_into().unwrap())
}

fn card(auth: Auth, key: Option<PublicKey>) -> Card {
    Card { key, ..fixture::card(1, auth) }
}

#[test]
fn the_devices_own_key_proves_it_whoever_signed_the_certificate_and_no_other_does() {
    let (own, other) =
        (KeyPair::generate_for(&PKCS_ED25519).unwrap(), KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let card_of = |key| card(Auth::Key, key);
    let own_card = card_of(Some(public(&own)));
    assert_eq!(proves(&own_card, Some(&[certificate(&own)])), Ok(()));
    assert_eq!(proves(&own_card, Some(&[certificate(&other)])), Err(Reason::KeyMismatch));
    // The first is the client's own; what comes with it is none of ours.
    assert_eq!(proves(&own_card, Some(&[certificate(&other), certificate(&own)])), Err(Reason::KeyMismatch));
    assert_eq!(proves(&own_card, None), Err(Reason::KeyRequired));
    assert_eq!(proves(&own_card, Some(&[])), Err(Reason::KeyRequired));
    assert_eq!(
        proves(&card_of(None), Some(&[certificate(&own)])),
        Err(Reason::KeyMismatch),
        "no key enrolled"
    );
    let weaker = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    assert_eq!(proves(&own_card, Some(&[certificate(&weaker)])), Err(Reason::KeyMismatch));
}

#[test]
fn other_services_ask_for_no_key() {
    for auth in [Auth::Address, Auth::Name] {
        assert_eq!(proves(&card(auth, None), None), Ok(()));
    }
}

#[test]
fn bytes_that_are_no_certificate_are_no_key() {
    let own = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let whole = certificate(&own);
    for cut in 0..whole.len() {
        assert_eq!(key_of(&CertificateDer::from(&whole[..cut])), None);
    }
    let longer = [&whole[..], b"x"].concat();
    assert_eq!(key_of(&CertificateDer::from(longer)), None);
    assert_eq!(key_of(&whole), Some(public(&own)));
}
