//! quinn's endpoints: one per port and core, all with the same limits.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connecting, ConnectionError, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use state::records::Auth;
use tokio_util::sync::CancellationToken;

use super::cid::{CidKey, Cids};
use super::doorman::Doorman;
use super::session;
use super::socket::{Doorway, Inboxes};
use crate::bounds::{
    H2_STREAMS_MAX, H3_UNI_STREAMS_MAX, HANDSHAKE_MAX, QUIC_CONNECTION_WINDOW, QUIC_CRYPTO_BUFFER,
    QUIC_IDLE_MAX, QUIC_INCOMING_BYTES_MAX, QUIC_INCOMING_MAX, QUIC_INCOMING_TOTAL_MAX, QUIC_KEEP_ALIVE,
    QUIC_RESET_EVERY, QUIC_SEND_WINDOW, QUIC_STREAM_WINDOW,
};
use crate::certificates::Certificates;
use crate::gate::Gate;
use crate::udp::port::Port;
use crate::upstream::Upstream;

/// What the endpoints of an edge share.
pub struct Quic {
    server: ServerConfig,
    /// For services that ask for the device's key.
    keyed: Arc<ServerConfig>,
    cids: Arc<CidKey>,
    cores: u8,
    /// By what each socket is bound to. Ports are few, and remembered.
    inboxes: Mutex<HashMap<SocketAddr, Inboxes>>,
}

/// One endpoint and who stands before it.
pub struct Front {
    pub gate: Arc<Gate>,
    pub upstream: Arc<Upstream>,
    pub port: Arc<Port>,
    pub doorman: Arc<Doorman>,
    pub endpoint: Endpoint,
    keyed: Arc<ServerConfig>,
    /// Handshakes under way.
    pub handshakes: AtomicUsize,
}

impl Quic {
    /// # Errors
    /// The provider of cryptography lacks what QUIC needs.
    pub fn new(certificates: &Certificates, cores: usize) -> io::Result<Self> {
        let server = limited(&certificates.server_config())?;
        let keyed = Arc::new(limited(&certificates.keyed_config())?);
        let cids = CidKey::new(uuid::Uuid::new_v4().into_bytes());
        let cores = u8::try_from(cores).map_err(io::Error::other)?;
        Ok(Self { server, keyed, cids, cores, inboxes: Mutex::default() })
    }

    /// Serves a port on one core until cancelled, or the edge drains; connections go on. Call it within the runtime of that core.
    ///
    /// # Errors
    /// There is no such core; the runtime is going down.
    pub fn listen(
        &self,
        gate: &Arc<Gate>,
        upstream: &Arc<Upstream>,
        port: Arc<Port>,
        core: u8,
        stop: CancellationToken,
    ) -> io::Result<Endpoint> {
        let front = self.open(gate, upstream, port, core)?;
        let endpoint = front.endpoint.clone();
        tokio::spawn(accept(Arc::new(front), stop));
        Ok(endpoint)
    }

    fn inboxes(&self, local: SocketAddr) -> Inboxes {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (0..self.cores).map(|_| Arc::default()).collect();
        Arc::clone(inboxes.entry(local).or_insert_with(fresh))
    }

    fn open(
        &self,
        gate: &Arc<Gate>,
        upstream: &Arc<Upstream>,
        port: Arc<Port>,
        core: u8,
    ) -> io::Result<Front> {
        let (number, inboxes) = (port.local_addr().port(), self.inboxes(port.local_addr()));
        let unfit = || io::Error::from(io::ErrorKind::Unsupported);
        let doorman = Doorman::new(Arc::clone(gate), number, Arc::clone(&self.cids), core).map(Arc::new);
        let doorman = doorman.ok_or_else(unfit)?;
        let doorway = Doorway::new(Arc::clone(&port), Arc::clone(&doorman), inboxes, core);
        let doorway = Arc::new(doorway.ok_or_else(unfit)?);
        let mut config = EndpointConfig::default();
        let cids = Arc::clone(&self.cids);
        config
            .cid_generator(move || Box::new(Cids::new(Arc::clone(&cids), core)))
            .supported_versions(vec![1])
            .grease_quic_bit(false)
            // Even of an ID that was ours once, little is to be learnt.
            .min_reset_interval(QUIC_RESET_EVERY);
        let server = Some(self.server.clone());
        let endpoint = Endpoint::new_with_abstract_socket(config, server, doorway, Arc::new(TokioRuntime))?;
        Ok(Front {
            gate: Arc::clone(gate),
            upstream: Arc::clone(upstream),
            port,
            doorman,
            endpoint,
            keyed: Arc::clone(&self.keyed),
            handshakes: AtomicUsize::new(0),
        })
    }
}

impl Front {
    /// Begins the handshake that a service asks for.
    ///
    /// # Errors
    /// The newcomer broke the protocol already.
    pub fn accept(&self, incoming: Incoming, auth: Auth) -> Result<Connecting, ConnectionError> {
        match auth {
            Auth::Address | Auth::Name => incoming.accept(),
            Auth::Key => incoming.accept_with(Arc::clone(&self.keyed)),
        }
    }
}

/// Those of TLS with QUIC's limits around: HTTP/3 alone, and nothing before the handshake.
fn limited(tls: &rustls::ServerConfig) -> io::Result<ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    tls.max_early_data_size = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut server = ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport()))
        .max_incoming(QUIC_INCOMING_MAX)
        .incoming_buffer_size(QUIC_INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(QUIC_INCOMING_TOTAL_MAX)
        .retry_token_lifetime(HANDSHAKE_MAX)
        // A client may move, its address is no secret of ours; where it came to, it stays.
        .migration(true);
    Ok(server)
}

/// Takes newcomers until cancelled.
async fn accept(front: Arc<Front>, stop: CancellationToken) {
    while let Some(Some(incoming)) = stop.run_until_cancelled(front.endpoint.accept()).await {
        let drain = &front.gate.drain;
        if drain.begun.is_cancelled() {
            incoming.refuse();
        } else if drain.quic.is_cancelled() {
            // A moment later, it asks again, and a successor answers.
            incoming.ignore();
        } else {
            tokio::spawn(session::run(Arc::clone(&front), incoming));
        }
    }
}

/// Every limit set. No datagrams. What keeps a connection alive is that its requests may wait longer than a silent one is
/// kept: one without requests is ended by [`super::h3::connection`].
fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(H2_STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(H3_UNI_STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(QUIC_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(QUIC_CONNECTION_WINDOW))
        .send_window(QUIC_SEND_WINDOW)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(QUIC_IDLE_MAX.as_millis() as u32))))
        .crypto_buffer_size(QUIC_CRYPTO_BUFFER)
        .keep_alive_interval(Some(QUIC_KEEP_ALIVE))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    transport
}
