//! One request's way, for its line in the access log.

use std::sync::Arc;

use defense::{Moment, Reason};
use http::uri::PathAndQuery;
use http::{Method, Request, Version};

use super::Visit;
use crate::access_log::Entry;

/// Becomes a line when the request ends. Dropped before: the client has left, and the line says so.
pub(super) struct Trail {
    visit: Arc<Visit>,
    /// `None` where there is no log, and once the line is written.
    noted: Option<Noted>,
}

struct Noted {
    protocol: &'static str,
    method: Method,
    target: Option<PathAndQuery>,
    id: u128,
    since: Moment,
    sent: Option<Moment>,
    headed: Option<Moment>,
}

/// What came of a request.
#[derive(Clone, Copy, Default)]
pub(super) struct End {
    pub(super) status: Option<u16>,
    pub(super) reason: Option<Reason>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl Trail {
    pub(super) fn new<B>(visit: &Arc<Visit>, request: &Request<B>, id: u128, since: Moment) -> Self {
        let noted = visit.gate.log.is_some().then(|| Noted {
            protocol: protocol(request.version()),
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            id,
            since,
            sent: None,
            headed: None,
        });
        Self { visit: Arc::clone(visit), noted }
    }

    /// The service has its turn now.
    pub(super) fn sent(&mut self) {
        if let Some(noted) = &mut self.noted {
            noted.sent = Some(self.visit.gate.moment());
        }
    }

    /// The service's head is there.
    pub(super) fn headed(&mut self) {
        if let Some(noted) = &mut self.noted {
            noted.headed = Some(self.visit.gate.moment());
        }
    }

    /// It became a WebSocket.
    pub(super) fn switched(&mut self) {
        if let Some(noted) = &mut self.noted {
            noted.protocol = "websocket";
        }
    }

    pub(super) fn end(mut self, end: End) {
        self.write(end);
    }

    fn write(&mut self, end: End) {
        let (Some(noted), Some(log)) = (self.noted.take(), &self.visit.gate.log) else { return };
        let now = self.visit.gate.moment();
        let path = noted.target.as_ref().map_or("*", PathAndQuery::path);
        let service_us = noted.sent.map(|sent| micros(sent, noted.headed.unwrap_or(now)));
        log.take(
            self.visit.who(),
            &Entry {
                protocol: noted.protocol,
                request: Some(noted.id),
                asked: Some((noted.method.as_str(), path)),
                status: end.status,
                reason: end.reason,
                bytes_in: end.bytes_in,
                bytes_out: end.bytes_out,
                total_us: micros(noted.since, now),
                service_us,
            },
        );
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.write(End { reason: Some(Reason::Abandoned), ..End::default() });
    }
}

fn micros(from: Moment, to: Moment) -> u64 {
    to.nanos_since(from) / 1000
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_3 => "h3",
        Version::HTTP_2 => "h2",
        _ => "h1",
    }
}
