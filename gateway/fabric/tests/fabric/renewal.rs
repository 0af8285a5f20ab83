//! Certificates that live for seconds, renewed in lanes that stay.

use std::sync::Arc;
use std::time::Duration;

use fabric::mux::Side;
use fabric::tls::{PROOF_LABEL, proof_text};
use fabric::wire::{Frame, Proof};
use fabric::{Authority, Credentials, Gateway, Hub, HubConfig, Keyring, LocalHub, Refusal, Role, Validity};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::raw::Raw;
use crate::world::{
    ALWAYS, HUB, World, echo_service, echoed, identity, one_plane, services, soon, until, wiring,
};

/// A leaf whose last second is that many from now.
fn leaf(authority: &Authority, role: Role, name: &str, seconds: u64) -> Credentials {
    let validity = Validity { not_before: 1_500_000_000, not_after: UnixTime::now().as_secs() + seconds };
    authority.issue(&identity(role, name), validity).unwrap()
}

#[tokio::test]
async fn three_second_certificates_are_renewed_without_a_dropped_lane_or_a_lost_byte() {
    let authority = Authority::generate(ALWAYS).unwrap();
    let members = [(Role::Hub, HUB), (Role::LocalHub, "l1"), (Role::Edge, "e1")];
    let keyrings: Vec<Arc<Keyring>> =
        members.iter().map(|(role, name)| Keyring::new(leaf(&authority, *role, name, 3)).unwrap()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stop = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let config = HubConfig::alone("A", HUB, &folder.path().join("terms"));
    let hub =
        Hub::start(config, listener, None, keyrings[0].clone(), wiring(&["web"]), stop.clone()).unwrap();
    let planes = one_plane(hub.address());
    let served = services(&[("web", echo_service().await)]);
    let local = LocalHub::start(&planes, keyrings[1].clone(), served, stop.clone()).unwrap();
    let gateway = Gateway::start(&planes, keyrings[2].clone(), stop).unwrap();
    soon("both links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    until("the offer", || hub.status().services.contains_key("web")).await;

    let mut stream = gateway.open("web").await.unwrap();
    let (begun, mut renewed) = (Instant::now(), Instant::now());
    let mut round = 0u32;
    while begun.elapsed() < Duration::from_secs(8) {
        echoed(&mut stream, &round.to_be_bytes().repeat(500)).await.unwrap();
        round += 1;
        sleep(Duration::from_millis(5)).await;
        if renewed.elapsed() > Duration::from_millis(1200) {
            renewed = Instant::now();
            for (keyring, (role, name)) in keyrings.iter().zip(members) {
                keyring.replace(leaf(&authority, role, name, 3)).unwrap();
            }
        }
    }
    for plane in [&gateway.status().planes[0], &local.status().planes[0]] {
        assert_eq!((plane.is_ready(), plane.last_end), (true, None), "no lane has ever ended");
    }
    assert_eq!(hub.status().refused, Default::default());
}

#[tokio::test]
async fn a_certificate_that_is_not_renewed_ends_its_lanes_by_name_and_no_others() {
    let world = World::new().await;
    let keyring = Keyring::new(leaf(&world.authority, Role::Edge, "e1", 3)).unwrap();
    let planes = world.planes();
    let gateway = Gateway::start(&planes, keyring.clone(), CancellationToken::new()).unwrap();
    let local = world.local_hub("l1", services(&[("web", echo_service().await)]));
    soon("both links", async { tokio::join!(gateway.ready(), local.ready()) }).await;
    world.until_offered("web", 1).await;
    let mut stream = gateway.open("web").await.unwrap();
    echoed(&mut stream, b"still valid").await.unwrap();

    let last_ends = || gateway.status().planes[0].last_end;
    until("the end of the lanes", || last_ends() == Some("certificate_expired")).await;
    // Six lanes, and the stream.
    let expired = || world.hub.status().refused.get("certificate_expired").copied();
    until("all six", || expired().is_some_and(|count| count >= 6)).await;
    assert!(soon("the end", stream.read(&mut [0; 8])).await.is_err());
    assert!(local.status().planes[0].is_ready());

    // With the next certificate the member is back, by itself.
    keyring.replace(leaf(&world.authority, Role::Edge, "e1", 1000)).unwrap();
    soon("the link", gateway.ready()).await;
    echoed(&mut gateway.open("web").await.unwrap(), b"again").await.unwrap();
}

/// What `credentials` would prove in this lane.
fn proof(lane: &Raw, credentials: &Credentials) -> Frame {
    let binding = lane.io.get_ref().1.export_keying_material([0; 32], PROOF_LABEL, None).unwrap();
    let pem = credentials.to_secret_pem();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_der(), &random).unwrap();
    let signature = key.sign(&random, &proof_text(&binding, Side::Dialer, &certificate)).unwrap();
    Frame::Proof(Box::new(Proof {
        certificate: certificate.to_vec().into(),
        signature: signature.as_ref().to_vec().into(),
    }))
}

async fn lane(world: &World, credentials: &Credentials, index: u8) -> Raw {
    loop {
        let mut raw = Raw::connect(world.hub.address(), Some(credentials)).await.unwrap();
        if let Some(Frame::Welcome { .. }) = raw.greet(credentials.identity().name(), 7, index).await {
            return raw;
        }
    }
}

/// A frame for a lane.
type Make<'a> = &'a dyn Fn(&Raw) -> Frame;

#[tokio::test]
async fn a_proof_that_proves_nothing_is_a_violation_and_a_good_one_keeps_the_lane() {
    let world = World::new().await;
    let own = world.credentials(Role::LocalHub, "l2");
    let other_lane = lane(&world, &own, 3).await;
    let replayed = proof(&other_lane, &own);
    let foreign = Authority::generate(ALWAYS).unwrap().issue(own.identity(), ALWAYS).unwrap();
    let others = world.credentials(Role::LocalHub, "l1");
    let bad: [(&str, Make<'_>); 4] = [
        ("of another identity", &|raw| proof(raw, &others)),
        ("of another authority", &|raw| proof(raw, &foreign)),
        ("replayed from another lane", &|_| replayed.clone()),
        ("of another role", &|raw| proof(raw, &world.credentials(Role::Edge, "l2"))),
    ];
    for (count, (what, make)) in bad.into_iter().enumerate() {
        let mut raw = lane(&world, &own, 2).await;
        let proof = make(&raw);
        raw.say(&proof).await;
        assert_eq!(soon(what, raw.hear()).await, Some(Frame::Refuse(Refusal::Violation)), "{what}");
        drop(raw);
        let counted = count as u64 + 1;
        until(what, || world.hub.status().refused.get("proof_invalid") == Some(&counted)).await;
    }

    let short = leaf(&world.authority, Role::LocalHub, "l2", 2);
    let (mut renewed, mut expiring) = (lane(&world, &short, 4).await, lane(&world, &short, 5).await);
    let good = proof(&renewed, &own);
    renewed.say(&good).await;
    let end = soon("the end of the one that was not renewed", expiring.hear()).await;
    assert_eq!(end, Some(Frame::Refuse(Refusal::CertificateExpired)));
    renewed.say(&Frame::Ping { nonce: 77 }).await;
    assert_eq!(soon("the answer", renewed.hear()).await, Some(Frame::Pong { nonce: 77 }));
}

#[tokio::test]
async fn a_flood_of_proofs_is_a_violation() {
    let world = World::new().await;
    let own = world.credentials(Role::LocalHub, "l2");
    let mut raw = lane(&world, &own, 2).await;
    let good = proof(&raw, &own);
    for _ in 0..=fabric::bounds::PROOFS_AT_ONCE {
        raw.say(&good).await;
    }
    assert_eq!(soon("the end", raw.hear()).await, Some(Frame::Refuse(Refusal::Violation)));
    drop(raw);
    until("the name", || world.hub.status().refused.contains_key("flood")).await;
}
