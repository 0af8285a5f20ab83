//! Enrollment, renewal and their refusals over HTTP.

use std::time::Duration;

use defense::Reason;
use registration::answer::Enrolled;
use registration::challenge::solve;
use registration::client::{
    Challenge, DeviceKey, RenewBody, Ticket, enroll_body, place, plain_body, renew_body,
};
use rotator::label_book::Naming;
use rotator::{Class, Keyring, LabelBook, Planner};
use serde_json::{Value, json};
use state::records::{Revoked, User};
use state::txn::{Act, Record};
use state::{Event, Refusal, Store, Txn};

use super::fixture::{Door, EPOCHS, HERE, Setup, ZONE, root};

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_seed(&[seed; 32]).unwrap()
}

async fn challenge(door: &Door, purpose: &str) -> Challenge {
    let answer = door.get(&format!("/j/v1/challenge?for={purpose}")).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()
}

async fn agent(door: &Door, seed: u8) -> Enrolled {
    let code = door.invite("alice", seed).await;
    let body = enroll_body(ZONE, Ticket::Invite(code), &format!("laptop-{seed}"), Class::Agent, &key(seed));
    let answer = door.post("/j/v1/enroll", &body).await;
    assert_eq!(answer.status(), 201, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn the_answer_to_an_ordinary_client_has_its_names_and_no_keys() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let answer = door.post("/j/v1/enroll", &plain_body(Ticket::Invite(code), "browser", Class::Name)).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told: Value = answer.json();
    assert_eq!(told["schema"], "wandergate.enrolled/1");
    assert_eq!(
        (&told["user"], &told["device"], &told["class"]),
        (&json!("alice"), &json!("browser"), &json!("name"))
    );
    assert_eq!(told["zone"], ZONE);
    assert_eq!(told["epochs"], json!({"period_s": EPOCHS.period_s(), "keys": []}));
    let web = &told["services"][0];
    assert_eq!((&web["service"], &web["port"], &web["auth"]), (&json!("web"), &json!(8443), &json!("name")));
    assert_eq!(web["listen"], json!(["https/8443"]));
    assert_eq!(web["pools"], json!([{"id": "main", "range": "2001:db8:42::/64"}]));
    assert_eq!((&web["schedule"]["period_s"], &web["schedule"]["grace_s"]), (&json!(1800), &json!(1800)));
    let label = web["name"].as_str().unwrap().strip_suffix(".edge.example.net").unwrap();
    let label = rotator::Label::parse(label.as_bytes()).unwrap();
    assert_eq!(door.store.read().grant_labeled(label), Some(web["grant"].as_u64().unwrap() as u32));
}

#[tokio::test]
async fn an_agent_computes_offline_what_edges_accept_and_dns_knows() {
    let door = Door::start(Setup::default()).await;
    let told = agent(&door, 1).await;
    assert_eq!((told.class, told.services.len()), (Class::Agent, 2));
    assert!(told.services.iter().all(|s| s.name.is_none()));
    // Every ten minutes of this epoch and the next, which the answer's keys must cover.
    let begin = told.server_time;
    let end = EPOCHS.start(EPOCHS.at(begin) + 2);
    let view = door.store.read().grant_view(told.services[0].grant).unwrap();
    assert!(matches!(view.naming, Naming::Rotating { .. }));
    let mut now = begin;
    let mut seen = std::collections::BTreeSet::new();
    while now < end {
        let found = place(&told, "web", now).unwrap_or_else(|| panic!("no key at {}", now.secs()));
        let keys = Keyring::around(&root(), EPOCHS, 8000, now);
        let mut planner = Planner::new();
        planner.put(7, view.plan.clone(), &keys, now);
        let live = planner.leases_of(7).iter().find(|(_, l)| l.start <= now && now < l.ends()).unwrap();
        assert_eq!((found.addresses.as_slice(), found.window), ([live.0].as_slice(), live.1.window));
        let mut book = LabelBook::new();
        book.put(7, view.naming.clone(), &keys, now);
        assert_eq!(book.find(found.label, now), Some(7));
        seen.insert(live.0);
        now = now.plus(607);
    }
    assert!(seen.len() > 900, "only {} addresses in an epoch and more", seen.len());
    assert!(place(&told, "web", end.plus(7200)).is_none(), "keys run out: time to renew");
    assert!(place(&told, "ghost", begin).is_none());
}

#[tokio::test]
async fn r3_18_a_renewal_gives_the_next_epochs_keys() {
    let door = Door::start(Setup::default()).await;
    let told = agent(&door, 1).await;
    let given = challenge(&door, "renewal").await;
    assert_eq!(given.bits, 0);
    let body = renew_body(ZONE, &given.challenge, &key(1), false);
    let answer = door.post("/j/v1/renew", &body).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let renewed: Enrolled = answer.json();
    assert_eq!((renewed.device_id, &renewed.services), (told.device_id, &told.services));
    let epochs: Vec<u64> = renewed.epochs.keys.iter().map(|k| k.epoch).collect();
    let now = EPOCHS.at(renewed.server_time);
    assert!(epochs.contains(&now) && epochs.contains(&(now + 1)) && !epochs.contains(&(now + 2)));
    // A renewal is good once, like every challenge.
    assert_eq!(door.post("/j/v1/renew", &body).await.reason(), "challenge_replayed");
    assert_eq!(door.registration.status().renewed, 1);
}

#[tokio::test]
async fn a_reissue_moves_every_address_of_the_device_at_once() {
    let door = Door::start(Setup::default()).await;
    let told = agent(&door, 1).await;
    // The first generation has to be older than this second to be superseded.
    door.clock.shift(5);
    let given = challenge(&door, "renewal").await;
    let answer = door.post("/j/v1/renew", &renew_body(ZONE, &given.challenge, &key(1), true)).await;
    let moved: Enrolled = answer.json();
    assert!(moved.services.iter().all(|s| s.generation == 2));
    let at = moved.server_time;
    assert_ne!(place(&told, "web", at).unwrap().addresses, place(&moved, "web", at).unwrap().addresses);
    let again = challenge(&door, "renewal").await;
    let soon = door.post("/j/v1/renew", &renew_body(ZONE, &again.challenge, &key(1), true)).await;
    assert_eq!((soon.status(), soon.reason().as_str()), (429, "rate_lease"));
}

#[tokio::test]
async fn unknown_and_revoked_devices_and_wrong_proofs_do_not_renew() {
    let door = Door::start(Setup::default()).await;
    agent(&door, 1).await;
    let ask = async |key: &DeviceKey| {
        let given = challenge(&door, "renewal").await;
        door.post("/j/v1/renew", &renew_body(ZONE, &given.challenge, key, false)).await.reason()
    };
    assert_eq!(ask(&key(2)).await, "device_unknown");
    let given = challenge(&door, "renewal").await;
    let mut body = renew_body(ZONE, &given.challenge, &key(2), false);
    body.public_key = key(1).public().to_string();
    assert_eq!(door.post("/j/v1/renew", &body).await.reason(), "key_proof_wrong");
    let enrollment = challenge(&door, "enrollment").await;
    let crossed = renew_body(ZONE, &enrollment.challenge, &key(1), false);
    assert_eq!(door.post("/j/v1/renew", &crossed).await.reason(), "challenge_invalid");
    let user = door.store.read().users().next().unwrap().clone();
    let gone = User { revoked: Some(Revoked { at: door.clock.now(), why: "left".into() }), ..user };
    let act = Act {
        at: gone.created,
        actor: "test".into(),
        verb: "user.revoke".into(),
        target: "alice".into(),
        why: String::new(),
    };
    let txn = Txn::new(act).put(Record::User(gone));
    door.store.commit(Box::new(move |_| Ok::<_, Refusal>(txn.clone()))).await.unwrap();
    assert_eq!(ask(&key(1)).await, "user_revoked");
}

#[tokio::test]
async fn open_registration_takes_a_solved_challenge_once() {
    let door = Door::start(Setup::default()).await;
    let given = challenge(&door, "enrollment").await;
    assert_eq!((given.bits, given.algorithm.as_str()), (6, "sha256-leading-zero-bits"));
    let solution = solve(&given.challenge, given.bits, 1 << 20).unwrap();
    let body = |user| {
        let ticket = Ticket::Open { challenge: &given.challenge, solution, user };
        plain_body(ticket, "browser", Class::Name)
    };
    let answer = door.post("/j/v1/enroll", &body("bob")).await;
    assert_eq!(answer.status(), 201, "{answer:?}");
    let told: Enrolled = answer.json();
    assert_eq!((told.user.as_str(), told.services.len()), ("bob", 1));
    assert_eq!(door.post("/j/v1/enroll", &body("carol")).await.reason(), "challenge_replayed");
    assert_eq!(door.store.read().users().count(), 1);
}

#[tokio::test]
async fn a_closed_door_gives_no_challenge_but_renewals_and_invites_work() {
    let door = Door::start(Setup { open: false, ..Setup::default() }).await;
    let refused = door.get("/j/v1/challenge").await;
    assert_eq!((refused.status(), refused.reason().as_str()), (403, "invite_required"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    agent(&door, 1).await;
    assert_eq!(door.get("/j/v1/challenge?for=renewal").await.status(), 200);
}

#[tokio::test]
async fn r3_13_r3_15_a_key_without_its_private_half_is_refused() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let mut body = enroll_body(ZONE, Ticket::Invite(code), "laptop", Class::Agent, &key(1));
    body.public_key = Some(key(2).public().to_string());
    let refused = door.post("/j/v1/enroll", &body).await;
    assert_eq!((refused.status(), refused.reason().as_str()), (403, "key_proof_wrong"));
    assert!(door.store.read().devices().next().is_none(), "and the invite is still good");
    let body = enroll_body(ZONE, Ticket::Invite(code), "laptop", Class::Agent, &key(1));
    assert_eq!(door.post("/j/v1/enroll", &body).await.status(), 201);
}

#[tokio::test]
async fn an_expired_invite_is_refused_with_when() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    door.clock.shift(3600);
    let refused = door.post("/j/v1/enroll", &plain_body(Ticket::Invite(code), "browser", Class::Name)).await;
    assert_eq!(refused.reason(), "invite_expired");
    assert!(refused.body().contains("it expired on"), "{refused:?}");
}

#[tokio::test]
async fn every_refusal_is_in_the_journal_under_the_number_that_the_client_was_told() {
    let door = Door::start(Setup::default()).await;
    let refused = door.post("/j/v1/enroll", &json!({"device": "a", "class": "name", "invite": "x"})).await;
    let problem: registration::problem::Problem = refused.json();
    assert_eq!(problem.code, "W-4101");
    let id = u128::from_str_radix(problem.request.as_deref().unwrap(), 16).unwrap();
    let found = door.journal.about_request(id);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].first.reason, found[0].first.source), (Reason::InviteUnknown, HERE));
    assert_eq!(door.registration.status().refused, [(Reason::InviteUnknown, 1)]);
}

