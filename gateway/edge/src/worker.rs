//! One core: its thread, its runtime, its sockets and all that came through them.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use state::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bounds::UPSTREAM_IDLE_MAX;
use crate::gate::Gate;
use crate::opener::Order;
use crate::pressure;
use crate::quic::endpoint::Quic;
use crate::sockets::Hold;
use crate::tcp::listen;
use crate::udp::Listening;
use crate::upstream::Upstream;

/// What a core works with.
pub struct Worker {
    pub gate: Arc<Gate>,
    pub fabric: Arc<fabric::Gateway>,
    pub datagrams: Arc<Datagrams>,
    pub quic: Option<Arc<Quic>>,
    pub memory_max: Option<u64>,
    pub core: u8,
    pub cores: usize,
    pub stop: CancellationToken,
}

/// Whose datagrams are: between two processes that have the same sockets, only one may read them.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// Cancelled when they are ours.
    pub ours: CancellationToken,
    /// Cancelled when they are a successor's.
    pub left: CancellationToken,
}

/// Dropped when a core reads no more datagrams.
pub type Reading = SyncSender<()>;

/// A core's sockets and what is spent on them.
struct Core {
    worker: Worker,
    upstream: Arc<Upstream>,
    listening: BTreeMap<u16, CancellationToken>,
    datagrams: Option<(Listening, Reading)>,
    /// Orders about datagrams, until these are ours.
    later: Vec<Order>,
}

impl Worker {
    /// Serves on a thread of its own, from these orders on, until stopped; then waits for the drain.
    ///
    /// # Errors
    /// Want of threads.
    pub fn spawn(
        self,
        runtime: tokio::runtime::Runtime,
        first: Vec<Order>,
        orders: mpsc::Receiver<Order>,
        reading: Reading,
    ) -> io::Result<std::thread::JoinHandle<()>> {
        let named = std::thread::Builder::new().name(format!("edge-{}", self.core));
        named.spawn(move || runtime.block_on(self.run(first, orders, reading)))
    }

    async fn run(self, first: Vec<Order>, mut orders: mpsc::Receiver<Order>, reading: Reading) {
        if !self.gate.drain.opened().await {
            return;
        }
        tokio::spawn(pressure::sample(Arc::clone(&self.gate), self.memory_max, self.stop.clone()));
        let (gate, stop, whose) = (Arc::clone(&self.gate), self.stop.clone(), Arc::clone(&self.datagrams));
        let mut core = Core::new(self, reading);
        first.into_iter().for_each(|order| core.obey(order));
        let mut sweep = tokio::time::interval(UPSTREAM_IDLE_MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(order) = orders.recv() => core.obey(order),
                () = whose.ours.cancelled(), if !core.later.is_empty() => core.read(),
                () = whose.left.cancelled(), if core.datagrams.is_some() => core.leave_datagrams(),
                _ = sweep.tick() => core.upstream.sweep(),
            }
        }
        gate.drain.ended(&gate.connections).await;
        if let Some((listening, _)) = &core.datagrams {
            listening.last_words().await;
        }
    }
}

impl Core {
    fn new(worker: Worker, reading: Reading) -> Self {
        let upstream = Upstream::new(Arc::clone(&worker.fabric));
        let front = worker.quic.as_ref().map(|quic| (Arc::clone(quic), Arc::clone(&upstream), worker.core));
        let (gate, fabric) = (Arc::clone(&worker.gate), Arc::clone(&worker.fabric));
        let datagrams = Listening::new(gate, fabric, worker.cores, front);
        let datagrams = Some((datagrams, reading));
        Self { worker, upstream, listening: BTreeMap::new(), datagrams, later: Vec::new() }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Listen { port, listeners } => self.listen(port, listeners),
            Order::Close { transport: Transport::Tcp, port } => {
                self.listening.remove(&port).iter().for_each(CancellationToken::cancel);
            }
            datagrams @ (Order::Read { .. } | Order::Close { transport: Transport::Udp, .. }) => {
                self.later.push(datagrams);
                if self.worker.datagrams.ours.is_cancelled() {
                    self.read();
                }
            }
        }
    }

    fn listen(&mut self, port: u16, listeners: Vec<(TcpListener, Hold)>) {
        let stop = self.worker.stop.child_token();
        for (listener, hold) in listeners {
            let (gate, upstream) = (Arc::clone(&self.worker.gate), Arc::clone(&self.upstream));
            tokio::spawn(listen::accept(gate, upstream, listener, hold, stop.clone()));
        }
        self.listening.insert(port, stop);
    }

    /// Carries out the orders about datagrams; of a successor's, there is nothing to do.
    fn read(&mut self) {
        let orders = std::mem::take(&mut self.later);
        let Some((listening, _)) = &mut self.datagrams else { return };
        for order in orders {
            match order {
                Order::Read { port, sockets, has_quic } => {
                    // Without this core's, the port's other sockets get all.
                    if let Err(error) = listening.open(port, sockets, has_quic) {
                        tracing::error!(event = "edge.listen_failed", port, %error);
                    }
                }
                Order::Close { port, .. } => listening.close(port),
                Order::Listen { .. } => {}
            }
        }
    }

    fn leave_datagrams(&mut self) {
        if let Some((listening, reading)) = self.datagrams.take() {
            tokio::spawn(async move {
                listening.leave().await;
                drop(reading);
            });
        }
    }
}
