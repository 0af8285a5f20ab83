//! Hubs that are killed, stopped, told to leave and cut off amid traffic. What a user met is measured and printed; that
//! nothing fails afterwards, that no term has two actives and that no byte of a download is lost is asserted.
//!
//! `WANDERGATE_FABRIC_ROUNDS=N` asks for a campaign of N faults of every kind.

#![expect(clippy::print_stdout, reason = "what was measured is printed")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use tests::bulk::Bulk;
use tests::fabric::{Fabric, Plan};
use tests::traffic::{User, Window};

/// How long a fault may be felt at all, on a machine that does other things besides.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes of a download that lasts some seconds.
const LONG: u64 = 96 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Stop,
    Leave,
    Cut,
}

/// A download under way, hashed as it comes.
fn download(user: &User, size: u64) -> JoinHandle<Result<String, String>> {
    let user = user.clone();
    std::thread::spawn(move || {
        let mut digest = Context::new(&SHA256);
        let mut connection = user.connect().map_err(|e| e.to_string())?;
        let path = format!("/slow/{size}");
        connection.get(&path, |bytes| digest.update(bytes)).map_err(|e| e.to_string())?;
        Ok(HEXLOWER.encode(digest.finish().as_ref()))
    })
}

fn expected(user: &User, size: u64) -> String {
    String::from_utf8(user.request(&format!("/sha256/{size}")).unwrap()).unwrap().trim().to_owned()
}

/// Watches a plane until told to end: each term may have one active only.
fn no_term_has_two_actives(fabric: &Fabric, plane: &str, over: &AtomicBool) {
    let mut actives: BTreeMap<u64, String> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        for (term, name) in fabric.terms(plane) {
            let known = actives.entry(term).or_insert_with(|| name.clone());
            assert_eq!(*known, name, "two actives in term {term}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!actives.is_empty(), "nobody was ever active");
}

/// Does it to the hub; the traffic goes on for a while. Gives what a user met.
fn suffer(fabric: &Fabric, hub: &str, fault: Fault) -> Window {
    let traffic = fabric.user().ask_on(4);
    std::thread::sleep(Duration::from_millis(700));
    let moment = Instant::now();
    match fault {
        Fault::Kill => fabric.hubs[hub].signal("-KILL"),
        Fault::Stop => fabric.hubs[hub].signal("-STOP"),
        Fault::Leave => fabric.hubs[hub].signal("-TERM"),
        Fault::Cut => fabric.namespace.as_ref().unwrap().cut(),
    }
    std::thread::sleep(Duration::from_millis(3500));
    let record = traffic.finish();
    let window = record.since(moment);
    println!("{fault:?} of {hub}: {window}");
    assert!(window.failing_for < PATIENCE, "{window}");
    let after = record.since(moment + window.failing_for + Duration::from_millis(1));
    assert!(after.requests > 0 && after.failed == 0, "after the window: {after}");
    window
}

/// The hub is as before; the plane has its instances again.
fn heal(fabric: &mut Fabric, hub: &str, fault: Fault) {
    match fault {
        Fault::Kill | Fault::Leave => fabric.restart(hub),
        Fault::Stop => fabric.hubs[hub].signal("-CONT"),
        Fault::Cut => fabric.namespace.as_ref().unwrap().mend(),
    }
    fabric.settle();
}

fn in_one_plane(fault: Fault) {
    let service = Bulk::start();
    let apart = (fault == Fault::Cut).then_some("hub-a1");
    let plan = Plan { planes: vec![("A", 3)], apart, ..Plan::whole(service.address()) };
    let mut fabric = Fabric::start(&plan);
    if fault == Fault::Cut {
        make_active(&fabric, "hub-a1");
    }
    let (user, active) = (fabric.user(), fabric.active("A"));
    let (wanted, over) = (expected(&user, LONG), AtomicBool::new(false));
    let bytes = download(&user, LONG);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| no_term_has_two_actives(&fabric, "A", &over));
        suffer(&fabric, &active, fault);
        over.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
    assert_ne!(fabric.active("A"), active, "another one has taken over");
    assert_eq!(
        bytes.join().unwrap().as_deref(),
        Ok(wanted.as_str()),
        "the download went on to its last byte"
    );
    heal(&mut fabric, &active, fault);
    assert_eq!(fabric.actives("A").len(), 1);
}

/// Steps others down until this hub is active.
fn make_active(fabric: &Fabric, hub: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let active = fabric.active("A");
        if active == hub {
            return fabric.settle();
        }
        assert!(Instant::now() < deadline, "{hub} never becomes active");
        drop(fabric.hubs[&active].ops_output(&["hub", "step-down", &active]));
        std::thread::sleep(Duration::from_millis(700));
    }
}

