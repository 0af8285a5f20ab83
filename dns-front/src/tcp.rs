//! TCP: hickory's framing and idle timeout behind an accept loop of our own. A shell.
//!
//! hickory-server's own loop ends for good on ECONNABORTED, spins when descriptors run out, and takes any number of
//! connections; so it is not used.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use hickory_proto::op::SerialMessage;
use hickory_server::net::DnsStreamHandle;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as Framed;
use hickory_server::server::TimeoutStream;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bounds::{
    ERROR_PAUSE, TCP_ANSWERS_MAX, TCP_CONNECTIONS_MAX, TCP_IDLE_MAX, TCP_LIFE_MAX, TCP_PER_SOURCE_MAX,
};
use crate::desk::{Desk, Served};
use crate::tally::count;
use crate::wire::Transport;

/// Places for connections, over all listeners. Its size is bounded by [`TCP_CONNECTIONS_MAX`].
#[derive(Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    most: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, u32>,
}

/// One connection's place, given back when dropped.
struct Place {
    places: Places,
    network: IpAddr,
}

/// Accepts until `stop`; no error of the listener ends the loop.
pub(crate) async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    places: Places,
    conversations: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(event = "dns.accept_error", %error);
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(source.ip()) else {
            count(&desk.tally.turned_away);
            continue;
        };
        count(&desk.tally.connections);
        let (desk, stop) = (Arc::clone(&desk), stop.clone());
        conversations.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // Whatever the client does, its place is free after this.
                _ = tokio::time::timeout(TCP_LIFE_MAX, converse(stream, source, &desk)) => {}
            }
            drop(place);
        });
    }
}

/// Query after query, until the client ends, is idle, breaks the framing, or is dropped by a verdict.
async fn converse(stream: TcpStream, source: SocketAddr, desk: &Desk) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(event = "dns.nodelay", %error);
    }
    let stream = AsyncIoTokioAsStd(stream);
    let (framed, mut answers) = Framed::from_stream_with_buffer_size(stream, source, TCP_ANSWERS_MAX);
    // An answer is written before the next query is read; the idle time runs meanwhile too.
    let mut queries = TimeoutStream::new(framed, TCP_IDLE_MAX);
    while let Some(Ok(query)) = queries.next().await {
        let reply = match desk.serve(query.bytes(), source, Transport::Tcp) {
            Served::Silence => return,
            Served::Reply(reply) => reply,
            Served::Later(floor, reply) => {
                tokio::time::sleep(floor).await;
                reply
            }
        };
        if answers.send(SerialMessage::new(reply, source)).is_err() {
            count(&desk.tally.unsent);
            return;
        }
    }
}

impl Places {
    /// At most [`TCP_CONNECTIONS_MAX`], each of which takes a descriptor.
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most: most.min(TCP_CONNECTIONS_MAX) }
    }

    /// A place for a connection from `source`, unless all are taken, or too many by its network.
    fn take(&self, source: IpAddr) -> Option<Place> {
        let network = network(source);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let by_source = taken.by_source.get(&network).copied().unwrap_or(0);
        if taken.all >= self.most || by_source >= TCP_PER_SOURCE_MAX {
            return None;
        }
        taken.all += 1;
        taken.by_source.insert(network, by_source + 1);
        Some(Place { places: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let left = taken.by_source.get(&self.network).map_or(0, |n| n - 1);
        match left {
            0 => taken.by_source.remove(&self.network),
            left => taken.by_source.insert(self.network, left),
        };
    }
}

/// What one household or host can have of addresses: an IPv4 address, an IPv6 /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_gets_its_share_and_not_one_connection_more() {
        let places = Places::new(usize::MAX);
        let mut held: Vec<_> =
            (0..TCP_PER_SOURCE_MAX).map(|_| places.take(ip("192.0.2.1")).unwrap()).collect();
        assert!(places.take(ip("192.0.2.1")).is_none());
        assert!(places.take(ip("::ffff:192.0.2.1")).is_none(), "the same source in other clothes");
        assert!(places.take(ip("192.0.2.2")).is_some());
        held.pop();
        assert!(places.take(ip("192.0.2.1")).is_some());
        let near = (0..TCP_PER_SOURCE_MAX).map(|i| places.take(ip(&format!("2001:db8::{i}"))).unwrap());
        let near: Vec<_> = near.collect();
        assert!(places.take(ip("2001:db8::ffff")).is_none(), "a /64 is one source");
        assert!(places.take(ip("2001:db8:0:1::1")).is_some());
        drop((held, near));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_source.len()), (0, 0), "nothing is remembered of those who left");
    }

    #[test]
    fn all_sources_together_get_no_more_than_there_are_places() {
        let places = Places::new(usize::MAX);
        let source = |i: usize| IpAddr::from(u32::try_from(i).unwrap().to_be_bytes());
        let held: Vec<_> = (0..TCP_CONNECTIONS_MAX).map(|i| places.take(source(i)).unwrap()).collect();
        assert!(places.take(source(TCP_CONNECTIONS_MAX)).is_none());
        drop(held);
        assert!(places.take(source(TCP_CONNECTIONS_MAX)).is_some());
    }
}
