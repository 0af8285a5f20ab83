//! Services that ask for the device's key: `auth = "key"`.

use std::sync::Arc;

use data_encoding::BASE64;
use defense::Reason;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use state::records::{Auth, Device, PublicKey, Revoked};
use state::txn::Record;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::clients::Wire;
use crate::scene::{ALICE, BOB, Plot, Scene, txn, until};

fn made() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn public(key: &KeyPair) -> PublicKey {
    PublicKey(key.public_key_raw().try_into().unwrap())
}

async fn scene(key: &KeyPair) -> Scene {
    Scene::of(Plot { auth: Auth::Key, key: Some(public(key)), ..Plot::default() }).await
}

/// A client that shows that key's certificate, if any.
fn client(
    scene: &Scene,
    key: Option<&KeyPair>,
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(scene.chain.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots);
    Arc::new(match key {
        None => builder.with_no_client_auth(),
        Some(key) => {
            let certificate = CertificateParams::new(vec!["me".into()]).unwrap().self_signed(key).unwrap();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
        }
    })
}

/// The status of a request over a new connection; `None`: there was none.
async fn status(scene: &Scene, client: &Arc<ClientConfig>) -> Option<u16> {
    connected(scene, client).await?.answered(scene).await
}

async fn connected(scene: &Scene, client: &Arc<ClientConfig>) -> Option<Wire> {
    let tcp = TcpStream::connect((scene.address(ALICE), scene.port)).await.unwrap();
    let name = ServerName::try_from(scene.name(ALICE)).unwrap();
    let tls = TlsConnector::from(Arc::clone(client)).connect(name, tcp).await.ok()?;
    Some(Wire { tls, unread: Vec::new() })
}

impl Wire {
    async fn answered(&mut self, scene: &Scene) -> Option<u16> {
        self.say(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", scene.name(ALICE)).as_bytes()).await;
        self.answer("GET").await.map(|answer| answer.status)
    }
}

impl Scene {
    /// What a request over HTTP/3 comes to that shows that key's certificate, if any.
    async fn play_with(&self, key: Option<&KeyPair>) -> serde_json::Value {
        let Some(key) = key else { return self.play("shows", ALICE, &[]).await };
        let certificate = CertificateParams::new(vec!["me".into()]).unwrap().self_signed(key).unwrap();
        let files = ["me.crt", "me.key"].map(|file| self.folder().join(file));
        for (file, pem) in files.iter().zip([certificate.pem(), plain_pem(key)]) {
            std::fs::write(file, pem).unwrap();
        }
        let files = files.each_ref().map(|file| file.to_str().unwrap());
        self.play("shows", ALICE, &files).await
    }
}

/// A key in the form of RFC 8410, version 1: without the public half, which not every reader knows.
fn plain_pem(key: &KeyPair) -> String {
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let plain = [&HEAD, &key.serialize_der()[HEAD.len()..][..32]].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(&plain))
}

