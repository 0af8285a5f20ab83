//! Our chain: a gateway that takes TCP connections, a hub, a local hub. All that knows the fabric's interface is here.

use std::net::SocketAddr;
use std::path::Path;

use fabric::{
    Authority, Class, Credentials, Gateway, Hub, HubAddress, HubConfig, Identity, Keyring, LocalHub,
    PlaneAddress, Role, Services, Validity, Wiring,
};
use tests::measure::processes::free_address;
use tests::measure::service::accept;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::chains::{Chain, Site};

const MEMBER: &str = "bench";
const SERVICE: &str = "s";
/// Bytes that the gateway holds each way between a connection and its stream.
const COPIED: usize = 16 * 1024;

pub(crate) fn start(site: &Site) -> Result<Chain, String> {
    let always = Validity { not_before: 1_500_000_000, not_after: 4_000_000_000 };
    let authority = Authority::generate(always).unwrap();
    for role in [Role::Hub, Role::LocalHub, Role::Edge] {
        let credentials = authority.issue(&identity(role), always).unwrap();
        std::fs::write(file(&site.dir, role), credentials.to_secret_pem()).unwrap();
    }
    let (hub, front, bulk) = (free_address(), free_address(), free_address());
    let part = |name: &str, addresses: &[SocketAddr]| {
        let addresses = addresses.iter().map(SocketAddr::to_string);
        let arguments: Vec<String> = [site.dir.display().to_string()].into_iter().chain(addresses).collect();
        site.part(&format!("fabric.{name}"), &arguments)
    };
    let processes = vec![
        part("gateway", &[hub, front, bulk]),
        part("hub", &[hub]),
        part("local-hub", &[hub, site.service]),
    ];
    Ok(Chain { name: "fabric", processes, front, bulk })
}

fn identity(role: Role) -> Identity {
    Identity::new(role, MEMBER).unwrap()
}

fn file(dir: &Path, role: Role) -> std::path::PathBuf {
    dir.join(format!("{role:?}.pem"))
}

fn keyring(dir: &Path, role: Role) -> std::sync::Arc<Keyring> {
    let pem = std::fs::read_to_string(file(dir, role)).unwrap();
    Keyring::new(Credentials::from_secret_pem(&pem).unwrap()).unwrap()
}

/// One plane with one instance: what a stream passes through is the same with more.
fn plane(address: SocketAddr) -> [PlaneAddress; 1] {
    let hubs = vec![HubAddress { address, name: MEMBER.to_owned() }];
    [PlaneAddress { name: "A".to_owned(), hubs }]
}

pub(crate) async fn hub(dir: &Path, listen: SocketAddr) {
    let mut wiring = Wiring::default();
    wiring.permit_open(&identity(Role::Edge), SERVICE).unwrap();
    wiring.permit_offer(&identity(Role::LocalHub), SERVICE).unwrap();
    let stop = CancellationToken::new();
    let listener = TcpListener::bind(listen).await.unwrap();
    let config = HubConfig::alone("A", MEMBER, &dir.join("hub.terms"));
    let _hub = Hub::start(config, listener, None, keyring(dir, Role::Hub), wiring, stop.clone()).unwrap();
    stop.cancelled().await;
}

pub(crate) async fn local_hub(dir: &Path, hub: SocketAddr, service: SocketAddr) {
    let services = Services::from([(SERVICE.to_owned(), service.into())]);
    let stop = CancellationToken::new();
    let keyring = keyring(dir, Role::LocalHub);
    let _local = LocalHub::start(&plane(hub), keyring, services, stop.clone()).unwrap();
    stop.cancelled().await;
}

pub(crate) async fn gateway(dir: &Path, hub: SocketAddr, front: SocketAddr, bulk: SocketAddr) {
    let stop = CancellationToken::new();
    let gateway = Gateway::start(&plane(hub), keyring(dir, Role::Edge), stop).unwrap();
    tokio::join!(carry(&gateway, front, Class::Interactive), carry(&gateway, bulk, Class::Bulk),);
}

/// A stream for each connection.
async fn carry(gateway: &Gateway, listen: SocketAddr, class: Class) {
    accept(listen, |mut tcp| {
        let gateway = gateway.clone();
        async move {
            let Ok(mut stream) = gateway.open_class(SERVICE, class).await else { return };
            // An end that is cut ends both; the client sees it.
            let _ = copy_bidirectional_with_sizes(&mut tcp, &mut stream, COPIED, COPIED).await;
        }
    })
    .await;
}
