//! A connection's pulse: when bytes last moved, so that idle, slow and stalled connections can be told apart and ended.

mod pace;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use defense::Reason;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bounds::{BODY_GRACE, HEAD_MAX, IDLE_MAX, READER_GRACE, STALL_MAX, WITHDRAWN_MAX, WITHDRAWN_SPAN};
use crate::budgets::Taken;
use pace::Pace;

/// A connection's pulse. Its moments are milliseconds after `begun`.
#[derive(Debug)]
pub struct Pulse {
    begun: Instant,
    /// When a byte last moved.
    last_ms: AtomicU64,
    /// Since when no request is under way.
    quiet_ms: AtomicU64,
    /// When the first byte of a head came that is not whole yet; [`NEVER`] if there is none.
    head_ms: AtomicU64,
    /// HTTP/1: between requests, every byte that comes is of a head. (HTTP/2 has its own small talk.)
    heads: AtomicBool,
    /// Only [`Pulse::progress`] keeps it from stalling.
    strict: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU32,
    withdrawn: AtomicU32,
    withdrawn_since_ms: AtomicU64,
    end: CancellationToken,
    why: OnceLock<Reason>,
    resets: AtomicBool,
    paces: Mutex<Paces>,
    /// HTTP/1: a part of an answer waits for its client to read it. The request itself may be over.
    is_unread: AtomicBool,
    /// HTTP/2: answers of which a piece waits for its client to read it.
    unread: AtomicU32,
}

/// How a client keeps up with its own requests.
#[derive(Debug, Default)]
struct Paces {
    /// HTTP/1: of its sending.
    body: Pace,
    /// HTTP/1: of its reading.
    reader: Pace,
    /// HTTP/2: of the reading of all answers together.
    readers: Pace,
    /// One of them may be under way: else there is nothing to look at.
    are_used: bool,
}

const NEVER: u64 = u64::MAX;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For a request: the client may come back to it, or not.
    Idle,
    /// For the rest of a head.
    Head,
    /// For the next byte of a request or response, either way.
    Bytes,
}

