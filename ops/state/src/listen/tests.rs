//! Entries and lists: what is read, what is refused, where each port leads.

use proptest::prelude::*;

use super::*;

fn listen(texts: &[&str]) -> Listen {
    Listen::parse(texts).unwrap()
}

fn refused(text: &str) -> ListenError {
    text.parse::<Entry>().unwrap_err()
}

#[test]
fn a_voice_service_has_all_its_ports_at_one_address() {
    let voice =
        listen(&["tls/5061=5060", "tcp/5060", "udp/5060", "udp/16384-16483", "udp/20000-20009=30000"]);
    let found = |transport, port| voice.find(transport, port).map(|r| (r.protocol, r.target));
    assert_eq!(found(Transport::Tcp, 5061), Some((Protocol::Tls, Some(5060))));
    assert_eq!(found(Transport::Tcp, 5060), Some((Protocol::Tcp, None)), "to its own port");
    assert_eq!(found(Transport::Udp, 5060), Some((Protocol::Udp, None)));
    assert_eq!(found(Transport::Udp, 16383), None);
    assert_eq!(found(Transport::Udp, 16384), Some((Protocol::Udp, Some(16384))), "as reached");
    assert_eq!(found(Transport::Udp, 16483), Some((Protocol::Udp, Some(16483))));
    assert_eq!(found(Transport::Udp, 16484), None);
    assert_eq!(found(Transport::Tcp, 16384), None);
    assert_eq!(found(Transport::Udp, 20009), Some((Protocol::Udp, Some(30009))), "with its distance");
    assert_eq!((voice.main_port(), voice.carries_names()), (5061, false));
}

#[test]
fn clients_are_not_told_where_ports_lead() {
    let voice = listen(&["tls/5061=5060", "udp/5060", "udp/20000-20009=30000"]);
    assert_eq!(voice.outside(), listen(&["tls/5061", "udp/5060", "udp/20000-20009"]));
}

#[test]
fn https_has_its_port_over_both_transports_and_is_the_main_one() {
    let web = listen(&["tls/993", "https/443"]);
    assert!(web.find(Transport::Tcp, 443).is_some() && web.find(Transport::Udp, 443).is_some());
    assert!(web.find(Transport::Udp, 993).is_none());
    assert_eq!((web.main_port(), web.carries_names()), (443, true));
}

#[test]
fn r2_17_clear_text_http_cannot_be_said() {
    for text in ["http/80", "ws/80"] {
        assert_eq!(refused(text), ListenError::ClearText);
        assert!(refused(text).fix().contains("https/443"));
    }
}

#[test]
fn what_is_no_entry_is_refused_with_its_reason() {
    for text in ["", "443", "https", "https:443"] {
        assert_eq!(refused(text), ListenError::Syntax, "{text}");
    }
    for text in
        ["https/", "tcp/0", "tcp/65536", "tcp/+1", "tcp/ 1", "tcp/1-", "udp/1=0", "udp/1=", "tcp/1-2-3"]
    {
        assert!(matches!(refused(text), ListenError::Port(_)), "{text}");
    }
    assert_eq!(refused("ssh/22"), ListenError::Protocol("ssh".into()));
    assert_eq!(refused("udp/2-1"), ListenError::Backwards);
    assert_eq!(refused("udp/1-2=65535"), ListenError::Target);
    assert!("udp/1-2=65534".parse::<Entry>().is_ok());
}

#[test]
fn ports_of_one_transport_are_not_shared_and_those_of_two_are() {
    let both = |a: &str, b: &str| Listen::parse(&[a, b]).map_err(|(_, error)| error).map(drop);
    assert_eq!(both("tcp/5060", "udp/5060"), Ok(()));
    assert_eq!(both("udp/1-9", "udp/10"), Ok(()));
    for (a, b) in
        [("tcp/22", "tls/22"), ("https/443", "udp/443"), ("https/443", "tcp/443"), ("udp/1-9", "udp/9-12")]
    {
        assert!(matches!(both(a, b), Err(ListenError::Overlap(..))), "{a} {b}");
    }
}

#[test]
fn a_list_has_entries_and_ports_up_to_its_bounds() {
    assert_eq!(Listen::new(&[]), Err(ListenError::Empty));
    let many = |n: u16| (1..=n).map(|p| Entry::one(Protocol::Tcp, p).unwrap()).collect::<Vec<_>>();
    assert!(Listen::new(&many(LISTEN_ENTRIES_MAX as u16)).is_ok());
    assert_eq!(Listen::new(&many(LISTEN_ENTRIES_MAX as u16 + 1)), Err(ListenError::TooMany));
    let wide = |last| Listen::new(&[Entry::new(Protocol::Udp, 1, last, None).unwrap()]);
    assert!(wide(LISTEN_PORTS_MAX as u16).is_ok());
    assert_eq!(wide(LISTEN_PORTS_MAX as u16 + 1), Err(ListenError::TooManyPorts));
}

#[test]
fn a_stored_port_of_old_is_one_of_https_and_a_new_list_is_texts() {
    let old: Listen = serde_json::from_str("8443").unwrap();
    assert_eq!(old, Listen::https(8443).unwrap());
    assert_eq!(serde_json::to_string(&old).unwrap(), "[\"https/8443\"]");
    for bad in ["0", "65536", "-1", "[]", "[\"http/80\"]", "\"https/443\"", "[1]", "null"] {
        assert!(serde_json::from_str::<Listen>(bad).is_err(), "{bad}");
    }
    let endless = serde_json::to_string(&vec!["tcp/1"; LISTEN_ENTRIES_MAX + 1]).unwrap();
    assert!(serde_json::from_str::<Listen>(&endless).is_err());
}

#[test]
fn usual_kinds_have_their_usual_ports_or_that_of_their_server() {
    let of = |kind: Kind, port, own| kind.listen(port, own).map(|l| l.to_string());
    assert_eq!(of(Kind::Http, None, 3000).unwrap(), "https/443");
    assert_eq!(of(Kind::Ssh, None, 2222).unwrap(), "tcp/22");
    assert_eq!(of(Kind::Ssh, Some(2200), 22).unwrap(), "tcp/2200");
    assert_eq!(of(Kind::Udp, None, 53).unwrap(), "udp/53");
    assert_eq!(of(Kind::Sip, None, 0).unwrap(), "tls/5061, tcp/5060, udp/5060, udp/16384-16483");
    assert_eq!(of(Kind::Tls, None, 0), Err(ListenError::Port("0".into())), "nobody said which");
}

proptest! {
    #[test]
    fn what_is_read_is_what_is_shown(text in "(https|tls|tcp|udp|http|x)/[0-9]{1,5}(-[0-9]{1,5})?(=[0-9]{1,5})?") {
        if let Ok(entry) = text.parse::<Entry>() {
            prop_assert_eq!(entry.to_string().parse::<Entry>(), Ok(entry));
        }
    }

    #[test]
    fn anything_at_all_is_read_or_refused(text in ".{0,40}") {
        if let Ok(entry) = text.parse::<Entry>() {
            prop_assert!(entry.first() >= 1 && entry.first() <= entry.last());
        }
    }
}
