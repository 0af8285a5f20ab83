//! The gateway's end of a session: its state, its present carrier, and who waits for it.
//!
//! The owner polls it, and the carrier's lane wakes it when the far end has acknowledged something or the carrier is gone:
//! so a session goes on although its owner looks elsewhere. Locks are taken in the order end, lane.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{BufMut, Bytes, BytesMut};

use super::resume::{Home, resume};
use crate::bounds::{COPY_BELOW, DATA_FRAME_SENT, SEND_QUEUE};
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::refusal::{Recovery, Refusal};
use crate::session::{Position, Session, SessionId};
use crate::wire::Resume;

/// What a session is, for whoever asks for a carrier.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) service: Box<str>,
    pub(crate) class: Class,
    pub(crate) id: SessionId,
    /// The local hub that has the far end.
    pub(crate) at: Box<str>,
}

pub(super) struct End {
    pub(super) subject: Subject,
    pub(super) home: Arc<dyn Home>,
    state: Mutex<State>,
}

struct State {
    session: Session,
    carrier: Carrier,
    attempts: u32,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

enum Carrier {
    Live(LaneStream),
    /// Lost; another is being sought.
    Between,
    Over(Refusal),
}

impl End {
    pub(super) fn new(subject: Subject, carrier: LaneStream, home: Arc<dyn Home>) -> Arc<Self> {
        carrier.begin_acks(Position::default());
        let state = State {
            session: Session::default(),
            carrier: Carrier::Live(carrier),
            attempts: 0,
            reader: None,
            writer: None,
        };
        let end = Arc::new(Self { subject, home, state: Mutex::new(state) });
        end.look();
        end
    }

    pub(super) fn poll_read(
        self: &Arc<Self>,
        cx: &Context<'_>,
        room: &mut impl BufMut,
    ) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        if state.session.received().is_end() {
            return Poll::Ready(Ok(()));
        }
        let State { session, carrier, reader, .. } = &mut *state;
        let reason = match carrier {
            Carrier::Live(stream) => match ready!(stream.poll_copy_out(cx, room)) {
                Ok(0) => {
                    session.handle_end();
                    return Poll::Ready(Ok(()));
                }
                Ok(count) => return Poll::Ready(session.handle_bytes(count).map_err(|_| Refusal::Violation)),
                Err(reason) => reason,
            },
            Carrier::Between => {
                register(reader, cx);
                return Poll::Pending;
            }
            Carrier::Over(reason) => return Poll::Ready(Err(*reason)),
        };
        if reason.recovery() != Recovery::Resumes {
            return Poll::Ready(Err(reason));
        }
        register(reader, cx);
        self.lose(&mut state, reason)
    }

    pub(super) fn poll_write(
        self: &Arc<Self>,
        cx: &Context<'_>,
        slices: &[&[u8]],
    ) -> Poll<Result<usize, Refusal>> {
        let mut state = self.lock();
        let State { session, carrier, writer, .. } = &mut *state;
        let stream = match carrier {
            Carrier::Live(stream) => stream,
            Carrier::Between => {
                register(writer, cx);
                return Poll::Pending;
            }
            Carrier::Over(reason) => return Poll::Ready(Err(*reason)),
        };
        if session.is_finishing() {
            return Poll::Ready(Err(Refusal::Cancelled));
        }
        if session.room() == 0 {
            self.home.resumer().growth.grow(session);
        }
        // The far end's next word, or the last byte that was to be sent again, goes on with it.
        if session.room() == 0 || !session.is_level() {
            register(writer, cx);
            return Poll::Pending;
        }
        let reason = match ready!(send(session, stream, cx, slices)) {
            Ok(count) => return Poll::Ready(Ok(count)),
            Err(reason) => reason,
        };
        if reason.recovery() != Recovery::Resumes {
            return Poll::Ready(Err(reason));
        }
        register(writer, cx);
        self.lose(&mut state, reason)
    }

    /// Ready when the Fin is with a lane, behind all bytes.
    pub(super) fn poll_finish(self: &Arc<Self>, cx: &Context<'_>) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        let State { session, carrier, writer, .. } = &mut *state;
        session.finish();
        if session.is_heard() {
            return Poll::Ready(Ok(()));
        }
        let reason = match carrier {
            Carrier::Live(stream) if session.is_fin_due() || session.is_fin_given() => {
                session.note_fin();
                match ready!(stream.poll_finish(cx)) {
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(reason) => reason,
                }
            }
            Carrier::Live(_) | Carrier::Between => {
                register(writer, cx);
                return Poll::Pending;
            }
            Carrier::Over(reason) => return Poll::Ready(Err(*reason)),
        };
        if reason.recovery() != Recovery::Resumes {
            return Poll::Ready(Err(reason));
        }
        register(writer, cx);
        self.lose(&mut state, reason)
    }

    /// Ready when the far end has all of ours and knows that it is all, or nothing can be said to it any more.
    pub(super) fn poll_heard(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.session.is_heard() || matches!(state.carrier, Carrier::Over(_)) {
            return Poll::Ready(());
        }
        register(&mut state.writer, cx);
        Poll::Pending
    }

    /// Is something of ours under way that was meant to arrive although nobody waits for it?
    pub(super) fn is_finishing(&self) -> bool {
        let state = self.lock();
        state.session.is_finishing()
            && !state.session.is_heard()
            && !matches!(state.carrier, Carrier::Over(_))
    }