impl Pulse {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            quiet_ms: AtomicU64::new(0),
            head_ms: AtomicU64::new(NEVER),
            heads: AtomicBool::new(false),
            strict: AtomicBool::new(false),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            withdrawn: AtomicU32::new(0),
            withdrawn_since_ms: AtomicU64::new(0),
            end: CancellationToken::new(),
            why: OnceLock::new(),
            resets: AtomicBool::new(false),
            paces: Mutex::default(),
            is_unread: AtomicBool::new(false),
            unread: AtomicU32::new(0),
        })
    }

    /// The connection speaks HTTP/1: from now on the time of each head is taken.
    pub fn time_heads(&self) {
        self.heads.store(true, Ordering::Relaxed);
    }

    /// Counts one request as under way until the guard is dropped.
    pub fn request(self: &Arc<Self>) -> Underway {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_ms.store(NEVER, Ordering::Relaxed);
        if self.heads.load(Ordering::Relaxed) {
            let mut paces = self.paces();
            if paces.are_used {
                *paces = Paces::default();
            }
        }
        Underway { pulse: Arc::clone(self), is_answered: false, taken: None }
    }

    pub fn waits(&self) -> Waits {
        match (self.requests.load(Ordering::Relaxed), self.head_ms.load(Ordering::Relaxed)) {
            (0, _) if self.is_unread.load(Ordering::Relaxed) => Waits::Bytes,
            (0, NEVER) => Waits::Idle,
            (0, _) => Waits::Head,
            _ => Waits::Bytes,
        }
    }

    /// Time left until the connection has waited for too long; zero when it has. An idle one is not kept by bytes that
    /// belong to no request.
    pub fn patience(&self) -> Duration {
        self.patience_within(IDLE_MAX)
    }

    /// As [`Pulse::patience`], with another limit for idle connections (see [`crate::pressure`]).
    pub fn patience_within(&self, idle_max: Duration) -> Duration {
        let (since, limit) = match self.waits() {
            Waits::Idle => (&self.quiet_ms, idle_max),
            Waits::Head => (&self.head_ms, HEAD_MAX),
            Waits::Bytes => (&self.last_ms, STALL_MAX),
        };
        let since = Duration::from_millis(since.load(Ordering::Relaxed));
        limit.saturating_sub(self.begun.elapsed().saturating_sub(since))
    }

    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed))
    }

    /// Asks for the connection's end, by a reset: a verdict said so, and was written down.
    pub fn end(&self) {
        self.reset_on_close();
        self.end.cancel();
    }

    /// Resolves when the end was asked for; gives the reason that is yet to be written down, if there is one.
    pub async fn ended(&self) -> Option<Reason> {
        self.end.cancelled().await;
        self.unwritten()
    }

    /// An answer waits for the rest of its request's body, or no longer.
    pub fn awaits_body(&self, waits: bool) {
        self.pace(waits, &self.bytes_in, |paces| &mut paces.body);
    }

    /// An answer waits for its client to read, or no longer.
    pub fn awaits_reader(&self, waits: bool) {
        if self.is_unread.load(Ordering::Relaxed) != waits {
            self.is_unread.store(waits, Ordering::Relaxed);
            self.quiet_ms.store(self.now_ms(), Ordering::Relaxed);
        }
        self.pace(waits, &self.bytes_out, |paces| &mut paces.reader);
    }

    /// HTTP/2: one more answer waits for its client to read a piece of it, or one fewer. A client may take its time with one
    /// of them (a film that is paused), so together they have as long as a stall has; but not for ever for a drop now and then.
    pub(crate) fn answer_waits(&self, waits: bool) {
        let before = match waits {
            true => self.unread.fetch_add(1, Ordering::Relaxed),
            false => self.unread.fetch_sub(1, Ordering::Relaxed),
        };
        if before == u32::from(!waits) {
            self.pace(waits, &self.bytes_out, |paces| &mut paces.readers);
        }
    }

    /// Answers are read as HTTP/2 has it: by windows, not by the socket.
    pub(crate) fn has_windows(&self) -> bool {
        self.strict.load(Ordering::Relaxed)
    }

    /// Whether the client sends, or reads, so slowly that it is waited for in vain.
    pub fn is_dragging(&self) -> bool {
        let (mut paces, now) = (self.paces(), self.begun.elapsed());
        paces.body.is_dragging(now, self.bytes_in.load(Ordering::Relaxed), BODY_GRACE)
            || paces.reader.is_dragging(now, self.bytes_out.load(Ordering::Relaxed), READER_GRACE)
            || paces.readers.is_dragging(now, self.bytes_out.load(Ordering::Relaxed), STALL_MAX)
    }

    fn pace(&self, waits: bool, bytes: &AtomicU64, which: impl Fn(&mut Paces) -> &mut Pace) {
        let mut paces = self.paces();
        // Most answers wait for nobody, and need no clock.
        if waits || paces.are_used {
            paces.are_used = true;
            which(&mut paces).turn(waits, self.begun.elapsed(), bytes.load(Ordering::Relaxed));
        }
    }

    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a head are there that came before its turn.
    pub(crate) fn head_began(&self) {
        let _ = self.head_ms.compare_exchange(NEVER, self.now_ms(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What came last was of no head.
    pub(crate) fn head_ended(&self) {
        self.head_ms.store(NEVER, Ordering::Relaxed);
    }

    /// The socket will end with a reset, not with an orderly close.
    pub fn reset_on_close(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }

    /// Was a reset asked for?
    pub(crate) fn is_reset(&self) -> bool {
        self.resets.load(Ordering::Relaxed)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    pub(crate) fn came(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = self.now_ms();
        if !self.strict.load(Ordering::Relaxed) {
            self.last_ms.store(now, Ordering::Relaxed);
        }
        if self.heads.load(Ordering::Relaxed) && self.waits() == Waits::Idle {
            self.head_ms.store(now, Ordering::Relaxed);
        }
    }

    pub(crate) fn went(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        if !self.strict.load(Ordering::Relaxed) {
            self.progress();
        }
    }

    /// A request moved on, or began.
    pub(crate) fn progress(&self) {
        self.last_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// From now on, bytes alone are no progress: HTTP/2 has its own small talk.
    pub(crate) fn stall_without_progress(&self) {
        self.strict.store(true, Ordering::Relaxed);
    }

    /// Asks for the connection's end, by a reset, for a reason that is yet to be written down.
    pub(crate) fn end_because(&self, reason: Reason) {
        self.why.get_or_init(|| reason);
        self.end();
    }

    /// Why the end was asked for, where that is yet to be written down.
    pub(crate) fn unwritten(&self) -> Option<Reason> {
        self.why.get().copied()
    }

    /// A request ended before its answer did. Too many of them in a short time end the connection.
    pub(crate) fn withdrawn(&self) {
        let (now, span) = (self.now_ms(), WITHDRAWN_SPAN.as_millis() as u64);
        if now.saturating_sub(self.withdrawn_since_ms.load(Ordering::Relaxed)) > span {
            self.withdrawn_since_ms.store(now, Ordering::Relaxed);
            self.withdrawn.store(0, Ordering::Relaxed);
        }
        if self.withdrawn.fetch_add(1, Ordering::Relaxed) >= WITHDRAWN_MAX {
            self.end_because(Reason::RateLease);
        }
    }
}

/// A request under way.
pub struct Underway {
    pulse: Arc<Pulse>,
    is_answered: bool,
    /// Its place in its lease's budget, until it ends.
    taken: Option<Taken>,
}

impl Underway {
    /// It was answered, well or not: dropping it is no withdrawal.
    pub fn answered(&mut self) {
        self.is_answered = true;
    }

    /// Keeps its place in its lease's budget as long as it lasts.
    pub fn take(&mut self, taken: Taken) {
        self.taken = Some(taken);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pulse.withdrawn();
        }
        if self.pulse.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pulse.quiet_ms.store(self.pulse.now_ms(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
