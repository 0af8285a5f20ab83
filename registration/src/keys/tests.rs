//! Only the private half of the very key, over the very statement, is a proof.

use proptest::prelude::*;

use super::*;
use crate::client::DeviceKey;

fn statement(key: &DeviceKey) -> Statement<'static> {
    Statement {
        zone: "edge.example.net",
        purpose: Purpose::Enrollment,
        challenge: "challenge",
        invite: Some(InviteHash([1; 32])),
        public_key: key.public(),
        device: "thinkpad",
        class: Some(Class::Agent),
        reissue: false,
    }
}

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32]).unwrap()
}

#[test]
fn r3_15_the_proof_is_a_signature_and_the_private_half_is_in_nothing_that_is_sent() {
    let key = key(1);
    let statement = statement(&key);
    let proof = key.sign(&statement);
    assert_eq!(statement.verify(&proof), Ok(()));
    assert_eq!(statement.verify(&proof.to_uppercase()), Ok(()));
    let seed = "01".repeat(32);
    assert!(!proof.contains(&seed) && !statement.public_key.to_string().contains(&seed));
    let plain = Statement { invite: None, ..statement };
    assert!(!plain.bytes().windows(32).any(|w| w == [1; 32]));
    assert!(!format!("{key:?}").contains("0101"));
}

#[test]
fn a_proof_over_any_other_statement_is_refused() {
    let key = key(1);
    let signed = statement(&key);
    let proof = key.sign(&signed);
    let others = [
        Statement { zone: "edge.example.org", ..signed },
        Statement { purpose: Purpose::Renewal, ..signed },
        Statement { challenge: "another", ..signed },
        Statement { invite: None, ..signed },
        Statement { invite: Some(InviteHash([2; 32])), ..signed },
        Statement { public_key: self::key(2).public(), ..signed },
        Statement { device: "desktop", ..signed },
        Statement { class: Some(Class::Name), ..signed },
        Statement { class: None, ..signed },
        Statement { reissue: true, ..signed },
    ];
    for other in others {
        assert_eq!(other.verify(&proof), Err(Reason::KeyProofWrong), "{other:?}");
    }
}

#[test]
fn malformed_keys_and_proofs_are_refused() {
    for bad in ["", "00", &"g".repeat(64), &"0".repeat(63), &"0".repeat(66)] {
        assert_eq!(public_key(bad), Err(Reason::KeyInvalid), "{bad}");
    }
    let key = key(1);
    let proof = key.sign(&statement(&key));
    for bad in ["", "00", &proof[2..], &format!("{proof}00"), &"0".repeat(128), &proof.replace('0', "x")] {
        assert_eq!(statement(&key).verify(bad), Err(Reason::KeyProofWrong), "{bad}");
    }
}

#[test]
fn a_key_for_which_anybody_can_sign_is_refused() {
    // R = the identity, S = 0: for a point of small order this verifies over some of any few statements.
    let forged = format!("01{}", "00".repeat(63));
    let mut forgeable = 0;
    for point in LOW_ORDER {
        for sign in [0, 0x80] {
            let mut bytes = point;
            bytes[31] |= sign;
            let public_key = PublicKey(bytes);
            let challenges: Vec<String> = (0..128).map(|n| n.to_string()).collect();
            for challenge in &challenges {
                let statement = Statement { public_key, challenge, ..statement(&key(1)) };
                assert_eq!(statement.verify(&forged), Err(Reason::KeyInvalid));
            }
            let raw = |challenge: &str| {
                let bytes = Statement { public_key, challenge, ..statement(&key(1)) }.bytes();
                let mut signature = [0; 64];
                signature[0] = 1;
                UnparsedPublicKey::new(&ED25519, &public_key.0).verify(&bytes, &signature).is_ok()
            };
            forgeable += u32::from(challenges.iter().any(|c| raw(c)));
        }
    }
    assert!(forgeable >= 4, "the list names points that the library would take: {forgeable}");
}

proptest! {
    #[test]
    fn no_proof_or_key_panics(key in ".{0,80}", proof in ".{0,140}") {
        let _ = public_key(&key);
        let _ = statement(&self::key(1)).verify(&proof);
    }

    #[test]
    fn random_bytes_are_no_proof(key in any::<[u8; 32]>(), proof in proptest::collection::vec(any::<u8>(), 64)) {
        let statement = Statement { public_key: PublicKey(key), ..statement(&self::key(1)) };
        prop_assert!(statement.verify(&data_encoding::HEXLOWER.encode(&proof)).is_err());
    }
}