    /// Ends it at once; the far side is told why.
    pub(super) fn end(&self, reason: Refusal) {
        let mut wakers = [None, None];
        let mut state = self.lock();
        if matches!(state.carrier, Carrier::Live(_) | Carrier::Between) {
            if let Carrier::Live(stream) = std::mem::replace(&mut state.carrier, Carrier::Over(reason)) {
                stream.reset(reason);
            }
            wakers = state.take_wakers();
        }
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Is there no carrier, or does its lane owe a sign of life?
    pub(super) fn is_suspect(&self) -> bool {
        match &self.lock().carrier {
            Carrier::Live(stream) => stream.is_suspect(),
            Carrier::Between | Carrier::Over(_) => true,
        }
    }

    /// Is a new carrier sought?
    pub(super) fn is_between(&self) -> bool {
        matches!(self.lock().carrier, Carrier::Between)
    }

    /// What to ask a new carrier for; each time it is another attempt.
    pub(super) fn next_attempt(&self) -> Resume {
        let mut state = self.lock();
        state.attempts = state.attempts.saturating_add(1);
        let received = state.session.received();
        Resume { at: self.subject.at.to_string(), received, attempt: state.attempts }
    }

    /// Goes on over a new carrier, whose far end has `far` of ours.
    ///
    /// # Errors
    /// [`Refusal::Violation`] when it cannot have that; the session is over by then.
    pub(super) fn attach(self: &Arc<Self>, stream: LaneStream, far: Position) -> Result<(), Refusal> {
        let mut state = self.lock();
        if !matches!(state.carrier, Carrier::Between) {
            return Ok(());
        }
        if state.session.handle_resume(far).is_err() {
            drop(state);
            self.end(Refusal::Violation);
            return Err(Refusal::Violation);
        }
        stream.begin_acks(state.session.received());
        state.carrier = Carrier::Live(stream);
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.look();
        Ok(())
    }

    /// Sends again what the present carrier does not have; ready when it has all, or is gone.
    pub(super) fn poll_level(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        let State { session, carrier, .. } = &mut *state;
        let Carrier::Live(stream) = carrier else { return Poll::Ready(()) };
        if ready!(level(session, stream, cx)).is_err() {
            // Whoever is told of the loss by the lane deals with it.
            return Poll::Ready(());
        }
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        Poll::Ready(())
    }

    /// What the lane may have for us: word of the far end, or the loss of the carrier.
    fn look(self: &Arc<Self>) {
        let mut state = self.lock();
        let State { session, carrier, writer, .. } = &mut *state;
        let Carrier::Live(stream) = carrier else { return };
        let sight = stream.watch(&Waker::from(self.clone()));
        if session.handle_ack(sight.acked).is_err() {
            drop(state);
            return self.end(Refusal::Violation);
        }
        let mut wakers = [None, writer.take()];
        if let Some(reason) = sight.gone
            && reason.recovery() == Recovery::Resumes
            && !session.is_over()
            && self.lose::<()>(&mut state, reason).is_ready()
        {
            wakers[0] = state.reader.take();
        }
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The carrier is lost. Pending: whoever is registered is woken when there is another, or none.
    fn lose<T>(self: &Arc<Self>, state: &mut State, reason: Refusal) -> Poll<Result<T, Refusal>> {
        if self.home.resumer().is_stopping() || self.subject.at.is_empty() {
            state.carrier = Carrier::Over(reason);
            return Poll::Ready(Err(reason));
        }
        state.carrier = Carrier::Between;
        self.home.resumer().spawn(resume(self.clone(), reason));
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for End {
    fn wake(self: Arc<Self>) {
        self.look();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.home.resumer().growth.give_back(&self.lock().session);
    }
}

impl State {
    fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }
}

/// Gives a carrier what it lacks, and then our Fin if that is due.
pub(crate) fn level(
    session: &mut Session,
    stream: &LaneStream,
    cx: &Context<'_>,
) -> Poll<Result<(), Refusal>> {
    while !session.is_level() {
        let mut piece = session.unsent(DATA_FRAME_SENT);
        session.note_sent(ready!(stream.poll_give_bytes(cx, &mut piece))?);
    }
    if session.is_fin_due() {
        session.note_fin();
        // Whether it is out yet concerns only who waits for that.
        let _ = stream.poll_finish(cx)?;
    }
    Poll::Ready(Ok(()))
}

/// Small writes are copied twice, into the lane's queue and the log; of large ones both share one copy.
fn send(
    session: &mut Session,
    stream: &LaneStream,
    cx: &Context<'_>,
    slices: &[&[u8]],
) -> Poll<Result<usize, Refusal>> {
    let length: usize = slices.iter().map(|slice| slice.len()).sum();
    let most = session.room().min(length);
    if most >= COPY_BELOW {
        let most = most.min(stream.room()).min(SEND_QUEUE);
        if most >= COPY_BELOW {
            let mut bytes = gather(slices, most);
            let copy = bytes.clone();
            let count = ready!(stream.poll_give_bytes(cx, &mut bytes))?;
            session.note(copy.slice(..count));
            return Poll::Ready(Ok(count));
        }
    }
    let count = ready!(stream.poll_copy(cx, slices, most))?;
    let mut left = count;
    for slice in slices {
        let part = left.min(slice.len());
        session.note_copy(&slice[..part]);
        left -= part;
    }
    Poll::Ready(Ok(count))
}

fn gather(slices: &[&[u8]], most: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(most);
    for slice in slices {
        let part = slice.len().min(most - bytes.len());
        bytes.put_slice(&slice[..part]);
    }
    bytes.freeze()
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
