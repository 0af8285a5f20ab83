//! One connection's life: streams until the client leaves, or one of the reasons to end it comes.

use std::pin::pin;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use defense::Reason;
use quinn::{Connection, RecvStream, SendStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::code::{Code, Violation};
use super::control::{self, Talk};
use super::exchange;
use super::frame::{GOAWAY, SETTINGS, put_varint};
use crate::bounds::{H3_WARNING_MIN, HEAD_BYTES_MAX, HEAD_MAX, LOOK_EVERY, PARTING_MAX};
use crate::connections::Seat;
use crate::http::Visit;
use crate::pressure::Shed;
use crate::pulse::Waits;

/// What a field section may come to, unpacked (RFC 9114 §7.2.4.1).
const MAX_FIELD_SECTION_SIZE: u64 = 6;
/// WebSockets come by extended CONNECT (RFC 9220 §3).
const ENABLE_CONNECT_PROTOCOL: u64 = 8;
const CONTROL: u64 = 0;
/// Beyond every request's stream.
const REQUEST_MAX: u64 = (1 << 62) - 4;

/// Everything that can wake a connection's loop.
enum Wake {
    Request(SendStream, RecvStream),
    Talk(RecvStream),
    /// A stream has ended.
    Over(Result<(), Violation>),
    /// The client has left.
    Gone,
    /// The grant is gone, or the session is over.
    Seat(Reason),
    /// A verdict to drop, or too many requests withdrawn.
    Cut(Option<Reason>),
    Drain,
    /// The client has had the time to hear that it shall ask for nothing more.
    Warned,
    Look,
}

/// Carries requests until the client leaves, the session is over, the grant is gone, or nothing moves any more. Gives the
/// reason that is yet to be written down, if we ended it.
pub async fn serve(connection: &Connection, visit: Arc<Visit>, seat: Seat) -> Option<Reason> {
    let Some(control) = greet(connection).await else {
        connection.close(Code::StreamCreation.wire(), &[]);
        return None;
    };
    let talk = Arc::new(Talk::default());
    let (requests, talks) = (JoinSet::new(), JoinSet::new());
    let mut life =
        Life { connection, visit, talk, requests, talks, control, next: 0, warned: None, limit: None };
    let (code, reason) = life.run(seat).await;
    connection.close(code.wire(), &[]);
    reason
}

struct Life<'a> {
    connection: &'a Connection,
    visit: Arc<Visit>,
    talk: Arc<Talk>,
    /// Requests, each until the client has all of its answer; as many as the transport lets it open.
    requests: JoinSet<Result<(), Violation>>,
    /// The client's one-way streams.
    talks: JoinSet<Result<(), Violation>>,
    control: SendStream,
    /// The request stream after the newest.
    next: u64,
    /// It was told to ask for nothing more, and is served all the same until then: what it asked before it heard.
    warned: Option<Instant>,
    /// Once it is set, the connection takes no new request and ends then at the latest.
    limit: Option<Instant>,
}

