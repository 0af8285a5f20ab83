//! Two byte streams joined: backpressure, half-close and the reason of an end pass through; a cut never looks like an end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

use crate::bounds::{SERVICE_READ, SPLICE_BATCH, SPLICE_TURNS, WRITE_SLICES};
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::session::Position;

mod passing;

pub(crate) use passing::Passing;

/// One end of a splice.
pub(crate) trait End {
    /// What concerns no direction alone, at the beginning of each turn; what this end has of the other's bytes, if that is
    /// news. An error ends the splice.
    fn attend(&mut self, _cx: &mut Context<'_>) -> Result<Option<Position>, Refusal> {
        Ok(None)
    }
    /// The other end has so much of the bytes from here.
    fn hand_on(&mut self, _received: Position) {}
    /// Takes slices that arrived; Ready(Ok(0)) is the end.
    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut VecDeque<Bytes>)
    -> Poll<Result<usize, Refusal>>;
    /// Gives slices; Ready when some of them went.
    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>>;
    /// Ends the direction towards this end.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>>;
    /// Ready when it left, as far as that can be seen once it has ended its own direction.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Refusal>;
    /// Cuts both directions.
    fn cut(&mut self, reason: Refusal);
}

/// Joins two ends until both directions have ended; the reason, if they did not end in order.
pub(crate) async fn splice(a: &mut impl End, b: &mut impl End) -> Result<(), Refusal> {
    let (mut there, mut back) = (Half::default(), Half::default());
    poll_fn(|cx| {
        if let Err(reason) = attend(cx, a, b).and_then(|()| attend(cx, b, a)) {
            return Poll::Ready(Err(reason));
        }
        let (to_b, to_a) = (there.poll(cx, a, b), back.poll(cx, b, a));
        match (to_b, to_a) {
            (Poll::Ready(Err(Failed::Source(reason))), _) | (_, Poll::Ready(Err(Failed::Source(reason)))) => {
                Poll::Ready(Err(reason))
            }
            (Poll::Ready(to_b), Poll::Ready(to_a)) => Poll::Ready(to_b.and(to_a).map_err(Failed::reason)),
            // Who has said its last word may still leave before it has heard ours.
            (Poll::Ready(_), Poll::Pending) => a.poll_gone(cx).map(Err),
            (Poll::Pending, Poll::Ready(_)) => b.poll_gone(cx).map(Err),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
    .inspect_err(|reason| {
        a.cut(*reason);
        b.cut(*reason);
    })
}

fn attend(cx: &mut Context<'_>, one: &mut impl End, other: &mut impl End) -> Result<(), Refusal> {
    if let Some(received) = one.attend(cx)? {
        other.hand_on(received);
    }
    Ok(())
}

/// One direction.
#[derive(Default)]
struct Half {
    pending: VecDeque<Bytes>,
    ended: bool,
    done: Option<Result<(), Failed>>,
}

/// Where a direction broke.
#[derive(Clone, Copy)]
enum Failed {
    /// Whoever sends is gone, and with it both directions.
    Source(Refusal),
    /// Whoever receives wants no more; what it said itself may still be under way, and is delivered.
    Sink(Refusal),
}

impl Failed {
    fn reason(self) -> Refusal {
        match self {
            Self::Source(reason) | Self::Sink(reason) => reason,
        }
    }
}

impl Half {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl End,
        to: &mut impl End,
    ) -> Poll<Result<(), Failed>> {
        if let Some(done) = self.done {
            return Poll::Ready(done);
        }
        let done = ready!(self.poll_move(cx, from, to));
        self.done = Some(done);
        self.pending = VecDeque::new();
        Poll::Ready(done)
    }

    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl End,
        to: &mut impl End,
    ) -> Poll<Result<(), Failed>> {
        for _ in 0..SPLICE_TURNS {
            if self.pending.is_empty() && !self.ended {
                self.ended = ready!(from.poll_take(cx, &mut self.pending)).map_err(Failed::Source)? == 0;
            }
            if self.pending.is_empty() {
                return to.poll_finish(cx).map_err(Failed::Sink);
            }
            ready!(to.poll_give(cx, &mut self.pending)).map_err(Failed::Sink)?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl End for LaneStream {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        Self::poll_take(self, cx, SPLICE_BATCH, into)
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        Self::poll_give(self, cx, slices)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Self::poll_finish(self, cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        Self::poll_gone(self, cx)
    }

    fn cut(&mut self, reason: Refusal) {
        self.reset(reason);
    }
}

/// A service's connection.
pub(crate) struct Service {
    tcp: TcpStream,
    buffer: BytesMut,
    read_size: usize,
    /// A write was told of a reset, so that no read is: what the kernel calls the end then is none. After an end the
    /// kernel says "broken pipe" instead.
    is_reset: bool,
}

impl Service {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, buffer: BytesMut::new(), read_size: SERVICE_READ, is_reset: false }
    }
}

impl End for Service {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        // No buffer while the service is silent: an idle stream costs none.
        ready!(self.tcp.poll_read_ready(cx)).map_err(|_| Refusal::ServiceReset)?;
        self.buffer.reserve(self.read_size);
        let read = poll_read_buf(Pin::new(&mut self.tcp), cx, &mut self.buffer);
        let Poll::Ready(read) = read else {
            self.buffer = BytesMut::new();
            return Poll::Pending;
        };
        let count = read.map_err(|_| Refusal::ServiceReset)?;
        if count >= self.read_size {
            self.read_size = (self.read_size * 2).min(SPLICE_BATCH);
        }
        if count > 0 {
            into.push_back(self.buffer.split().freeze());
        } else if self.is_reset {
            return Poll::Ready(Err(Refusal::ServiceReset));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        let mut room = [IoSlice::new(&[]); WRITE_SLICES];
        let count = slices.len().min(WRITE_SLICES);
        for (slot, slice) in room.iter_mut().zip(slices.iter()) {
            *slot = IoSlice::new(slice);
        }
        let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, &room[..count]));
        self.is_reset |= written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        advance(slices, written.map_err(|_| Refusal::ServiceReset)?);
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        match ready!(Pin::new(&mut self.tcp).poll_shutdown(cx)) {
            // A service that closed first needs no end from us.
            Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                Poll::Ready(Err(Refusal::ServiceReset))
            }
            Ok(()) | Err(_) => Poll::Ready(Ok(())),
        }
    }

    /// TCP tells nothing between its end and the next write.
    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<Refusal> {
        Poll::Pending
    }

    /// The service sees a reset, so that it does not take half an upload for a whole one.
    fn cut(&mut self, _reason: Refusal) {
        let _ = self.tcp.set_zero_linger();
    }
}

