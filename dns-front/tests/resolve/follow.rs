//! The front follows time, state and keys.

use std::collections::BTreeSet;
use std::time::Duration;

use rotator::{Class, Label};
use state::txn::Record;

use super::clients::{BOTH, Client, Over};
use super::fixture::{AGENT, BROWSER, STABLE, Scene, below, device, grant, keyring, revoke, txn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_follows_its_address_from_window_to_window() {
    let scene = Scene::new().await;
    let mut seen = BTreeSet::new();
    for turn in 0..8 {
        let (client, over) = BOTH[turn % 4];
        let before = scene.clock.now();
        let now = client.ask(scene.at, over, &["AAAA", &below(STABLE)]).addresses();
        let turns = [scene.truth(BROWSER, before), scene.truth(BROWSER, scene.clock.now())].concat();
        assert!(now.len() == 1 && turns.contains(&now[0]), "{now:?} of {turns:?}");
        seen.extend(now);
        scene.clock.shift(5);
    }
    assert!(seen.len() >= 8, "each window has its own: {seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotating_label_is_followed_without_a_write() {
    let scene = Scene::new().await;
    let revision = scene.store.read().revision();
    for _ in 0..3 {
        scene.clock.shift(40);
        // The front turns labels once a second.
        tokio::time::sleep(Duration::from_millis(1300)).await;
        let label = scene.rotating(scene.clock.now());
        assert_eq!(scene.front.whose_label(&label.to_string()), Some(AGENT));
    }
    assert_eq!(scene.store.read().revision(), revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_label_becomes_a_decoy_that_looks_as_before() {
    let scene = Scene::new().await;
    let never = Label::stable([0x11; 16]);
    let ask = |label, kind| Client::Dig.ask(scene.at, Over::Udp, &[kind, &below(label)]);
    let before = ask(STABLE, "AAAA");
    let now = scene.clock.now();
    let real: Vec<_> = (0..60).flat_map(|s| scene.truth(BROWSER, now.plus(s))).collect();
    scene.commit(revoke(&scene)).await;
    assert_eq!(scene.front.whose_label(&STABLE.to_string()), None);
    let after = ask(STABLE, "AAAA");
    assert_eq!((after.status(), after.addresses().len()), ("NOERROR", 1));
    assert!(!real.contains(&after.addresses()[0]), "not an address that it would have had");
    assert_eq!(before.look(), after.look());
    for kind in ["A", "AAAA", "TXT", "HTTPS", "ANY", "MX"] {
        assert_eq!(ask(STABLE, kind).look(), ask(never, kind).look(), "{kind}");
    }
    let counts = scene.front.status().counts;
    assert_eq!((counts.labels, counts.decoys), (1, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_grants_in_one_commit_are_served_before_it_is_acknowledged() {
    let scene = Scene::new().await;
    let since = scene.clock.now().minus(60);
    let label = |no: u32| Label::stable(u128::from(no).to_be_bytes());
    let numbers = 100..1000_u32;
    let all = numbers.clone().fold(txn("import"), |txn, no| {
        let id = u128::from(no);
        txn.put(Record::Device(device(id, Class::Name, since)))
            .put(Record::Grant(no, grant(id, Some(label(no)), since)))
    });
    scene.commit(all).await;
    for no in numbers {
        assert_eq!(scene.front.whose_label(&label(no).to_string()), Some(no));
    }
    assert_eq!(scene.front.status().labels, 902);
    scene.commit(revoke(&scene)).await;
    assert_eq!(scene.front.status().labels, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_keys_are_served_without_a_restart() {
    let scene = Scene::new().await;
    // Nine weeks on, none of the keys held is of use.
    scene.clock.shift(9 * 7 * 24 * 3600);
    let lost = Client::Dig.ask(scene.at, Over::Udp, &["AAAA", &below(STABLE)]);
    assert_eq!(lost.status(), "SERVFAIL", "never a decoy for our own failure");
    scene.keys.send(keyring(scene.clock.now())).unwrap();
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let found = Client::Dig.ask(scene.at, Over::Udp, &["AAAA", &below(STABLE)]);
    assert_eq!((found.status(), found.addresses().len()), ("NOERROR", 1));
    let label = scene.rotating(scene.clock.now());
    assert_eq!(scene.front.whose_label(&label.to_string()), Some(AGENT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_front_leaves_its_ports() {
    let scene = Scene::new().await;
    scene.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), scene.front.stopped()).await.unwrap();
    assert!(std::net::UdpSocket::bind(scene.at).is_ok());
    assert!(std::net::TcpStream::connect(scene.at).is_err());
}
