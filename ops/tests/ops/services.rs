//! Services: added and removed while everything runs, never to a state that gives addresses away.

use defense::Reason;
use http::{Method, StatusCode};
use ops::acts::service::{NewService, add, remove};
use serde_json::json;
use state::Listen;
use state::records::{Auth, Handling, Origin};

use crate::fixture::{ALICE, Api, BOB, done, name, order, records};

fn ssh() -> NewService {
    NewService {
        name: name("ssh"),
        to: "127.0.0.1:22".parse().unwrap(),
        listen: Some(Listen::https(22).unwrap()),
        auth: None,
        schedule: name("standard"),
        pools: Vec::new(),
        handling: Handling::default(),
    }
}

#[test]
fn a_service_without_pools_named_draws_on_all_and_can_be_removed_again() {
    let mut all = records();
    let added = add(&all, &order(), &ssh());
    let added = done(&mut all, added);
    assert_eq!((added.service.pools, added.service.origin), (vec![name("four"), name("six")], Origin::Api));
    assert_eq!(add(&all, &order(), &ssh()).unwrap_err().reason, Reason::AlreadyExists);
    let removed = remove(&all, &order(), &name("ssh"));
    done(&mut all, removed);
    assert!(all.service(&name("ssh")).is_none());
    assert_eq!(remove(&all, &order(), &name("ssh")).unwrap_err().reason, Reason::UnknownService);
}

#[test]
fn a_port_that_is_not_said_is_the_one_that_all_others_share() {
    let mut all = records();
    let unsaid = |called: &str| NewService { name: name(called), listen: None, ..ssh() };
    let port = |all: &state::Records, new: &NewService| {
        add(all, &order(), new).unwrap().1.service.listen.main_port()
    };
    let mut web = all.service(&name("web")).unwrap().clone();
    web.listen = Listen::https(18_443).unwrap();
    all.apply(&[state::txn::Change::Put(state::txn::Record::Service(web))]);
    assert_eq!(port(&all, &unsaid("a")), 18_443, "web's");
    let other = add(&all, &order(), &NewService { listen: Some(Listen::https(8443).unwrap()), ..ssh() });
    done(&mut all, other);
    assert_eq!(port(&all, &unsaid("a")), 443, "they differ");
}

#[test]
fn ipv4_space_is_no_secret_so_an_address_alone_admits_nobody_there() {
    let all = records();
    let by_address = |pools: &[&str]| NewService {
        auth: Some(Auth::Address),
        pools: pools.iter().map(|p| name(p)).collect(),
        ..ssh()
    };
    let reason = |new: &NewService| add(&all, &order(), new).map_err(|r| r.reason).map(|_| ());
    assert_eq!(reason(&by_address(&["six"])), Ok(()));
    assert_eq!(reason(&by_address(&["four"])), Err(Reason::ConfigConflict));
    assert_eq!(reason(&by_address(&["six", "four"])), Err(Reason::ConfigConflict));
    assert_eq!(reason(&by_address(&[])), Err(Reason::ConfigConflict), "all pools has the IPv4 one in it");
    assert_eq!(reason(&NewService { auth: Some(Auth::Name), ..by_address(&["four"]) }), Ok(()));
}

#[test]
fn what_carries_no_name_asks_for_an_address_that_is_a_secret() {
    let all = records();
    let listening = |texts: &[&str], auth, pools: &[&str]| NewService {
        listen: Some(Listen::parse(texts).unwrap()),
        auth,
        pools: pools.iter().map(|p| name(p)).collect(),
        ..ssh()
    };
    let added =
        |new: &NewService| add(&all, &order(), new).map_err(|r| r.reason).map(|(_, s)| s.service.auth);
    assert_eq!(
        added(&listening(&["tcp/22"], None, &["six"])),
        Ok(Auth::Address),
        "the most that it can give"
    );
    assert_eq!(added(&listening(&["tcp/22", "tls/993"], None, &["six"])), Ok(Auth::Name));
    assert_eq!(added(&listening(&["tcp/22"], Some(Auth::Name), &["six"])), Err(Reason::ConfigConflict));
    for raw in [["tcp/22", "https/443"], ["udp/53", "tls/853"]] {
        assert_eq!(added(&listening(&raw, None, &["four"])), Err(Reason::ConfigConflict), "{raw:?}");
    }
    assert_eq!(added(&listening(&["https/443", "tls/993"], None, &["four"])), Ok(Auth::Name));
}

