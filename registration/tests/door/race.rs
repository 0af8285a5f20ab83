//! Fifty redeem one invite at once.

use std::sync::Arc;

use registration::client::{DeviceKey, Ticket, enroll_body, plain_body};
use rotator::Class;
use state::Store;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::fixture::{Door, Setup, ZONE};

const REDEEMERS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_21_single_use_fifty_redeemers_of_one_invite_have_one_winner_and_49_clear_refusals() {
    let door = Arc::new(Door::start(Setup { open: false, ..Setup::default() }).await);
    let code = door.invite("alice", 1).await;
    let start = Arc::new(Barrier::new(REDEEMERS));
    let mut racing = JoinSet::new();
    for n in 0..REDEEMERS {
        let (door, start) = (Arc::clone(&door), Arc::clone(&start));
        racing.spawn(async move {
            // Some by the form, some by the API, with a key and without.
            let device = format!("device-{n}");
            let key = DeviceKey::from_seed(&[n as u8 + 1; 32]).unwrap();
            start.wait().await;
            match n % 3 {
                0 => {
                    let form = format!("device={device}");
                    let kind = "application/x-www-form-urlencoded";
                    door.ask("POST", &code.path(), kind, form.as_bytes()).await
                }
                1 => door.post("/j/v1/enroll", &plain_body(Ticket::Invite(code), &device, Class::Name)).await,
                _ => {
                    let body = enroll_body(ZONE, Ticket::Invite(code), &device, Class::Agent, &key);
                    door.post("/j/v1/enroll", &body).await
                }
            }
        });
    }
    let answers = racing.join_all().await;
    let won: Vec<_> = answers.iter().filter(|a| a.status() == 201).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    let used = answers.iter().filter(|a| a.status() == 410 && a.0.contains("W-4102"));
    assert_eq!(used.count(), REDEEMERS - 1);
    let records = door.store.read();
    assert_eq!((records.users().count(), records.devices().count(), records.grants().count()), (1, 1, 2));
    assert_eq!(door.registration.status().enrolled, 1);
}
