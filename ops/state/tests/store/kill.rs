//! SIGKILL at random points: nothing that was acknowledged is lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use state::{Store, audit};
use uuid::Uuid;

use super::fixture::{put, put_user};
use super::keep::reopened;

const FOLDER: &str = "STATE_KILL_TEST_FOLDER";
const KILLS: u32 = 100;

/// Not a test of its own: the body of the process that is killed.
#[tokio::test]
async fn the_child_commits_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = reopened(&Path::new(&folder).join("state.redb")).await;
    let from = u128::from(store.read().revision());
    for n in from.. {
        put(&store, put_user(n)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn a_hundred_kills_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let mut child = child(folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Another number of commits each round, then a kill in the middle of what comes next.
        let wanted = 1 + (round * 7) % 13;
        let seen = lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("acknowledged ")?.parse().ok());
        let seen: Vec<u128> = seen.take(wanted as usize).collect();
        std::thread::sleep(std::time::Duration::from_micros(u64::from(round * 137 % 3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = seen.last().copied().expect("the child acknowledged something").max(acknowledged);

        let store = reopened(&folder.path().join("state.redb")).await;
        let records = store.read();
        for n in 0..=acknowledged {
            assert!(records.user(Uuid::from_u128(n)).is_some(), "round {round} lost {n}");
        }
        assert_eq!(records.users().count() as u64, records.revision());
        let entries = store.audit(1, usize::MAX).unwrap();
        assert!(audit::verify(&entries).is_ok());
        assert_eq!(entries.len() as u64, records.revision());
    }
    assert!(acknowledged >= u128::from(KILLS));
}

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::the_child_commits_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
