//! The socket as quinn sees it: what the doorman lets in, and what other cores received for this one.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::doorman::{Doorman, Fate};
use crate::bounds::{QUIC_QUEUE_MAX, UDP_TURNS};
use crate::udp::port::Port;

/// Datagrams that wait for one core's endpoint. At most [`QUIC_QUEUE_MAX`]; what is beyond is lost, as datagrams are.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<VecDeque<(RecvMeta, Bytes)>>,
    waker: AtomicWaker,
}

/// The inboxes of one port's endpoints, by core.
pub type Inboxes = Arc<[Arc<Inbox>]>;

/// One endpoint's socket.
pub struct Doorway {
    port: Arc<Port>,
    doorman: Arc<Doorman>,
    mine: Arc<Inbox>,
    all: Inboxes,
}

impl Inbox {
    pub fn push(&self, meta: RecvMeta, datagram: Bytes) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= QUIC_QUEUE_MAX {
                return;
            }
            let len = datagram.len();
            waiting.push_back((RecvMeta { len, stride: len, ..meta }, datagram));
        }
        self.waker.wake();
    }

    /// Fills buffers with what waits; tells how many.
    fn take(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> usize {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        while taken < bufs.len().min(metas.len()) {
            let Some((meta, datagram)) = waiting.pop_front() else { break };
            // What is longer than a buffer was cut already when it came.
            if let Some(room) = bufs[taken].get_mut(..datagram.len()) {
                room.copy_from_slice(&datagram);
                metas[taken] = meta;
                taken += 1;
            }
        }
        taken
    }
}

impl Doorway {
    /// `core` says which of the inboxes is this endpoint's.
    pub fn new(port: Arc<Port>, doorman: Arc<Doorman>, all: Inboxes, core: u8) -> Option<Self> {
        let mine = Arc::clone(all.get(usize::from(core))?);
        Some(Self { port, doorman, mine, all })
    }

    /// Puts the buffers that pass whole first and tells how many they are; the rest that passes goes to an inbox.
    fn sort(&self, bufs: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta], received: usize) -> usize {
        let mut whole = 0;
        for at in 0..received {
            let meta = metas[at];
            let Some(local) = meta.dst_ip else { continue };
            let datagrams = bufs[at].get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1));
            let (source, local) = (meta.addr, local.to_canonical());
            let fates: Vec<Fate> = datagrams.map(|one| self.doorman.judge(source, local, one)).collect();
            if fates.iter().all(|fate| *fate == Fate::Pass) {
                bufs.swap(whole, at);
                metas.swap(whole, at);
                whole += 1;
                continue;
            }
            let datagrams = bufs[at].get(..meta.len).unwrap_or_default().chunks(meta.stride.max(1));
            for (fate, datagram) in fates.into_iter().zip(datagrams) {
                self.hand_over(fate, meta, datagram);
            }
        }
        whole
    }

    fn hand_over(&self, fate: Fate, meta: RecvMeta, datagram: &[u8]) {
        let (inbox, earlier) = match fate {
            Fate::Drop => return,
            Fate::Pass => (Some(&self.mine), Vec::new()),
            Fate::After(earlier) => (Some(&self.mine), earlier),
            Fate::Core(core) => (self.all.get(usize::from(core)), Vec::new()),
        };
        if let Some(inbox) = inbox {
            earlier.into_iter().for_each(|datagram| inbox.push(meta, datagram));
            inbox.push(meta, Bytes::copy_from_slice(datagram));
        }
    }
}

impl AsyncUdpSocket for Doorway {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { port: Arc::clone(&self.port), waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(local) = transmit.src_ip else { return self.port.try_send(transmit) };
        let (to, bytes) = (transmit.destination, transmit.contents);
        let may = self.doorman.may_send(to, local.to_canonical(), bytes, transmit.segment_size);
        match bytes.get(..may) {
            // What may not go is lost, as any datagram may be.
            None | Some([]) => Ok(()),
            Some(contents) => self.port.try_send(&Transmit { contents, ..*transmit }),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _ in 0..UDP_TURNS {
            self.mine.waker.register(cx.waker());
            let waited = self.mine.take(bufs, metas);
            if waited > 0 {
                return Poll::Ready(Ok(waited));
            }
            let received = match self.port.poll_recv(cx, bufs, metas) {
                Poll::Ready(received) => received?,
                Poll::Pending => return Poll::Pending,
            };
            let whole = self.sort(bufs, metas, received);
            if whole > 0 {
                return Poll::Ready(Ok(whole));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.port.local_addr())
    }

    fn max_transmit_segments(&self) -> usize {
        self.port.socket().max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.port.socket().max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.port.socket().may_fragment()
    }
}

impl fmt::Debug for Doorway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorway").field("local", &self.port.local_addr()).finish_non_exhaustive()
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Waits until the kernel has room again, for one connection.
struct Writable {
    port: Arc<Port>,
    waiting: Option<Waiting>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let port = Arc::clone(&self.port);
        let waiting =
            self.waiting.get_or_insert_with(|| Box::pin(async move { port.socket().writable().await }));
        let polled = waiting.as_mut().poll(cx);
        if polled.is_ready() {
            self.waiting = None;
        }
        polled
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").finish_non_exhaustive()
    }
}
