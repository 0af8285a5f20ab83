//! One request stream: head, body, answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use defense::{HookPoint, Reason, VerdictKind};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::Empty;
use hyper::ext::Protocol;
use quinn::{RecvStream, SendStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::body::{Incoming, Inflow, Stopped};
use super::code::{Code, Violation};
use super::duplex::Duplex;
use super::frame::{DATA, HEADERS, Piece, Trouble, put_varint};
use super::head::{self, Head, Refused};
use crate::bounds::{HEAD_MAX, PARTING_MAX};
use crate::budgets::Direction;
use crate::http::{Reply, Visit, handle};
use crate::tcp::metered::Paced;

/// Serves one stream to its end.
///
/// # Errors
/// The client broke the protocol in a way that ends the connection.
pub async fn run(visit: Arc<Visit>, mut send: SendStream, stream: RecvStream) -> Result<(), Violation> {
    let mut inflow = Inflow::new(&visit, stream);
    let section = match timeout(HEAD_MAX, first_section(&mut inflow)).await {
        Err(_) => {
            note(&visit, Reason::RequestTimeout);
            abandon(&mut send, &mut inflow, Code::RequestCancelled);
            return Ok(());
        }
        Ok(Err(NoHead::Gone)) => {
            // Opened and withdrawn: free for the client, so it is counted.
            visit.pulse.withdrawn();
            abandon(&mut send, &mut inflow, Code::RequestCancelled);
            return Ok(());
        }
        Ok(Err(NoHead::Incomplete)) => {
            visit.pulse.withdrawn();
            abandon(&mut send, &mut inflow, Code::RequestIncomplete);
            return Ok(());
        }
        Ok(Err(NoHead::TooLarge)) => return too_large(&visit, send, inflow).await,
        Ok(Err(NoHead::Violation(violation))) => return Err(violation),
        Ok(Ok(section)) => section,
    };
    match head::request(&section) {
        Ok(head) if head.parts.extensions.get::<Protocol>().is_some() => {
            connect(visit, send, inflow, head.parts).await
        }
        Ok(head) => answer(visit, send, inflow, head).await,
        Err(Refused::TooLarge) => too_large(&visit, send, inflow).await,
        Err(Refused::Unreadable) => Err(Violation(Code::Decompression)),
        Err(Refused::Malformed) => {
            note(&visit, Reason::RequestMalformed);
            abandon(&mut send, &mut inflow, Code::Message);
            Ok(())
        }
    }
}

/// Why a stream has no head.
enum NoHead {
    Gone,
    Incomplete,
    TooLarge,
    Violation(Violation),
}

async fn first_section(inflow: &mut Inflow) -> Result<Bytes, NoHead> {
    match poll_fn(|cx| inflow.poll_piece(cx)).await {
        Ok(Some(Piece::Whole(HEADERS, section))) => Ok(section),
        Ok(Some(Piece::Whole(..) | Piece::Data(_))) => {
            Err(NoHead::Violation(Violation(Code::FrameUnexpected)))
        }
        Ok(None) => Err(NoHead::Incomplete),
        Err(Stopped::Gone) => Err(NoHead::Gone),
        Err(Stopped::Trouble(Trouble::HeadTooLarge)) => Err(NoHead::TooLarge),
        Err(Stopped::Trouble(Trouble::Violation(violation))) => Err(NoHead::Violation(violation)),
    }
}

async fn answer(
    visit: Arc<Visit>,
    mut send: SendStream,
    inflow: Inflow,
    head: Head,
) -> Result<(), Violation> {
    let Head { parts, length } = head;
    let violation = Arc::new(OnceLock::new());
    let mut body = Incoming::new(inflow, length, Arc::clone(&violation));
    let is_head = parts.method == Method::HEAD;
    let expects =
        parts.headers.get(header::EXPECT).is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if body.peek_end().is_err() {
        note(&visit, Reason::RequestMalformed);
        reset(&mut send, Code::Message);
        return Ok(());
    }
    if expects && !body.is_end_stream() && go_on(&mut send).await.is_err() {
        visit.pulse.withdrawn();
        return Ok(());
    }
    let mut stopped = pin!(send.stopped());
    let handled = tokio::select! {
        handled = handle(Arc::clone(&visit), Request::from_parts(parts, body)) => handled,
        // The client wants no answer any more.
        _ = stopped.as_mut() => return verdict_of(&violation),
    };
    if let Some(violation) = violation.get() {
        return Err(*violation);
    }
    let Ok(response) = handled else {
        reset(&mut send, Code::RequestRejected);
        return Ok(());
    };
    let written = tokio::select! {
        written = write(&visit, &mut send, response, is_head) => written,
        _ = stopped.as_mut() => Err(Cut::Gone),
    };
    if finish(&mut send, written) {
        // A connection that parts is closed when its requests are over, and what is closed sends nothing again.
        let _ = stopped.await;
    }
    verdict_of(&violation)
}

/// An extended CONNECT (RFC 9220): the stream becomes a pair of byte streams if the service agrees, and has an ordinary
/// answer if not.
async fn connect(
    visit: Arc<Visit>,
    mut send: SendStream,
    mut inflow: Inflow,
    parts: Parts,
) -> Result<(), Violation> {
    let request = Request::from_parts(parts, Empty::<Bytes>::new());
    let mut stopped = pin!(send.stopped());
    let handled = tokio::select! {
        handled = handle(Arc::clone(&visit), request) => handled,
        _ = stopped.as_mut() => return Ok(()),
    };
    let Ok(response) = handled else {
        abandon(&mut send, &mut inflow, Code::RequestRejected);
        return Ok(());
    };
    let (parts, body) = response.into_parts();
    let Reply::Switched(bridge) = body else {
        let _ = inflow.stream.stop(Code::NoError.wire());
        let written = write(&visit, &mut send, Response::from_parts(parts, body), false).await;
        if finish(&mut send, written) {
            let _ = stopped.await;
        }
        return Ok(());
    };
    let mut head = BytesMut::with_capacity(256);
    head::put_response(&mut head, &parts);
    let (breaks, broken) = oneshot::channel();
    tokio::select! {
        () = bridge.run(Duplex::new(visit, inflow, send, head, breaks)) => {}
        Ok(violation) = broken => return Err(violation),
    }
    // Its last bytes are on their way; a client that reads no more of them is not waited for.
    let _ = timeout(PARTING_MAX, stopped).await;
    Ok(())
}

fn verdict_of(violation: &OnceLock<Violation>) -> Result<(), Violation> {
    violation.get().map_or(Ok(()), |violation| Err(*violation))
}

/// Why an answer breaks off.
enum Cut {
    /// The client wants no more of it, or is gone.
    Gone,
    Service,
}

/// Ends our half as its answer did; tells whether there is an answer that the client is yet to get.
fn finish(send: &mut SendStream, written: Result<(), Cut>) -> bool {
    match written {
        Ok(()) => return send.finish().is_ok(),
        Err(Cut::Gone) => reset(send, Code::RequestCancelled),
        Err(Cut::Service) => reset(send, Code::Internal),
    }
    false
}

async fn go_on(send: &mut SendStream) -> Result<(), Cut> {
    let mut out = BytesMut::new();
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::CONTINUE;
    head::put_response(&mut out, &parts);
    send.write_all_chunks(&mut [out.freeze()]).await.map_err(|_| Cut::Gone)
}

/// An answer on its way out.
struct Outflow<'a> {
    visit: &'a Visit,
    send: &'a mut SendStream,
    /// Heads of frames that go out with what follows.
    out: BytesMut,
    paced: Paced,
}