fn device(scene: &Scene) -> Device {
    scene.store.read().device(Uuid::from_u128(10)).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_devices_own_key_is_served_and_neither_none_nor_another_reaches_the_service() {
    let own = made();
    let scene = scene(&own).await;
    assert_eq!(status(&scene, &client(&scene, None, &TLS13)).await, None);
    scene.until_written(Reason::KeyRequired, 1).await;
    assert_eq!(status(&scene, &client(&scene, Some(&made()), &TLS13)).await, None);
    scene.until_written(Reason::KeyMismatch, 1).await;
    assert_eq!(scene.backend.connections(), 0);
    assert_eq!(status(&scene, &client(&scene, Some(&own), &TLS13)).await, Some(200));
    // Before TLS 1.3 a client certificate is there for everybody to read.
    assert_eq!(status(&scene, &client(&scene, Some(&own), &TLS12)).await, None);
    assert_eq!(scene.backend.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_not_stand_in_for_the_name_nor_for_another_devices_address() {
    let own = made();
    let scene = scene(&own).await;
    let client = client(&scene, Some(&own), &TLS13);
    for (address, name) in [(ALICE, scene.name(BOB)), (BOB, scene.name(ALICE)), (BOB, scene.name(BOB))] {
        let tcp = TcpStream::connect((scene.address(address), scene.port)).await.unwrap();
        let host = ServerName::try_from(name.clone()).unwrap();
        if let Ok(tls) = TlsConnector::from(Arc::clone(&client)).connect(host, tcp).await {
            let mut wire = Wire { tls, unread: Vec::new() };
            wire.say(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").as_bytes()).await;
            assert!(wire.answer("GET").await.is_none(), "{name}");
        }
    }
    assert_eq!(scene.backend.connections(), 0);
    scene.until_written(Reason::NameMismatch, 2).await;
    scene.until_written(Reason::KeyMismatch, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_devices_key_is_refused_at_once_and_what_it_has_open_ends() {
    let own = made();
    let scene = scene(&own).await;
    let client = client(&scene, Some(&own), &TLS13);
    let mut open = connected(&scene, &client).await.unwrap();
    assert_eq!(open.answered(&scene).await, Some(200));
    let (address, name) = (scene.address(ALICE), scene.name(ALICE));
    let revoked = Some(Revoked { at: scene.clock.now(), why: "lost".into() });
    scene.commit(txn("lost").put(Record::Device(Device { revoked, ..device(&scene) }))).await;
    open.say(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").as_bytes()).await;
    assert!(open.answer("GET").await.is_none());
    until("it is written", || scene.journal.total(Reason::RevokedLive) >= 1).await;
    let tcp = TcpStream::connect((address, scene.port)).await;
    let host = ServerName::try_from(name).unwrap();
    let again = async { TlsConnector::from(client).connect(host, tcp?).await };
    assert!(again.await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_is_judged_by_the_key_that_it_showed_and_a_new_key_ends_the_old() {
    let (old, new) = (made(), made());
    let scene = scene(&old).await;
    let before = client(&scene, Some(&old), &TLS13);
    for _ in 0..3 {
        assert_eq!(status(&scene, &before).await, Some(200));
    }
    let mut open = connected(&scene, &before).await.unwrap();
    assert_eq!(open.answered(&scene).await, Some(200));
    let public_key = Some(public(&new));
    scene.commit(txn("key").put(Record::Device(Device { public_key, ..device(&scene) }))).await;
    assert_eq!(open.answered(&scene).await, None, "what the old key opened is closed");
    assert_eq!(status(&scene, &before).await, None, "its tickets are worth nothing");
    scene.until_written(Reason::KeyMismatch, 1).await;
    assert_eq!(status(&scene, &client(&scene, Some(&new), &TLS13)).await, Some(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic_the_devices_own_key_is_served_and_neither_none_nor_another_reaches_the_service() {
    let own = made();
    let scene = scene(&own).await;
    let told = scene.play_with(None).await;
    assert_eq!(told["status"], 0, "{told}");
    assert!(told["closed"].is_number(), "{told}");
    let told = scene.play_with(Some(&made())).await;
    assert_eq!((&told["status"], &told["closed"]), (&0.into(), &0x10b.into()), "{told}");
    scene.until_written(Reason::KeyMismatch, 1).await;
    assert_eq!(scene.backend.connections(), 0);
    let told = scene.play_with(Some(&own)).await;
    assert_eq!(told["status"], 200, "{told}");
    // Browsers show no certificate over QUIC: they are not led there.
    assert_eq!(told["head"].get("alt-svc"), None, "{told}");
    assert_eq!(scene.backend.connections(), 1);
    let (address, name) = (scene.address(ALICE).to_string(), scene.name(ALICE));
    let revoked = Some(Revoked { at: scene.clock.now(), why: "lost".into() });
    scene.commit(txn("lost").put(Record::Device(Device { revoked, ..device(&scene) }))).await;
    let told = scene.play_at("quiet", &address, &name, &[]).await;
    assert_eq!(told["received"], 0, "{told}");
}