#[test]
fn r0_07_r0_25_an_active_hub_is_killed_amid_a_download_and_its_plane_goes_on() {
    in_one_plane(Fault::Kill);
}

#[test]
fn r0_07_r0_25_an_active_hub_is_stopped_amid_a_download_and_its_plane_goes_on() {
    in_one_plane(Fault::Stop);
}

#[test]
fn r0_07_r0_25_an_active_hub_is_cut_off_amid_a_download_and_its_plane_goes_on() {
    in_one_plane(Fault::Cut);
}

#[test]
fn r0_25_an_active_hub_that_is_told_to_leave_hands_over_first() {
    in_one_plane(Fault::Leave);
}

#[test]
fn r0_04_a_plane_dies_amid_traffic_and_a_download_and_the_other_carries_on() {
    let service = Bulk::start();
    let plan = Plan { planes: vec![("A", 3), ("B", 1)], ..Plan::whole(service.address()) };
    let mut fabric = Fabric::start(&plan);
    let user = fabric.user();
    let wanted = expected(&user, LONG);
    // A standby's death is felt by nobody.
    let standby = fabric.standby("A");
    let window = suffer(&fabric, &standby, Fault::Kill);
    assert_eq!(window.failed, 0, "{window}");
    fabric.restart(&standby);
    fabric.settle();

    let bytes = download(&user, LONG);
    let traffic = user.ask_on(4);
    std::thread::sleep(Duration::from_millis(700));
    let moment = Instant::now();
    for hub in ["hub-a1", "hub-a2", "hub-a3"] {
        fabric.kill(hub);
    }
    std::thread::sleep(Duration::from_secs(4));
    let record = traffic.finish();
    let window = record.since(moment);
    println!("death of plane A: {window}");
    assert!(window.failing_for < PATIENCE, "{window}");
    let after = record.since(moment + window.failing_for + Duration::from_millis(1));
    assert!(after.requests > 0 && after.failed == 0, "{after}");
    assert_eq!(
        bytes.join().unwrap().as_deref(),
        Ok(wanted.as_str()),
        "the download went on to its last byte"
    );
    let told = fabric.edge.ops(&["status"]);
    assert_eq!(told["health"]["state"], "good", "{told}");
    assert!(told["health"]["notices"].to_string().contains("Plane A is down"), "{told}");
}

/// The long campaign: faults of every kind, one after another, on both planes.
#[test]
fn a_campaign_of_faults_leaves_no_request_failing_and_no_byte_lost() {
    let Ok(rounds) = std::env::var("WANDERGATE_FABRIC_ROUNDS") else { return };
    let rounds: usize = rounds.parse().expect("a number of rounds");
    let service = Bulk::start();
    let mut fabric = Fabric::start(&Plan::whole(service.address()));
    let user = fabric.user();
    let wanted = expected(&user, LONG);
    let faults = [Fault::Kill, Fault::Stop, Fault::Leave];
    for round in 0..rounds {
        let plane = if round.is_multiple_of(2) { "A" } else { "B" };
        let fault = faults[round % faults.len()];
        let hub = if round % 5 == 4 { fabric.standby(plane) } else { fabric.active(plane) };
        let bytes = download(&user, LONG);
        suffer(&fabric, &hub, fault);
        assert_eq!(
            bytes.join().unwrap().as_deref(),
            Ok(wanted.as_str()),
            "round {round}, {fault:?} of {hub}"
        );
        heal(&mut fabric, &hub, fault);
    }
}
