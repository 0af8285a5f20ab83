//! A full disk: refused with its name, nothing lost, and taken again when there is room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use defense::Reason;
use state::{CommitError, Store};
use uuid::Uuid;

use super::fixture::{put, put_user};
use super::keep::reopened;

const FOLDER: &str = "STATE_FULL_TEST_FOLDER";
const SMALL_DISK: &str =
    "mount -t tmpfs -o size=4m,mode=700 tmpfs \"$STATE_FULL_TEST_FOLDER\" && exec \"$0\" \"$@\"";

/// Not a test of its own: what happens on a disk of four megabytes.
#[tokio::test]
async fn the_child_fills_its_small_disk() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    let store = reopened(&folder.join("state.redb")).await;
    put(&store, put_user(0)).await.unwrap();
    let filler = folder.join("filler");
    fill(&filler);

    let mut acknowledged = 1;
    let refused = loop {
        match put(&store, put_user(acknowledged)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&refused, CommitError::Refused(refusal) if refusal.reason == Reason::StoreFull),
        "{refused:?}"
    );
    assert_eq!(store.read().revision() as u128, acknowledged, "served as before");
    assert!(put(&store, put_user(acknowledged)).await.is_err(), "still full");

    std::fs::remove_file(&filler).unwrap();
    tokio::time::sleep(state::bounds::REOPEN_PAUSE + Duration::from_millis(100)).await;
    put(&store, put_user(acknowledged)).await.expect("there is room again, and no restart");
    drop(store);
    let store = reopened(&folder.join("state.redb")).await;
    for n in 0..=acknowledged {
        assert!(store.read().user(Uuid::from_u128(n)).is_some(), "{n}");
    }
    println!("\nwent through it all");
}

#[test]
fn a_full_disk_is_named_and_forgiven_without_a_restart() {
    if !is_root() {
        println!(
            "a_full_disk_is_named_and_forgiven_without_a_restart: not run, only root may mount a small disk"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", SMALL_DISK])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full::the_child_fills_its_small_disk", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("went through it all"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t")
}

/// Takes all room that is left.
fn fill(file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|n| n > 0) {}
}
