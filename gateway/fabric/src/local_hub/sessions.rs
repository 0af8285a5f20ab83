//! The local hub's end of a session, and the table of all of them: a session whose carrier is lost is parked, with its
//! connection to the service, until its caller resumes it or [`RESUME_DEADLINE`] is over.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::time::{Sleep, sleep};

use crate::bounds::{RESUME_DEADLINE, SPLICE_BATCH};
use crate::lane::stream::LaneStream;
use crate::refusal::{Recovery, Refusal};
use crate::session::growth::Growth;
use crate::session::table::Table;
use crate::session::{Position, Session, SessionId};
use crate::splice::End;
use crate::status::SessionsStatus;
use crate::stream::level;
use crate::wire::{Open, Opened, Resume};

/// All sessions of a local hub.
pub(super) struct Sessions {
    /// Our name, told with each Opened.
    at: String,
    table: Mutex<Table<Arc<Seat>>>,
    growth: Growth,
    resumed: AtomicU64,
    given_up: AtomicU64,
}

/// Where a session meets carriers that want to go on with it.
#[derive(Default)]
struct Seat {
    service: String,
    offered: Mutex<Option<Offered>>,
    is_offered: AtomicBool,
    owner: AtomicWaker,
}

struct Offered {
    stream: LaneStream,
    resume: Resume,
}

