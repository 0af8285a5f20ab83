//! Flows at the local hub: each is carried to a UDP socket of its own, connected to a server.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::bounds::{FLOW_IDLE, FLOW_TURNS, FLOWS_MAX, FLOWS_SERVICE_MAX};
use crate::datagrams::DATAGRAM_MAX;
use crate::flow::framed::Framed;
use crate::refusal::Refusal;

/// How many flows there are. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Flows(Arc<Counts>);

#[derive(Default)]
struct Counts {
    taken: Mutex<Taken>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_service: HashMap<String, usize>,
}

/// The place of one flow, given back when dropped.
pub(super) struct Place {
    flows: Flows,
    service: String,
}

impl Flows {
    /// A place for one more flow to a service.
    ///
    /// # Errors
    /// [`Refusal::FlowLimit`]: [`FLOWS_SERVICE_MAX`] of the service, or [`FLOWS_MAX`] in all.
    pub(super) fn enter(&self, service: &str) -> Result<Place, Refusal> {
        let mut taken = self.taken();
        let of_service = taken.by_service.get(service).copied().unwrap_or(0);
        if taken.all >= FLOWS_MAX || of_service >= FLOWS_SERVICE_MAX {
            return Err(Refusal::FlowLimit);
        }
        taken.all += 1;
        taken.by_service.insert(service.to_owned(), of_service + 1);
        drop(taken);
        Ok(Place { flows: self.clone(), service: service.to_owned() })
    }

    /// Flows now.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    /// Datagrams that found no room, since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.flows.taken();
        taken.all = taken.all.saturating_sub(1);
        match taken.by_service.get(&self.service).map_or(0, |n| n.saturating_sub(1)) {
            0 => taken.by_service.remove(&self.service),
            left => taken.by_service.insert(self.service.clone(), left),
        };
    }
}

impl Place {
    /// Carries datagrams both ways until the far side ends, or nothing passed for [`FLOW_IDLE`]. The header goes in front
    /// of each datagram to the server.
    ///
    /// # Errors
    /// Why the stream broke.
    pub(super) async fn carry<S>(&self, stream: S, udp: UdpSocket, header: &[u8]) -> Result<(), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut framed, mut last) = (Framed::new(stream), Instant::now());
        let mut joined = BytesMut::new();
        // Until the runtime has looked at it once, a new socket counts as full, and the flow's first datagram would be lost.
        let _ = udp.writable().await;
        loop {
            tokio::select! {
                next = poll_fn(|cx| framed.poll_next(cx)) => match next {
                    Ok(Some(datagram)) => {
                        last = Instant::now();
                        self.deliver(&udp, header, &datagram, &mut joined);
                    }
                    Ok(None) => return Ok(()),
                    Err(error) => return Err(Refusal::of(&error).unwrap_or(Refusal::LaneLost)),
                },
                _ = udp.readable() => {
                    if self.collect(&udp, &mut framed) {
                        last = Instant::now();
                    }
                }
                () = sleep_until(last + FLOW_IDLE) => return Ok(()),
            }
            tokio::task::consume_budget().await;
        }
    }

    /// To the server, or lost: a socket that is full, or a server that is not there now.
    fn deliver(&self, udp: &UdpSocket, header: &[u8], datagram: &[u8], joined: &mut BytesMut) {
        let sent = if header.is_empty() {
            udp.try_send(datagram)
        } else {
            joined.clear();
            joined.extend_from_slice(header);
            joined.extend_from_slice(datagram);
            udp.try_send(joined)
        };
        self.count_dropped(sent.is_ok());
    }

    /// What the server sent, up to [`FLOW_TURNS`] datagrams; true if there was any.
    fn collect<S: AsyncRead + AsyncWrite + Unpin>(&self, udp: &UdpSocket, framed: &mut Framed<S>) -> bool {
        // Held only while there is something to read: an idle flow costs no buffer.
        let mut room = BytesMut::with_capacity(DATAGRAM_MAX);
        let mut is_any = false;
        for _ in 0..FLOW_TURNS {
            room.clear();
            match udp.try_recv_buf(&mut room) {
                Ok(_) => {
                    is_any = true;
                    self.count_dropped(framed.send(&room));
                }
                // A server that is away says so once for each datagram.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        is_any
    }

    fn count_dropped(&self, is_kept: bool) {
        if !is_kept {
            self.flows.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn flows_are_bounded_for_each_service_and_in_all() {
        let flows = Flows::default();
        let mut held: Vec<_> = (0..FLOWS_SERVICE_MAX).map(|_| flows.enter("a").unwrap()).collect();
        assert_eq!(flows.enter("a").err(), Some(Refusal::FlowLimit));
        held.extend((held.len()..FLOWS_MAX).map(|n| flows.enter(&format!("s{}", n % 7)).unwrap()));
        assert_eq!(flows.enter("other").err(), Some(Refusal::FlowLimit));
        held.swap_remove(0);
        assert!(flows.enter("a").is_ok(), "a place that was given back");
        held.clear();
        assert_eq!((flows.count(), flows.taken().by_service.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_flows_first_datagram_leaves_by_a_socket_that_was_made_this_moment() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let ours = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        ours.connect(server.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut far, near) = tokio::io::duplex(64);
        far.write_all(&[0, 2, b'h', b'i']).await.unwrap();
        far.shutdown().await.unwrap();
        let place = Flows::default().enter("a").unwrap();
        place.carry(near, UdpSocket::from_std(ours).unwrap(), &[]).await.unwrap();
        assert_eq!(place.flows.dropped(), 0);
        server.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        let mut room = [0; 8];
        assert_eq!(server.recv(&mut room).map(|count| room[..count].to_vec()).unwrap(), b"hi");
    }
}