impl Life<'_> {
    async fn run(&mut self, seat: Seat) -> (Code, Option<Reason>) {
        let (connection, visit) = (self.connection, Arc::clone(&self.visit));
        let mut ended = pin!(seat.ended());
        let mut cut = pin!(visit.pulse.ended());
        let mut draining = pin!(visit.gate.drain.quic.cancelled());
        let mut look = pin!(sleep(LOOK_EVERY));
        let (mut is_cut, mut unwritten) = (false, None);
        loop {
            let wake = tokio::select! {
                // As over TCP: no request begins after its access has ended. However many come, the rest has its turn.
                biased;
                reason = ended.as_mut() => Wake::Seat(reason),
                reason = cut.as_mut(), if !is_cut => Wake::Cut(reason),
                () = draining.as_mut(), if self.warned.is_none() && self.limit.is_none() => Wake::Drain,
                () = until(self.warned), if self.limit.is_none() => Wake::Warned,
                () = look.as_mut() => Wake::Look,
                streams = connection.accept_bi() => match streams {
                    Ok((send, receive)) => Wake::Request(send, receive),
                    Err(_) => Wake::Gone,
                },
                Some(over) = self.requests.join_next() => Wake::Over(over.unwrap_or(Ok(()))),
                Some(over) = self.talks.join_next() => Wake::Over(over.unwrap_or(Ok(()))),
                stream = connection.accept_uni() => stream.map_or(Wake::Gone, Wake::Talk),
            };
            match wake {
                Wake::Request(send, receive) => self.begin(send, receive),
                Wake::Talk(stream) => {
                    let talk = Arc::clone(&self.talk);
                    self.talks.spawn(async move { control::read(&talk, stream).await });
                }
                Wake::Over(Ok(())) => {}
                Wake::Over(Err(Violation(code))) => return (code, unwritten),
                Wake::Gone => return (Code::NoError, unwritten),
                Wake::Seat(reason) => return (Code::NoError, Some(reason)),
                Wake::Cut(reason) => {
                    (is_cut, unwritten) = (true, reason);
                    self.part(PARTING_MAX).await;
                }
                Wake::Drain => self.warn().await,
                // The edge cuts what is left at the limit, and counts it.
                Wake::Warned => self.part(visit.gate.drain.max + PARTING_MAX).await,
                Wake::Look => {
                    look.as_mut().reset(Instant::now() + LOOK_EVERY);
                    match self.look() {
                        Looked::GoOn => {}
                        Looked::Idle => self.warn().await,
                        Looked::Over => return (Code::NoError, unwritten),
                        Looked::Slow => return (Code::ExcessiveLoad, Some(Reason::RequestTimeout)),
                    }
                }
            }
            if self.limit.is_some() && self.requests.is_empty() {
                return (Code::NoError, unwritten);
            }
        }
    }

    fn begin(&mut self, mut send: SendStream, mut receive: RecvStream) {
        if self.limit.is_some() {
            // It was told so; what was not begun may be asked elsewhere (RFC 9114 §5.2).
            let _ = send.reset(Code::RequestRejected.wire());
            let _ = receive.stop(Code::RequestRejected.wire());
            return;
        }
        self.next = u64::from(send.id()) + 4;
        self.talk.request();
        self.requests.spawn(exchange::run(Arc::clone(&self.visit), send, receive));
    }

    /// Says that it ends soon, without a request that would be too late already (RFC 9114 §5.2).
    async fn warn(&mut self) {
        if self.warned.is_none() {
            self.goaway(REQUEST_MAX).await;
            let heard = (self.connection.rtt() * 3).clamp(H3_WARNING_MIN, PARTING_MAX);
            self.warned = Some(Instant::now() + heard);
        }
    }

    /// Takes no new request, and ends within that time.
    async fn part(&mut self, within: std::time::Duration) {
        let by = Instant::now() + within;
        if self.limit.is_none() {
            self.goaway(self.next).await;
        }
        self.limit = Some(self.limit.map_or(by, |limit| limit.min(by)));
    }

    async fn goaway(&mut self, id: u64) {
        let (mut out, mut last) = (BytesMut::new(), BytesMut::new());
        put_varint(&mut last, id);
        put_varint(&mut out, GOAWAY);
        put_varint(&mut out, last.len() as u64);
        out.put(last);
        // A client that gives the control stream no room is not worth waiting for.
        let _ = timeout(PARTING_MAX, self.control.write_all(&out)).await;
    }

    fn look(&self) -> Looked {
        let (pulse, pressure) = (&self.visit.pulse, &self.visit.gate.pressure);
        let is_patient = !pulse.patience_within(pressure.idle_max()).is_zero();
        match (self.limit, pulse.waits()) {
            (None, Waits::Idle) if self.warned.is_some() => Looked::GoOn,
            (Some(limit), _) if limit <= Instant::now() => Looked::Over,
            (Some(_), _) => Looked::GoOn,
            (None, _) if pulse.is_dragging() => Looked::Slow,
            (None, _) if is_patient => Looked::GoOn,
            (None, Waits::Idle) => {
                if !pulse.patience().is_zero() {
                    pressure.shed(Shed::Idle);
                }
                Looked::Idle
            }
            (None, Waits::Head | Waits::Bytes) => Looked::Slow,
        }
    }
}

/// Never, if there is no such moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What a look at a connection comes to.
enum Looked {
    GoOn,
    /// Nothing was asked for a long time.
    Idle,
    /// A body does not move on.
    Slow,
    /// Its time to part is over.
    Over,
}

/// Opens our control stream and says our settings: the rest is as without them (no dynamic table, no datagrams).
async fn greet(connection: &Connection) -> Option<SendStream> {
    let mut stream = timeout(HEAD_MAX, connection.open_uni()).await.ok()?.ok()?;
    let mut settings = BytesMut::new();
    put_varint(&mut settings, MAX_FIELD_SECTION_SIZE);
    put_varint(&mut settings, HEAD_BYTES_MAX as u64);
    put_varint(&mut settings, ENABLE_CONNECT_PROTOCOL);
    put_varint(&mut settings, 1);
    let mut out = BytesMut::new();
    put_varint(&mut out, CONTROL);
    put_varint(&mut out, SETTINGS);
    put_varint(&mut out, settings.len() as u64);
    out.put(settings);
    timeout(HEAD_MAX, stream.write_all(&out)).await.ok()?.ok()?;
    Some(stream)
}
