//! HTTP/2 as RFC 9113 has it, case by case, by an independent client that speaks in frames.

use std::process::Command;

use crate::backend::{Say, ok};
use crate::scene::{ALICE, Scene};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/edge/h2_conformance.py");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_the_protocol_ends_as_it_should() {
    let scene = Scene::new().await;
    scene.backend.says(|heard| if heard.line().contains("/hang") { Say::Hang } else { ok(heard.line()) });
    let ca = scene.folder().join("ca.pem");
    std::fs::write(&ca, &scene.chain).unwrap();
    let python = std::env::var("WANDERGATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = Command::new(python);
    command.arg(CLIENT).arg(scene.address(ALICE).to_string()).arg(scene.port.to_string());
    command.arg(scene.name(ALICE)).arg(ca);
    let done = tokio::task::spawn_blocking(move || command.output().expect("python3 starts")).await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "(needs python's hpack and hyperframe, see tests/run)\n{said}{wrong}");
    assert!(said.trim().ends_with(" cases"), "{said}");
    assert!(scene.serves(scene.address(ALICE), &scene.name(ALICE)).await);
}
