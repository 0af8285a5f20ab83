//! The matrix as firewall rules: as they have always been, and back again.

use proptest::prelude::*;

use super::*;
use crate::topology::matrix::{Accept, Initiate, Matrix};
use crate::topology::nft::parse_nft;

#[test]
fn r0_11_the_rules_of_each_kind_of_host_are_as_they_were_agreed() {
    let topology = whole();
    for (host, golden) in [
        ("h3", include_str!("hub.nft")),
        ("app1", include_str!("local_hub.nft")),
        ("fra1", include_str!("edge.nft")),
    ] {
        let text = topology.nft(host).unwrap();
        assert!(text == golden, "{host} is now:\n{text}");
        assert_eq!(parse_nft(golden), Ok(topology.matrix(host).unwrap()));
    }
    assert_eq!(topology.nft("nowhere"), None);
}

#[test]
fn r0_17_the_rules_of_a_computer_of_servers_accept_nothing_but_answers_and_loopback() {
    let text = whole().nft("app1").unwrap();
    let (input, output) = text.split_once("chain initiates").unwrap();
    let accepts: Vec<&str> = input
        .lines()
        .filter(|line| line.trim_end().ends_with("accept") || line.contains(" accept comment"))
        .collect();
    assert_eq!(accepts.len(), 3, "answers, loopback, IPv6's neighbors: {accepts:#?}");
    assert!(!input.contains("dport"), "{input}");
    assert!(input.contains("hook input priority filter; policy drop;"));
    assert!(output.contains("hook output priority filter; policy drop;"));
    assert!(output.contains("hook forward priority filter; policy drop;"));
    assert_eq!(output.matches("dport").count(), 4, "one rule for each hub");
    assert!(
        output
            .lines()
            .filter(|line| line.contains("dport"))
            .all(|line| line.contains("tcp dport 7000 accept"))
    );
}

#[test]
fn a_line_that_is_not_ours_is_found() {
    let text = whole().nft("h3").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let number = |error: nft::NftError| error.line;
    for (at, line) in lines.iter().enumerate() {
        let mut without = lines.clone();
        without.remove(at);
        let parsed = parse_nft(&(without.join("\n") + "\n"));
        match line.contains(" accept comment ") {
            // A row that is gone is another matrix, as it should be; what is left still reads.
            true => assert_ne!(parsed, Ok(topology_matrix())),
            false => assert!(number(parsed.unwrap_err()) <= at + 2, "without {line:?}"),
        }
        let mut changed = lines.clone();
        let more = format!("{line} ");
        changed[at] = &more;
        assert!(parse_nft(&(changed.join("\n") + "\n")).is_err(), "with a blank behind {line:?}");
        let mut added = lines.clone();
        added.insert(at, "\t\ttcp dport 22 accept");
        assert_eq!(number(parse_nft(&(added.join("\n") + "\n")).unwrap_err()), at + 1);
    }
    assert!(parse_nft("").is_err() && parse_nft(&format!("{text}\n")).is_err());
    assert!(parse_nft(&text.replace('\n', "\r\n")).is_err());
}

fn topology_matrix() -> Matrix {
    whole().matrix("h3").unwrap()
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?"
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![
        (name(), name()).prop_map(|(plane, hub)| Purpose::Members { plane, hub }),
        (name(), name(), name()).prop_map(|(plane, from, to)| Purpose::Between { plane, from, to }),
        (name(), name()).prop_map(|(edge, function)| Purpose::Outside { edge, function }),
        name().prop_map(|name| Purpose::Egress { name }),
    ]
}

fn accepts() -> impl Strategy<Value = Accept> {
    let addresses = prop_oneof![
        prop::collection::btree_set(any::<std::net::Ipv4Addr>().prop_map(IpAddr::V4), 0..5),
        prop::collection::btree_set(any::<std::net::Ipv6Addr>().prop_map(IpAddr::V6), 0..5),
    ];
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]);
    (purpose(), any::<Option<IpAddr>>(), 1..u16::MAX, protocol, addresses)
        .prop_map(|(purpose, at, port, protocol, from)| Accept { purpose, at, port, protocol, from })
}

fn initiates() -> impl Strategy<Value = Initiate> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp]);
    (purpose(), any::<IpAddr>(), 1..u16::MAX, protocol).prop_map(|(purpose, to, port, protocol)| Initiate {
        purpose,
        to: (to, port).into(),
        protocol,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn r0_11_any_matrix_comes_back_from_its_rules(
        host in name(),
        accepts in prop::collection::btree_set(accepts(), 0..8),
        initiates in prop::collection::btree_set(initiates(), 0..8),
    ) {
        let matrix = Matrix { host, accepts, initiates };
        prop_assert_eq!(parse_nft(&matrix.to_nft()), Ok(matrix));
    }

    #[test]
    fn no_text_panics_the_reader_of_rules(text in "\\PC{0,60}", at in 0..30_usize) {
        let rules = whole().nft("h3").unwrap();
        let mut lines: Vec<&str> = rules.lines().collect();
        lines.insert(at.min(lines.len()), &text);
        let _ = parse_nft(&lines.join("\n"));
        let _ = parse_nft(&text);
    }

    #[test]
    fn no_byte_of_our_rules_may_change_unseen(at in 0..1_500_usize, byte in 32..127_u8) {
        let rules = whole().nft("h3").unwrap();
        let mut bytes = rules.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if text != rules {
            prop_assert_ne!(parse_nft(&text), parse_nft(&rules));
        }
    }
}