#[tokio::test]
async fn a_service_is_changed_and_set_back_by_the_words_that_are_told() {
    let api = Api::start().await;
    api.post("/v1/services", json!({ "name": "ssh", "to": "127.0.0.1:22", "listen": ["https/22"] })).await;
    let path = "/v1/services/ssh";
    let patch = json!({ "proxy": true, "speaks": "h2", "maintenance": "back at 9", "max_body": 1024, "listen": ["https/22", "https/23=22"] });
    let set = api.ask(Method::PATCH, path, &[], Some(patch)).await;
    assert_eq!((set.status, &set.body["maintenance"]), (StatusCode::OK, &json!("back at 9")));
    let undo = json!([
        "wandergate",
        "service",
        "set",
        "ssh",
        "listen=https/22",
        "proxy=false",
        "speaks=http/1.1",
        "maintenance=",
        "max_body="
    ]);
    assert_eq!(set.body["undo"], undo);
    let shown = api.get(path).await;
    assert_eq!(
        (&shown.body["listen"], &shown.body["port"]),
        (&json!(["https/22", "https/23=22"]), &json!(22))
    );
    let back = api.ask(Method::PATCH, path, &[], Some(json!({ "maintenance": null }))).await;
    assert_eq!((&back.body["maintenance"], &back.body["max_body"]), (&json!(null), &json!(1024)));
    let again = api.ask(Method::PATCH, path, &[], Some(json!({ "maintenance": null }))).await;
    assert_eq!(again.body["changed"], json!(false));
    for (wrong, status) in [
        (json!({ "listen": ["http/80"] }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "listen": ["https/22", "tcp/22"] }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "maintenance": "" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "max_time_s": 0 }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "speaks": "http/2" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "port": 22 }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "auth": "address" }), StatusCode::BAD_REQUEST),
    ] {
        let refused = api.ask(Method::PATCH, path, &[], Some(wrong.clone())).await;
        assert_eq!(refused.status, status, "{wrong}: {}", refused.body);
    }
    let owned = api.ask(Method::PATCH, "/v1/services/web", &[], Some(json!({ "proxy": true }))).await;
    assert_eq!((owned.status, &owned.body["reason"]), (StatusCode::CONFLICT, &json!("owned_by_config")));
}

#[test]
fn what_does_not_exist_or_cannot_be_is_refused() {
    let all = records();
    let reason = |new: NewService| add(&all, &order(), &new).unwrap_err().reason;
    assert_eq!(reason(NewService { schedule: name("x"), ..ssh() }), Reason::UnknownSchedule);
    assert_eq!(reason(NewService { pools: vec![name("x")], ..ssh() }), Reason::UnknownTarget);
    assert_eq!(reason(NewService { pools: vec![name("six"); 2], ..ssh() }), Reason::BodyInvalid);
    for nowhere in ["127.0.0.1:0", "0.0.0.0:22", "[::]:22", "224.0.0.1:22"] {
        assert_eq!(
            reason(NewService { to: nowhere.parse().unwrap(), ..ssh() }),
            Reason::BodyInvalid,
            "{nowhere}"
        );
    }
}

#[test]
fn what_stands_in_the_file_is_removed_there() {
    let refused = remove(&records(), &order(), &name("web")).unwrap_err();
    assert_eq!(refused.reason, Reason::OwnedByConfig);
    assert!(refused.detail.contains("[service.web]"));
}

#[tokio::test]
async fn a_service_is_added_listed_and_removed_over_the_api() {
    let api = Api::start().await;
    let added = api
        .post("/v1/services", json!({ "name": "ssh", "to": "127.0.0.1:22", "listen": ["https/22"] }))
        .await;
    assert_eq!((added.status, &added.body["auth"]), (StatusCode::CREATED, &json!("name")));
    assert_eq!(added.body["undo"], json!(["wandergate", "service", "rm", "ssh"]));
    let twice = api.post("/v1/services", json!({ "name": "ssh", "to": "127.0.0.1:22" })).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let listed = api.get("/v1/services").await;
    assert_eq!(listed.body["services"].as_array().map(Vec::len), Some(2));
    let removed = api.ask(Method::DELETE, "/v1/services/ssh", &[], None).await;
    assert_eq!(removed.status, StatusCode::OK);
    let undo: Vec<_> = removed.body["undo"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    assert_eq!(
        undo.join(" "),
        "wandergate service add ssh --to 127.0.0.1:22 --listen https/22 --auth name --schedule standard --pool four,six"
    );
    let owned = api.ask(Method::DELETE, "/v1/services/web", &[], None).await;
    assert_eq!((owned.status, &owned.body["reason"]), (StatusCode::CONFLICT, &json!("owned_by_config")));
}

#[tokio::test]
async fn windows_and_connections_name_their_owners_and_hide_addresses_until_asked() {
    let api = Api::start().await;
    let held = crate::fixture::lease(BOB, api.clock.now().minus(5));
    api.eyes.leases.lock().unwrap().insert("2001:db8:42::beef:1".parse().unwrap(), vec![held]);
    let hidden = api.get("/v1/windows").await;
    assert_eq!(hidden.body["windows"][0]["user"], "bob");
    assert!(!hidden.body.to_string().contains("beef") && !hidden.body.to_string().contains(".edge.test"));
    let revision = api.revision();
    let shown = api.get("/v1/windows?user=bob&reveal=true").await;
    assert_eq!(shown.body["windows"][0]["address"], "2001:db8:42::beef:1");
    assert_eq!(api.revision(), revision + 1, "a reveal is audited");
    let entry = api.store.audit(revision + 1, 1).unwrap().remove(0);
    assert_eq!((entry.act.verb.as_str(), entry.act.target.as_str()), ("window.reveal", "user/bob"));
    let everybody = api.get("/v1/windows?reveal=true").await;
    assert_eq!(everybody.status, StatusCode::UNPROCESSABLE_ENTITY);
    let open = api.get("/v1/connections").await;
    assert_eq!((&open.body["open"], &open.body["connections"][0]["user"]), (&json!(5), &json!("alice")));
    assert_eq!(api.eyes.connections.lock().unwrap()[&ALICE], 3);
}
