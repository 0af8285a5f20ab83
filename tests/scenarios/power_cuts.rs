//! Acknowledged means on disk: the process is killed at any moment, again and again, and loses nothing that it said.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::deployment::{config, free_port};
use tests::http::{Join, ops, ops_at};
use tests::product::Process;

/// Kills in the ordinary suite; `WANDERGATE_KILLS` asks for a longer campaign.
const KILLS: u64 = 200;

/// What was acknowledged, by name.
#[derive(Default)]
struct Acknowledged {
    enrolled: BTreeSet<String>,
    revoked: BTreeSet<String>,
}

enum Said {
    Enrolled(String),
    Revoked(String),
}

#[test]
fn whatever_was_acknowledged_is_there_after_any_kill() {
    let kills = std::env::var("WANDERGATE_KILLS").map_or(KILLS, |n| n.parse().expect("a number of kills"));
    let port = free_port();
    let mut product = Process::run(|dir| config(dir, port, "127.0.0.1:9".parse().unwrap()));
    let mut known = Acknowledged::default();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for kill in 0..kills {
        let said = work_until_killed(&mut product, kill, step(&mut random) % 120);
        for said in said {
            match said {
                Said::Enrolled(user) => known.enrolled.insert(user),
                Said::Revoked(user) => known.revoked.insert(user),
            };
        }
        product.restart();
        assert_all_known(&product, &known, kill);
    }
    let least = usize::try_from(kills / 2).unwrap();
    assert!(known.enrolled.len() > least, "only {} enrollments were acknowledged", known.enrolled.len());
    assert!(known.revoked.len() > least / 4, "only {} revocations were acknowledged", known.revoked.len());
    let chain = product.ops(&["audit", "verify"]);
    assert_eq!(chain["ok"], true, "{chain}");
}

/// Enrolls and revokes as fast as it goes; kills after `ms` of it. Gives what was acknowledged before the end.
fn work_until_killed(product: &mut Process, round: u64, ms: u64) -> Vec<Said> {
    let (say, said) = mpsc::channel();
    let socket = PathBuf::from(product.text("/ops/socket"));
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let (say, socket, join) = (say.clone(), socket.clone(), Join::of(product));
            std::thread::spawn(move || {
                for n in 0..1000 {
                    let user = format!("u{round}-{worker}-{n}");
                    if one_user(&socket, &join, &user, n, &say).is_none() {
                        return;
                    }
                }
            })
        })
        .collect();
    drop(say);
    // At least one full step is always given, so that a slow machine still tests something.
    std::thread::sleep(Duration::from_millis(40 + ms));
    product.kill();
    for worker in workers {
        worker.join().unwrap();
    }
    said.into_iter().collect()
}

/// Invites, enrolls, and revokes every second user. `None`: the process is gone.
fn one_user(
    socket: &std::path::Path,
    join: &Join,
    user: &str,
    n: u32,
    say: &mpsc::Sender<Said>,
) -> Option<()> {
    let invite = json!({ "user": user, "services": ["web"] });
    let (status, answer) = ops_at(socket, "POST", "/v1/invites", &invite).ok()?;
    assert_eq!(status, 201, "{answer}");
    let body = json!({ "invite": answer["code"], "device": "d", "class": "name" });
    let (status, answer) = join.ask("POST", "/j/v1/enroll", &body).ok()?;
    assert_eq!(status, 201, "{answer}");
    say.send(Said::Enrolled(user.to_owned())).unwrap();
    if n.is_multiple_of(2) {
        let reason = json!({ "reason": "test" });
        let (status, answer) = ops_at(socket, "POST", &format!("/v1/users/{user}/revoke"), &reason).ok()?;
        assert_eq!(status, 200, "{answer}");
        say.send(Said::Revoked(user.to_owned())).unwrap();
    }
    Some(())
}

fn assert_all_known(product: &Process, known: &Acknowledged, kill: u64) {
    let mut states = std::collections::BTreeMap::new();
    let mut after = String::new();
    loop {
        let (status, page) =
            ops(product, "GET", &format!("/v1/users?limit=500{after}"), &Value::Null).unwrap();
        assert_eq!(status, 200, "{page}");
        for user in page["users"].as_array().unwrap() {
            states.insert(
                user["name"].as_str().unwrap().to_owned(),
                user["state"].as_str().unwrap().to_owned(),
            );
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    for user in &known.enrolled {
        assert!(
            states.contains_key(user),
            "kill {kill}: the enrollment of {user} was acknowledged and is lost"
        );
    }
    for user in &known.revoked {
        assert_eq!(
            states[user], "revoked",
            "kill {kill}: the revocation of {user} was acknowledged and is lost"
        );
    }
}

/// xorshift64: the same campaign every time.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