#[tokio::test]
async fn the_answer_waits_until_the_followers_serve_what_it_promises() {
    let door = Door::start(Setup::default()).await;
    let code = door.invite("alice", 1).await;
    let mut edge = door.store.watch("edge");
    let slow = async {
        let Some(Event::Changed(delta)) = edge.next().await else { panic!("no change") };
        tokio::time::sleep(Duration::from_millis(300)).await;
        edge.applied(delta.revision);
        tokio::time::Instant::now()
    };
    let enrolling = async {
        let answer = door.post("/j/v1/enroll", &plain_body(Ticket::Invite(code), "b", Class::Name)).await;
        (answer.status(), tokio::time::Instant::now())
    };
    let (served, (status, answered)) = tokio::join!(slow, enrolling);
    assert_eq!(status, 201);
    assert!(answered >= served, "answered before the edge served it");
}

#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_with_the_place() {
    let door = Door::start(Setup::default()).await;
    let cases: [(&str, &[u8], u16, &str); 9] = [
        ("application/json", b"{", 422, "body_invalid"),
        ("application/json", b"", 422, "body_invalid"),
        ("application/json", b"{\"device\":\"a\",\"class\":\"name\",\"extra\":1}", 422, "body_invalid"),
        ("application/json", b"{\"device\":\"a\"}", 422, "body_invalid"),
        ("application/json", b"{\"device\":7,\"class\":\"name\"}", 422, "body_invalid"),
        ("application/json", b"{\"device\":\"A b\",\"class\":\"name\"}", 422, "name_invalid"),
        ("application/json", b"\xff\xfe", 422, "body_invalid"),
        ("text/plain", b"{\"device\":\"a\",\"class\":\"name\"}", 422, "body_invalid"),
        ("application/json", &[b'['; 12_000], 422, "body_invalid"),
    ];
    for (kind, body, status, reason) in cases {
        let answer = door.ask("POST", "/j/v1/enroll", kind, body).await;
        assert_eq!(
            (answer.status(), answer.reason().as_str()),
            (status, reason),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let unknown = door.ask("POST", "/j/v1/enroll", "application/json; charset=utf-8", b"{\"extra\":1}").await;
    assert!(unknown.body().contains("extra"), "it names the member: {unknown:?}");
    let body = RenewBody {
        challenge: String::new(),
        public_key: String::new(),
        proof: String::new(),
        reissue: false,
    };
    assert_eq!(door.post("/j/v1/renew", &body).await.reason(), "challenge_invalid");
}

#[tokio::test]
async fn a_body_is_taken_at_the_bound_and_refused_beyond_it() {
    let door = Door::start(Setup::default()).await;
    let of = |size: usize| {
        let body = b"{\"device\":\"a\",\"class\":\"name\"}";
        [body.as_slice(), &vec![b' '; size - body.len()]].concat()
    };
    let at = door.ask("POST", "/j/v1/enroll", "application/json", &of(16 * 1024)).await;
    assert_eq!(at.reason(), "body_invalid", "read, and found to lack a challenge");
    let over = door.ask("POST", "/j/v1/enroll", "application/json", &of(16 * 1024 + 1)).await;
    assert_eq!((over.status(), over.reason().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn paths_methods_and_hosts_that_are_not_ours_are_refused() {
    let door = Door::start(Setup::default()).await;
    assert_eq!(door.get("/nothing").await.reason(), "not_found");
    let wrong = door.ask("DELETE", "/j/v1/enroll", "", b"").await;
    assert_eq!((wrong.status(), wrong.reason().as_str()), (405, "method_not_allowed"));
    assert_eq!(wrong.header("allow"), Some("POST"));
    assert_eq!(door.get("/j/v1/challenge?for=ever").await.reason(), "body_invalid");
    assert_eq!(door.get("/j/v1/challenge?x=1").await.reason(), "body_invalid");
    assert_eq!(door.get(&format!("/{}", "a".repeat(600))).await.reason(), "uri_too_long");
    for (host, status) in [
        ("join.edge.example.net", 200),
        ("JOIN.edge.example.NET.:443", 200),
        ("edge.example.net", 421),
        ("evil.example", 421),
        ("join.edge.example.net\r\nhost: join.edge.example.net", 421),
        ("join.edge.example.net.evil", 421),
    ] {
        let answer =
            door.raw(format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.status(), status, "{host}");
    }
}
