//! What ordinary clients see.

use dns_front::Unknown;
use rotator::Label;

use super::clients::{BOTH, Client, Over};
use super::fixture::{AGENT, BROWSER, STABLE, Scene, ZONE, below};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_and_kdig_resolve_a_private_name_over_udp_and_tcp() {
    let scene = Scene::new().await;
    for (client, over) in BOTH {
        for grant in [BROWSER, AGENT] {
            let before = scene.clock.now();
            let label = if grant == BROWSER { STABLE } else { scene.rotating(before) };
            let six = client.ask(scene.at, over, &["AAAA", &below(label)]);
            let four = client.ask(scene.at, over, &["A", &below(label)]);
            let seen = [six.addresses(), four.addresses()].concat();
            assert_eq!((six.status(), seen.len()), ("NOERROR", 2), "{client:?} {over:?} {six:?}");
            let turns = [scene.truth(grant, before), scene.truth(grant, scene.clock.now())].concat();
            assert!(seen.iter().all(|address| turns.contains(address)), "{seen:?} of {turns:?}");
            assert_eq!(six.answer()[0][1], "1", "the schedule's TTL");
            assert!(
                six.0.to_lowercase().contains("flags: qr aa rd;"),
                "authoritative, no recursion: {six:?}"
            );
            assert_eq!(scene.front.whose_label(&below(label)), Some(grant));
        }
    }
    let status = scene.front.status();
    assert_eq!((status.zone.as_str(), status.labels, status.queries), (ZONE, 2, 16));
    assert_eq!((status.counts.labels, status.counts.udp, status.counts.tcp), (16, 8, 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_zones_own_names_are_answered() {
    let scene = Scene::new().await;
    for (client, over) in BOTH {
        let join = client.ask(scene.at, over, &["A", &below("join")]);
        assert_eq!(join.addresses(), ["192.0.2.80".parse::<std::net::IpAddr>().unwrap()]);
        let join = client.ask(scene.at, over, &["AAAA", &below("JOIN")]);
        assert_eq!(join.addresses(), ["2001:db8::80".parse::<std::net::IpAddr>().unwrap()]);
        let ns = client.ask(scene.at, over, &["NS", ZONE]);
        assert_eq!(ns.answer()[0][4], format!("ns1.{ZONE}."));
        assert_eq!(ns.section("ADDITIONAL").last().unwrap()[4], "192.0.2.53");
        let soa = &client.ask(scene.at, over, &["SOA", ZONE]).answer()[0];
        assert_eq!(soa[4..6], [format!("ns1.{ZONE}."), format!("hostmaster.{ZONE}.")]);
        let serial: u64 = soa[6].parse().unwrap();
        assert!(scene.clock.now().secs().abs_diff(serial) <= 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn negative_answers_carry_the_soa_and_are_soon_forgotten() {
    let scene = Scene::with(Unknown::NxDomain, defense::Limits::default().without_prefixes()).await;
    let cases = [
        ("TXT", below(STABLE), "NOERROR"),
        ("HTTPS", below(STABLE), "NOERROR"),
        ("TXT", below("join"), "NOERROR"),
        ("A", ZONE.to_owned(), "NOERROR"),
        ("AAAA", below(Label::stable([1; 16])), "NXDOMAIN"),
        ("A", below("www"), "NXDOMAIN"),
        ("A", below(format!("www.{STABLE}")), "NXDOMAIN"),
    ];
    for (client, over) in BOTH {
        for (kind, name, status) in &cases {
            let seen = client.ask(scene.at, over, &[kind, name]);
            assert_eq!((seen.status(), seen.answer().len()), (*status, 0), "{kind} {name} {seen:?}");
            let soa = &seen.section("AUTHORITY")[0];
            assert_eq!((soa[0].as_str(), soa[1].as_str(), soa[3].as_str()), ("u.edge.example.", "5", "SOA"));
            assert_eq!(soa.last().unwrap(), "5", "the negative TTL of RFC 2308");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spelling_of_a_question_comes_back_as_it_was_asked() {
    let scene = Scene::new().await;
    let label = STABLE.to_string();
    let spell = |(i, c): (usize, char)| if i % 3 == 0 { c.to_ascii_uppercase() } else { c };
    let mixed: String = below(label).chars().enumerate().map(spell).collect();
    let seen = Client::Dig.ask(scene.at, Over::Udp, &["AAAA", &mixed]);
    assert_eq!(seen.section("QUESTION")[0][0], format!(";{mixed}."));
    assert_eq!(seen.answer()[0][0], format!("{mixed}."));
    assert_eq!(seen.addresses().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r0_19_nothing_in_dns_names_a_user_a_device_or_a_service() {
    let scene = Scene::new().await;
    let address = scene.truth(BROWSER, scene.clock.now());
    let arpa = |ip: &std::net::IpAddr| ip.to_string();
    let (stable, six, four) = (below(STABLE), arpa(&address[0]), arpa(&address[1]));
    let cases: [(&[&str], &str); 9] = [
        (&["-x", &six], "REFUSED"),
        (&["-x", &four], "REFUSED"),
        (&["IXFR=1", ZONE], "REFUSED"),
        (&["ANY", &stable], "NOERROR"),
        (&["ANY", ZONE], "NOERROR"),
        (&["TXT", &stable], "NOERROR"),
        (&["PTR", &stable], "NOERROR"),
        (&["CH", "TXT", "version.bind"], "REFUSED"),
        (&["CH", "TXT", "id.server"], "REFUSED"),
    ];
    for (options, status) in cases {
        let seen = Client::Dig.ask(scene.at, Over::Tcp, options);
        assert!(seen.status() == status || seen.0.contains("Transfer failed"), "{options:?} {seen:?}");
        for secret in ["alice", "smith", "laptop", "secret-web"] {
            assert!(!seen.0.contains(secret), "{seen:?}");
        }
        let records = seen.answer();
        assert!(records.iter().all(|record| record[3] == "HINFO"), "{records:?}");
    }
    let transfer = Client::Dig.ask(scene.at, Over::Tcp, &["AXFR", ZONE]);
    assert!(transfer.0.contains("Transfer failed") && transfer.answer().is_empty(), "{transfer:?}");
    let transfer = Client::Kdig.ask(scene.at, Over::Tcp, &["AXFR", ZONE]);
    assert!(!transfer.0.contains("SOA\t") && !transfer.0.contains(&STABLE.to_string()), "{transfer:?}");
    assert_eq!(scene.journal.total(defense::Reason::QtypeRefused), scene.front.status().counts.closed);
}
