//! A hub, local hubs, gateways and services to try things on.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fabric::{
    Authority, Credentials, FabricStream, Gateway, Hub, HubAddress, HubConfig, Identity, Keyring, LocalHub,
    PlaneAddress, Role, Services, Validity, Wiring,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const ALWAYS: Validity = Validity { not_before: 1_500_000_000, not_after: 4_000_000_000 };
pub(crate) const HUB: &str = "hub-a";

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) hub: Hub,
    pub(crate) hub_stop: CancellationToken,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// A hub alone, with edges `e1`, `e2` wired to open and local hubs `l1`, `l2` to offer `web`, `other` and `echo`.
    pub(crate) async fn new() -> Self {
        let authority = Authority::generate(ALWAYS).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let wiring = wiring(&["web", "other", "echo"]);
        let (hub, hub_stop) = start_hub(&authority, "A", listener, wiring, folder.path());
        Self { authority, hub, hub_stop, folder }
    }

    /// With a gateway `e1` and a local hub `l1` that offers `web` at that address, all ready.
    pub(crate) async fn with_service(address: SocketAddr) -> (Self, Gateway, LocalHub) {
        Self::with_services(services(&[("web", address)])).await
    }

    /// The same with these services, `web` among them.
    pub(crate) async fn with_services(services: Services) -> (Self, Gateway, LocalHub) {
        let world = Self::new().await;
        let (gateway, local) = (world.gateway("e1"), world.local_hub("l1", services));
        tokio::join!(gateway.ready(), local.ready());
        world.until_offered("web", 1).await;
        (world, gateway, local)
    }

    pub(crate) fn credentials(&self, role: Role, name: &str) -> Credentials {
        self.authority.issue(&identity(role, name), ALWAYS).unwrap()
    }

    pub(crate) fn keyring(&self, role: Role, name: &str) -> Arc<Keyring> {
        Keyring::new(self.credentials(role, name)).unwrap()
    }

    /// The one plane of this world.
    pub(crate) fn planes(&self) -> Vec<PlaneAddress> {
        one_plane(self.hub.address())
    }

    pub(crate) fn gateway(&self, name: &str) -> Gateway {
        self.gateway_until(name, CancellationToken::new())
    }

    pub(crate) fn gateway_until(&self, name: &str, stop: CancellationToken) -> Gateway {
        Gateway::start(&self.planes(), self.keyring(Role::Edge, name), stop).unwrap()
    }

    pub(crate) fn local_hub(&self, name: &str, services: Services) -> LocalHub {
        self.local_hub_until(name, services, CancellationToken::new())
    }

    pub(crate) fn local_hub_until(
        &self,
        name: &str,
        services: Services,
        stop: CancellationToken,
    ) -> LocalHub {
        LocalHub::start(&self.planes(), self.keyring(Role::LocalHub, name), services, stop).unwrap()
    }

    pub(crate) async fn until_offered(&self, service: &str, by: usize) {
        until("the service is offered", || {
            self.hub.status().services.get(service).copied().unwrap_or(0) == by
        })
        .await;
    }

    /// Stops the hub and waits until its port is free, then starts another on the same port.
    pub(crate) async fn restart_hub(&mut self) {
        let address = self.hub.address();
        self.hub_stop.cancel();
        self.hub.stopped().await;
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        let wiring = wiring(&["web", "other", "echo"]);
        (self.hub, self.hub_stop) = start_hub(&self.authority, "A", listener, wiring, self.folder.path());
    }
}

/// The only hub of a plane, with its term file in that folder.
pub(crate) fn start_hub(
    authority: &Authority,
    plane: &str,
    listener: TcpListener,
    wiring: Wiring,
    folder: &Path,
) -> (Hub, CancellationToken) {
    let stop = CancellationToken::new();
    let keyring = Keyring::new(authority.issue(&identity(Role::Hub, HUB), ALWAYS).unwrap()).unwrap();
    let config = HubConfig::alone(plane, HUB, &folder.join(format!("{plane}.terms")));
    (Hub::start(config, listener, None, keyring, wiring, stop.clone()).unwrap(), stop)
}

/// Plane A, of one hub that is reached there.
pub(crate) fn one_plane(address: SocketAddr) -> Vec<PlaneAddress> {
    vec![PlaneAddress { name: "A".into(), hubs: vec![HubAddress { address, name: HUB.into() }] }]
}

pub(crate) fn identity(role: Role, name: &str) -> Identity {
    Identity::new(role, name).unwrap()
}

pub(crate) fn wiring(names: &[&str]) -> Wiring {
    let mut wiring = Wiring::default();
    for service in names {
        for name in ["e1", "e2"] {
            wiring.permit_open(&identity(Role::Edge, name), service).unwrap();
        }
        for name in ["l1", "l2"] {
            wiring.permit_offer(&identity(Role::LocalHub, name), service).unwrap();
        }
    }
    wiring
}

pub(crate) fn services(named: &[(&str, SocketAddr)]) -> Services {
    named.iter().map(|(name, address)| ((*name).to_owned(), (*address).into())).collect()
}

/// Writes for ever to whoever connects; counts the bytes that were taken.
pub(crate) async fn endless_service() -> (SocketAddr, Arc<AtomicUsize>) {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let address = service(move |mut tcp| {
        let count = count.clone();
        async move {
            while let Ok(some) = tcp.write(&[7; 65_536]).await {
                count.fetch_add(some, Ordering::Relaxed);
            }
        }
    });
    (address.await, written)
}

/// Serves each connection with `serve`; the listener lives as long as the test's runtime.
pub(crate) async fn service<F, S>(serve: S) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// Sends back what it gets.
pub(crate) async fn echo_service() -> SocketAddr {
    service(|mut tcp| async move {
        let (mut read, mut write) = tcp.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

pub(crate) async fn echoed(stream: &mut FabricStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, text);
    Ok(())
}

/// Waits for a condition; a test that waits in vain says for what.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(30), waiting).await.is_ok(), "waited in vain: {what}");
}

/// Fails instead of hanging.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