fn advance(slices: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = slices.front_mut() {
        if front.len() > written {
            return front.advance(written);
        }
        written -= front.len();
        slices.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Service, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Service::new(tcp), listener.accept().await.unwrap().0)
    }

    /// Writes until that fails, then reads to the end.
    async fn written_then_read(service: &mut Service) -> (Vec<u8>, Result<(), Refusal>) {
        loop {
            let mut slices = VecDeque::from([Bytes::from_static(b"more")]);
            if poll_fn(|cx| service.poll_give(cx, &mut slices)).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut read = VecDeque::new();
        let end = loop {
            match poll_fn(|cx| service.poll_take(cx, &mut read)).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(reason) => break Err(reason),
            }
        };
        (read.iter().flat_map(|slice| slice.to_vec()).collect(), end)
    }

    #[tokio::test]
    async fn a_service_that_breaks_under_a_write_has_not_ended() {
        let (mut service, mut far) = pair().await;
        far.write_all(b"half").await.unwrap();
        far.set_zero_linger().unwrap();
        drop(far);
        assert_eq!(written_then_read(&mut service).await, (b"half".to_vec(), Err(Refusal::ServiceReset)));
    }

    #[tokio::test]
    async fn a_service_that_ended_and_then_wants_no_more_has_ended() {
        let (mut service, mut far) = pair().await;
        far.write_all(b"whole").await.unwrap();
        far.shutdown().await.unwrap();
        drop(far);
        assert_eq!(written_then_read(&mut service).await, (b"whole".to_vec(), Ok(())));
    }
}
