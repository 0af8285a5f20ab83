//! The body of a service's response, which drives the exchange to its end and gives its connection back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use defense::Reason;
use fabric::FabricStream;
use http_body::{Body, Frame, SizeHint};
use state::Name;

use super::Upstream;
use super::caller::Holder;
use super::outgoing::{Boxed, Outgoing};
use super::relay::Waiting;
use crate::h1::buffers::Joined;
use crate::h1::client;

/// Boxed: it goes from hand to hand.
pub(super) type Exchange = Box<client::Exchange<FabricStream, Outgoing<Boxed>>>;

/// The bytes of a service that has switched protocols.
pub type Line = Joined<FabricStream>;

/// A response's body on its way to the client.
pub struct Answer {
    /// `None`: it is over, or broke off.
    exchange: Option<Exchange>,
    home: Home,
}

/// Where a connection goes after its exchange.
pub(super) struct Home {
    pub(super) upstream: Arc<Upstream>,
    pub(super) service: Name,
    pub(super) holder: Holder,
    pub(super) waiting: Waiting,
}

/// The service's body broke off, or broke its own rules. What exactly concerns nobody but the service's log.
#[derive(Debug, thiserror::Error)]
#[error("the service's response broke off")]
pub struct Broken;

impl Answer {
    /// `exchange` has its head.
    pub(super) fn new(exchange: Exchange, home: Home, is_switched: bool) -> Self {
        let mut answer = Self { exchange: Some(exchange), home };
        if !is_switched {
            answer.retire_if_over();
        }
        answer
    }

    /// The connection itself, after a 101: what the service said after its head comes first.
    ///
    /// # Errors
    /// `upstream_closed`: the answer was none.
    pub fn into_line(self) -> Result<Line, Reason> {
        self.exchange.map(|exchange| exchange.into_line()).ok_or(Reason::UpstreamClosed)
    }

    fn retire_if_over(&mut self) {
        if let Some(over) = self.exchange.take_if(|exchange| exchange.is_over()) {
            let Home { upstream, service, holder, .. } = &self.home;
            upstream.take_back(over, service, *holder);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { exchange: Some(exchange), home } = &mut *self else { return Poll::Ready(None) };
        let frame = ready!(exchange.poll_body(&mut Context::from_waker(home.waiting.waker(cx.waker()))));
        if matches!(frame, Some(Err(_))) {
            self.exchange = None;
        }
        self.retire_if_over();
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.exchange {
            None => SizeHint::with_exact(0),
            Some(exchange) => exchange.left().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
