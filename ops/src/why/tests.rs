//! What operators paste is read for what it is.

use super::*;

#[test]
fn targets_are_read_for_what_they_are() {
    let label = Label::stable([7; 16]);
    let name = |text: &str| text.parse::<Name>().unwrap();
    let address = |text: &str| Target::Address(text.parse().unwrap());
    for (text, target) in [
        ("203.0.113.9", address("203.0.113.9")),
        ("203.0.113.9:80", address("203.0.113.9")),
        ("::ffff:203.0.113.9", address("203.0.113.9")),
        ("2001:db8::7", address("2001:db8::7")),
        ("[2001:db8::7]", address("2001:db8::7")),
        ("[2001:db8::7]:443", address("2001:db8::7")),
        ("https://[2001:db8::7]:443/x", address("2001:db8::7")),
        ("203.0.113.9/24", Target::Network("203.0.113.0/24".parse().unwrap())),
        ("W-4102", Target::Reason(Reason::InviteUsed)),
        ("invite_used", Target::Reason(Reason::InviteUsed)),
        (" alice ", Target::Named(name("alice"))),
        ("alice/phone", Target::Device(name("alice"), name("phone"))),
        ("00000000-0000-0000-0000-00000000002a", Target::Number(Uuid::from_u128(42))),
        ("req_0000000000000000000000000000002a", Target::Number(Uuid::from_u128(42))),
        (&format!("{label}.edge.test."), Target::Label(label)),
        (&format!("https://{label}.edge.test/a/b"), Target::Label(label)),
    ] {
        assert_eq!(Target::parse(text), Ok(target), "{text}");
    }
}

#[test]
fn what_is_none_of_these_is_unknown() {
    for text in ["", "  ", "a b", "/", "alice/", "W-99999", &"a".repeat(TARGET_CHARS_MAX + 1), "é", "http://"]
    {
        assert_eq!(Target::parse(text).map_err(|r| r.reason), Err(Reason::UnknownTarget), "{text:?}");
    }
}