impl Sessions {
    pub(super) fn new(at: &str) -> Arc<Self> {
        Arc::new(Self {
            at: at.to_owned(),
            table: Mutex::default(),
            growth: Growth::default(),
            resumed: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    /// A seat for a new session, before its service is asked.
    ///
    /// # Errors
    /// [`Refusal::SessionsFull`], [`Refusal::Violation`].
    pub(super) fn admit(self: &Arc<Self>, open: &Open) -> Result<Admitted, Refusal> {
        let seat = Arc::new(Seat { service: open.service.clone(), ..Seat::default() });
        let id = SessionId::from(open.session);
        self.table().admit(&open.caller, id, seat.clone())?;
        Ok(Admitted { sessions: self.clone(), caller: open.caller.as_str().into(), id, seat })
    }

    /// Hands a carrier to the session that it wants to go on with; or resets it, with the reason.
    pub(super) fn offer(&self, stream: LaneStream, open: &Open, resume: Resume) -> Result<(), Refusal> {
        let found = self.table().find(&open.caller, open.session.into()).cloned();
        let seat = found.and_then(|seat| {
            let fits = seat.service == open.service && resume.at == self.at;
            fits.then_some(seat).ok_or(Refusal::ResumeUnknown)
        });
        match seat {
            Ok(seat) => {
                seat.offer(Offered { stream, resume });
                Ok(())
            }
            Err(reason) => {
                stream.reset(reason);
                Err(reason)
            }
        }
    }

    pub(super) fn status(&self) -> SessionsStatus {
        let table = self.table();
        let (parked, parked_bytes) = table.parked();
        SessionsStatus {
            open: table.len(),
            parked,
            parked_bytes,
            resumed: self.resumed.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table<Arc<Seat>>> {
        // No code that holds the lock can leave the table half changed.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Of several, the latest attempt counts; the others are told that they lost.
    fn offer(&self, offered: Offered) {
        let mut slot = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let loser = match slot.as_ref() {
            Some(other) if other.resume.attempt >= offered.resume.attempt => Some(offered),
            Some(_) | None => slot.replace(offered),
        };
        self.is_offered.store(true, Ordering::Release);
        drop(slot);
        loser.iter().for_each(|loser| loser.stream.reset(Refusal::LaneLost));
        self.owner.wake();
    }

    fn take(&self) -> Option<Offered> {
        if !self.is_offered.swap(false, Ordering::Acquire) {
            return None;
        }
        self.offered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A session's place in the table, given back when dropped.
pub(super) struct Admitted {
    sessions: Arc<Sessions>,
    caller: Box<str>,
    id: SessionId,
    seat: Arc<Seat>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.sessions.table().remove(&self.caller, self.id);
        if let Some(late) = self.seat.take() {
            late.stream.reset(Refusal::ResumeUnknown);
        }
    }
}

/// One session as its splice with the service sees it.
pub(super) struct Parkable {
    place: Admitted,
    session: Session,
    carrier: Option<LaneStream>,
    /// The attempt that brought the present carrier.
    attempt: u32,
    parked: Option<Parked>,
}

/// While there is no carrier.
struct Parked {
    reason: Refusal,
    deadline: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Parkable {
    /// The session begins: its service is reached, and the carrier accepted.
    pub(super) fn new(place: Admitted, carrier: LaneStream) -> Self {
        carrier.begin_acks(Position::default());
        Self { place, session: Session::default(), carrier: Some(carrier), attempt: 0, parked: None }
    }

    /// After its end: a caller that comes back for it in time learns the reason.
    pub(super) async fn settle(mut self, reason: Refusal) {
        if self.parked.is_none() {
            return;
        }
        let late = poll_fn(|cx| {
            self.place.seat.owner.register(cx.waker());
            match (self.place.seat.take(), &mut self.parked) {
                (Some(late), _) => Poll::Ready(Some(late)),
                (None, Some(parked)) => parked.deadline.as_mut().poll(cx).map(|()| None),
                (None, None) => Poll::Ready(None),
            }
        });
        if let Some(late) = late.await {
            late.stream.reset(as_end(reason));
        }
    }

    fn take_over(&mut self, offered: Offered) {
        let Offered { stream, resume } = offered;
        // An attempt that was overtaken, or is said twice, takes nothing from the one that came later.
        if resume.attempt <= self.attempt || self.session.handle_resume(resume.received).is_err() {
            return stream.reset(Refusal::ResumeUnknown);
        }
        self.unpark();
        self.attempt = resume.attempt;
        let received = self.session.received();
        stream.begin_acks(received);
        stream.accept(Opened { at: self.place.sessions.at.clone(), received });
        if let Some(old) = self.carrier.replace(stream) {
            old.reset(Refusal::LaneLost);
        }
        self.place.sessions.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// The carrier is gone for `reason`: final, or the session waits for another.
    fn lose(&mut self, cx: &mut Context<'_>, reason: Refusal) -> Result<(), Refusal> {
        if reason.recovery() != Recovery::Resumes {
            return Err(reason);
        }
        self.carrier = None;
        let bytes = self.session.held();
        self.place.sessions.table().park(bytes)?;
        let mut parked = Parked { reason, deadline: Box::pin(sleep(RESUME_DEADLINE)), bytes };
        // Leaves the waker with the timer.
        let _ = parked.deadline.as_mut().poll(cx);
        self.parked = Some(parked);
        Ok(())
    }

    fn unpark(&mut self) {
        if let Some(parked) = self.parked.take() {
            self.place.sessions.table().unpark(parked.bytes);
        }
    }

    /// After an error of the carrier: what the splice is told.
    fn failed<T>(&mut self, cx: &mut Context<'_>, reason: Refusal) -> Poll<Result<T, Refusal>> {
        match self.lose(cx, reason) {
            Ok(()) => Poll::Pending,
            Err(reason) => Poll::Ready(Err(reason)),
        }
    }

    fn give(&mut self, cx: &Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        let Some(carrier) = &self.carrier else { return Poll::Pending };
        ready!(level(&mut self.session, carrier, cx))?;
        let mut moved = false;
        while let Some(front) = slices.front_mut() {
            if self.session.room() == 0 {
                self.place.sessions.growth.grow(&mut self.session);
            }
            let most = front.len().min(self.session.room());
            if most == 0 {
                break;
            }
            let mut piece = front.slice(..most);
            let count = match carrier.poll_give_bytes(cx, &mut piece) {
                Poll::Ready(count) => count?,
                Poll::Pending => break,
            };
            self.session.note(front.split_to(count));
            moved = true;
            if front.is_empty() {
                slices.pop_front();
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl End for Parkable {
    /// Takes over a new carrier, hears what the far end has, sees the loss of the old one, and sends again.
    fn attend(&mut self, cx: &mut Context<'_>) -> Result<Option<Position>, Refusal> {
        let seat = &self.place.seat;
        seat.owner.register(cx.waker());
        if let Some(offered) = seat.take() {
            self.take_over(offered);
        }
        if let Some(carrier) = &self.carrier {
            let sight = carrier.watch(cx.waker());
            self.session.handle_ack(sight.acked).map_err(|_| Refusal::Violation)?;
            let outcome = match sight.gone {
                Some(reason) if reason.recovery() == Recovery::Resumes && !self.session.is_over() => {
                    Err(reason)
                }
                // A word that is final is for whoever reads or writes: what came before it is still to be read.
                Some(_) => Ok(()),
                None => match level(&mut self.session, carrier, cx) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => Ok(()),
                },
            };
            if let Err(reason) = outcome {
                self.lose(cx, reason)?;
            }
        }
        let Some(parked) = &mut self.parked else { return Ok(None) };
        if parked.deadline.as_mut().poll(cx).is_pending() {
            return Ok(None);
        }
        self.place.sessions.given_up.fetch_add(1, Ordering::Relaxed);
        Err(parked.reason)
    }

    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Bytes>,
    ) -> Poll<Result<usize, Refusal>> {
        if self.session.received().is_end() {
            return Poll::Ready(Ok(0));
        }
        let Some(carrier) = &self.carrier else { return Poll::Pending };
        match ready!(carrier.poll_take(cx, SPLICE_BATCH, into)) {
            Ok(0) => {
                self.session.handle_end();
                Poll::Ready(Ok(0))
            }
            Ok(count) => {
                Poll::Ready(self.session.handle_bytes(count).map(|()| count).map_err(|_| Refusal::Violation))
            }
            Err(reason) => self.failed(cx, reason),
        }
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, slices: &mut VecDeque<Bytes>) -> Poll<Result<(), Refusal>> {
        match ready!(self.give(cx, slices)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(reason) => self.failed(cx, reason),
        }
    }

    /// Ready when the far end has heard the end, so that nothing is left to be sent again.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.session.finish();
        if self.session.is_heard() {
            return Poll::Ready(Ok(()));
        }
        let Some(carrier) = &self.carrier else { return Poll::Pending };
        match ready!(level(&mut self.session, carrier, cx))
            .and_then(|()| carrier.watch(cx.waker()).gone.map_or(Ok(()), Err))
        {
            Ok(()) => Poll::Pending,
            Err(reason) => self.failed(cx, reason),
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        let Some(carrier) = &self.carrier else { return Poll::Pending };
        let reason = ready!(carrier.poll_gone(cx));
        match self.lose(cx, reason) {
            Ok(()) => Poll::Pending,
            Err(reason) => Poll::Ready(reason),
        }
    }

    fn cut(&mut self, reason: Refusal) {
        self.carrier.iter().for_each(|carrier| carrier.reset(as_end(reason)));
    }
}

/// A way that is lost behind us, to a native server, is not one that the caller could go around.
fn as_end(reason: Refusal) -> Refusal {
    if reason.recovery() == Recovery::Resumes { Refusal::ServiceReset } else { reason }
}

impl Drop for Parkable {
    fn drop(&mut self) {
        self.unpark();
        self.place.sessions.growth.give_back(&self.session);
    }
}
