//! The far end of a joined stream: a server, by TCP or natively, until it ends or is taken from its service.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::server::Running;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;
use crate::splice::{End, Service};

/// One stream's server; counted as running until dropped.
pub(super) struct Onward<E> {
    end: E,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    running: Running,
}

impl Onward<Service> {
    pub(super) fn tcp(tcp: TcpStream, running: Running) -> Self {
        Self::new(Service::new(tcp), running)
    }
}

impl Onward<LaneStream> {
    pub(super) fn native(stream: LaneStream, running: Running) -> Self {
        Self::new(stream, running)
    }
}

impl<E: End> Onward<E> {
    fn new(end: E, running: Running) -> Self {
        Self { end, gone: Box::pin(running.gone().clone().cancelled_owned()), running }
    }

    fn poll_taken_away(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        self.gone.as_mut().poll(cx).map(|()| self.running.why_gone())
    }
}

impl<E: End> End for Onward<E> {
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        match self.poll_taken_away(cx) {
            Poll::Ready(reason) => Poll::Ready(Err(reason)),
            Poll::Pending => self.end.poll_take(cx, into),
        }
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        self.end.poll_give(cx, slices)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.end.poll_finish(cx)
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        match self.poll_taken_away(cx) {
            Poll::Ready(reason) => Poll::Ready(reason),
            Poll::Pending => Poll::Ready(ready!(self.end.poll_gone(cx))),
        }
    }

    fn cut(&mut self, reason: Refusal) {
        self.end.cut(reason);
    }
}
