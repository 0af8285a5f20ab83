//! A challenge is good for its purpose, network, zone and time, and for nothing else.

use proptest::prelude::*;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn mint() -> Mint {
    Mint::new(&[3; 32], "edge.example.net")
}

fn from(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_challenge_verifies_within_its_network_until_its_last_second() {
    let mint = mint();
    let (challenge, expires) = mint.challenge(Purpose::Enrollment, 9, from("192.0.2.1"), NOW, [5; 16]);
    assert_eq!(challenge.len(), CHALLENGE_CHARS);
    assert_eq!(expires, NOW.plus(CHALLENGE_TTL_S));
    let verify = |source, now| mint.verify(&challenge, Purpose::Enrollment, from(source), now);
    let sound = Sound { nonce: Nonce([5; 16]), expires, bits: 9 };
    assert_eq!(verify("192.0.2.1", NOW), Ok(sound));
    assert_eq!(verify("192.0.2.255", expires.minus(1)), Ok(sound));
    assert_eq!(verify("::ffff:192.0.2.9", NOW), Ok(sound));
    assert_eq!(verify("192.0.2.1", expires), Err(Reason::ChallengeExpired));
    assert_eq!(verify("192.0.3.1", NOW), Err(Reason::ChallengeInvalid));
    assert_eq!(verify("2001:db8::1", NOW), Err(Reason::ChallengeInvalid));
}

#[test]
fn an_ipv6_challenge_is_good_in_its_48_and_not_in_the_next() {
    let mint = mint();
    let (challenge, _) = mint.challenge(Purpose::Enrollment, 0, from("2001:db8:7::1"), NOW, [5; 16]);
    let verify = |source| mint.verify(&challenge, Purpose::Enrollment, from(source), NOW);
    assert!(verify("2001:db8:7:ffff::2").is_ok());
    assert_eq!(verify("2001:db8:8::1"), Err(Reason::ChallengeInvalid));
}

#[test]
fn a_challenge_of_another_purpose_zone_or_key_is_refused() {
    let source = from("192.0.2.1");
    let (challenge, _) = mint().challenge(Purpose::Renewal, 0, source, NOW, [5; 16]);
    let of = |mint: Mint, purpose| mint.verify(&challenge, purpose, source, NOW);
    assert!(of(mint(), Purpose::Renewal).is_ok());
    assert_eq!(of(mint(), Purpose::Enrollment), Err(Reason::ChallengeInvalid));
    assert_eq!(of(Mint::new(&[4; 32], "edge.example.net"), Purpose::Renewal), Err(Reason::ChallengeInvalid));
    assert_eq!(of(Mint::new(&[3; 32], "edge.example.org"), Purpose::Renewal), Err(Reason::ChallengeInvalid));
}

#[test]
fn every_single_altered_bit_is_refused() {
    let mint = mint();
    let source = from("192.0.2.1");
    let (challenge, _) = mint.challenge(Purpose::Enrollment, 20, source, NOW, [5; 16]);
    let token = BASE64URL_NOPAD.decode(challenge.as_bytes()).unwrap();
    for at in 0..token.len() * 8 {
        let mut altered = token.clone();
        altered[at / 8] ^= 1 << (at % 8);
        let altered = BASE64URL_NOPAD.encode(&altered);
        let verdict = mint.verify(&altered, Purpose::Enrollment, source, NOW);
        assert_eq!(verdict, Err(Reason::ChallengeInvalid), "bit {at}");
    }
}

#[test]
fn a_solution_has_exactly_the_difficulty_asked_for() {
    let mint = mint();
    let source = from("192.0.2.1");
    let (challenge, _) = mint.challenge(Purpose::Enrollment, 10, source, NOW, [6; 16]);
    let sound = mint.verify(&challenge, Purpose::Enrollment, source, NOW).unwrap();
    let solution = solve(&challenge, sound.bits, 1 << 20).unwrap();
    assert!(sound.solved_by(&challenge, solution));
    assert!((0..solution).all(|wrong| !sound.solved_by(&challenge, wrong)), "the least one is found");
    let zeros = leading_zeros(&challenge, solution);
    assert!(zeros >= 10);
    assert!(Sound { bits: zeros as u8, ..sound }.solved_by(&challenge, solution));
    assert!(!Sound { bits: zeros as u8 + 1, ..sound }.solved_by(&challenge, solution));
    assert_eq!(solve(&challenge, 10, solution), None);
}

#[test]
fn the_work_is_what_any_other_program_computes() {
    // By Python: sha256(b"wandergate:9098") begins with 12 zero bits, and no smaller number gives 12.
    assert_eq!(leading_zeros("wandergate", 9098), 12);
    assert_eq!(solve("wandergate", 12, u64::MAX), Some(9098));
}

#[test]
fn hardness_is_capped_so_that_a_typing_mistake_locks_nobody_out() {
    let mint = mint();
    let source = from("192.0.2.1");
    let bits_of = |bits| {
        let (challenge, _) = mint.challenge(Purpose::Enrollment, bits, source, NOW, [6; 16]);
        mint.verify(&challenge, Purpose::Enrollment, source, NOW).unwrap().bits
    };
    assert_eq!((bits_of(POW_BITS_MAX), bits_of(POW_BITS_MAX + 1)), (POW_BITS_MAX, POW_BITS_MAX));
}

proptest! {
    #[test]
    fn no_text_panics_or_verifies_as_a_challenge(text in ".{0,120}") {
        prop_assert_eq!(
            mint().verify(&text, Purpose::Enrollment, from("192.0.2.1"), NOW),
            Err(Reason::ChallengeInvalid)
        );
    }

    #[test]
    fn no_token_of_the_right_length_verifies_by_luck(bytes in proptest::collection::vec(any::<u8>(), TOKEN_BYTES)) {
        let text = BASE64URL_NOPAD.encode(&bytes);
        prop_assert_eq!(text.len(), CHALLENGE_CHARS);
        prop_assert_eq!(
            mint().verify(&text, Purpose::Enrollment, from("192.0.2.1"), NOW),
            Err(Reason::ChallengeInvalid)
        );
    }
}