/// Head, body, trailers. What is ready at once goes out at once.
async fn write(
    visit: &Visit,
    send: &mut SendStream,
    answer: Response<Reply>,
    is_head: bool,
) -> Result<(), Cut> {
    let (parts, mut body) = answer.into_parts();
    let paced = Paced::new(Arc::clone(&visit.purse), visit.gate.clock.clone());
    let mut flow = Outflow { visit, send, out: BytesMut::with_capacity(512), paced };
    head::put_response(&mut flow.out, &parts);
    let is_empty = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&parts.status);
    let has_body = !is_head && !is_empty;
    while !body.is_end_stream() {
        let mut next = pin!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
        let frame = match poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                // The head, or what came before, does not wait for what is yet to come.
                flow.flush(Bytes::new()).await?;
                next.await
            }
        };
        match frame.transpose().map_err(|_| Cut::Service)?.map(Frame::into_data) {
            None => break,
            Some(Ok(bytes)) if has_body && !bytes.is_empty() => {
                put_varint(&mut flow.out, DATA);
                put_varint(&mut flow.out, bytes.len() as u64);
                flow.flush(bytes).await?;
            }
            Some(Ok(_)) => {}
            Some(Err(frame)) => {
                if let (Ok(trailers), true) = (frame.into_trailers(), has_body) {
                    head::put_trailers(&mut flow.out, &trailers);
                }
            }
        }
    }
    flow.flush(Bytes::new()).await
}

impl Outflow<'_> {
    async fn flush(&mut self, bytes: Bytes) -> Result<(), Cut> {
        let head = self.out.split().freeze();
        let length = head.len() + bytes.len();
        if length == 0 {
            return Ok(());
        }
        poll_fn(|cx| self.paced.poll_ready(Direction::Out, cx)).await;
        self.send.write_all_chunks(&mut [head, bytes]).await.map_err(|_| Cut::Gone)?;
        self.paced.moved(Direction::Out, length);
        self.visit.pulse.went(length);
        Ok(())
    }
}

/// A head that is too large is answered, and nothing more of it read.
async fn too_large(visit: &Arc<Visit>, mut send: SendStream, mut inflow: Inflow) -> Result<(), Violation> {
    let _ = inflow.stream.stop(Code::NoError.wire());
    match write(visit, &mut send, visit.refuse(Reason::HeaderTooLarge), false).await {
        Ok(()) => drop(send.finish()),
        Err(Cut::Gone | Cut::Service) => reset(&mut send, Code::ExcessiveLoad),
    }
    Ok(())
}

/// Nothing comes of it. Either half may be over already: then there is nobody to tell.
fn abandon(send: &mut SendStream, inflow: &mut Inflow, code: Code) {
    reset(send, code);
    let _ = inflow.stream.stop(code.wire());
}

fn reset(send: &mut SendStream, code: Code) {
    let _ = send.reset(code.wire());
}

fn note(visit: &Visit, reason: Reason) {
    let (source, grant) = (visit.source.ip(), Some(visit.card.grant));
    visit.gate.note(HookPoint::Request, VerdictKind::Reject, reason, source, grant, None);
}
