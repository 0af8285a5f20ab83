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
use super::h2;
use super::outgoing::{Boxed, Outgoing};
use super::relay::Waiting;
use crate::h1::buffers::Joined;
use crate::h1::client;

/// Boxed: it goes from hand to hand.
pub(super) type Exchange = Box<client::Exchange<FabricStream, Outgoing<Boxed>>>;

/// The bytes of a service that has switched protocols.
pub type Line = Joined<FabricStream>;

/// A response's body on its way to the client.
pub struct Answer(Kind);

enum Kind {
    Http1 {
        /// `None`: it is over, or broke off.
        exchange: Option<Exchange>,
        home: Home,
    },
    Http2(Option<Box<h2::Exchange>>),
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
        let mut answer = Self(Kind::Http1 { exchange: Some(exchange), home });
        if !is_switched {
            answer.retire_if_over();
        }
        answer
    }

    /// `exchange` has its head.
    pub(super) fn of_http2(exchange: h2::Exchange) -> Self {
        Self(Kind::Http2((!exchange.is_over()).then(|| Box::new(exchange))))
    }

    /// The connection itself, after a 101: what the service said after its head comes first.
    ///
    /// # Errors
    /// `upstream_closed`: the answer was none.
    pub fn into_line(self) -> Result<Line, Reason> {
        match self.0 {
            Kind::Http1 { exchange: Some(exchange), home: _ } => Ok(exchange.into_line()),
            Kind::Http1 { exchange: None, home: _ } | Kind::Http2(_) => Err(Reason::UpstreamClosed),
        }
    }

    fn retire_if_over(&mut self) {
        match &mut self.0 {
            Kind::Http1 { exchange, home: Home { upstream, service, holder, .. } } => {
                if let Some(over) = exchange.take_if(|exchange| exchange.is_over()) {
                    upstream.take_back(over, service, *holder);
                }
            }
            Kind::Http2(exchange) => drop(exchange.take_if(|exchange| exchange.is_over())),
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
        let frame = match &mut self.0 {
            Kind::Http1 { exchange: Some(exchange), home } => {
                let mut cx = Context::from_waker(home.waiting.waker(cx.waker()));
                ready!(exchange.poll_body(&mut cx)).map(|frame| frame.map_err(|_| Broken))
            }
            Kind::Http2(Some(exchange)) => {
                ready!(exchange.poll_body(cx)).map(|frame| frame.map_err(|_| Broken))
            }
            Kind::Http1 { exchange: None, home: _ } | Kind::Http2(None) => None,
        };
        match (&frame, &mut self.0) {
            (Some(Err(Broken)), Kind::Http1 { exchange, home: _ }) => *exchange = None,
            (Some(Err(Broken)), Kind::Http2(exchange)) => *exchange = None,
            (Some(Ok(_)) | None, _) => self.retire_if_over(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1 { exchange, home: _ } => exchange.is_none(),
            Kind::Http2(exchange) => exchange.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = match &self.0 {
            Kind::Http1 { exchange, home: _ } => {
                exchange.as_ref().map_or(Some(0), |exchange| exchange.left())
            }
            Kind::Http2(exchange) => exchange.as_ref().map_or(Some(0), |exchange| exchange.left()),
        };
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
