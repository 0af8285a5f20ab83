//! A stream end to end, whatever carries it: what was sent and not acknowledged, what was received, and how to go on over
//! another carrier. Pure.
//!
//! A *session* has two ends, the gateway and a local hub; a *carrier* is a stream of lanes between them, and a session
//! outlives it. Each end keeps the bytes that it gave to a carrier until the far end says that it has them
//! ([`Session::handle_ack`]). When a carrier is lost, both ends tell each other their [`Position`] over the next one
//! ([`Session::handle_resume`]) and send again from there. Positions count from the first byte of the session, so an end
//! that is told the same twice does nothing twice.
//!
//! Use: what the owner writes goes to the carrier, and what the carrier took of it to [`Session::note_copy`] or
//! [`Session::note`]; after a resume [`Session::unsent`] comes first, until [`Session::is_level`]. The end of our direction:
//! [`Session::finish`], then the carrier's Fin once [`Session::is_fin_due`]. What arrived: [`Session::handle_bytes`],
//! [`Session::handle_end`].
//!
//! Invariants, each with a property test over cuts at any byte: bytes arrive whole, in order, once; an end is told only
//! behind the last byte; what is held never exceeds the window; both ends know when all is over.

use std::fmt;

use bytes::Bytes;

use crate::bounds::{SESSION_WINDOW_FIRST, SESSION_WINDOW_MAX};
use crate::byte_queue::ByteQueue;

pub mod acks;
pub(crate) mod growth;
mod position;
pub mod table;
#[cfg(test)]
mod tests;

pub use position::Position;

/// The name of a session, chosen by the gateway: random, so that nobody meets another's by accident.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl From<[u8; 16]> for SessionId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl From<SessionId> for [u8; 16] {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What a far end says that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// It has bytes that were never sent.
    #[error("beyond what was sent")]
    BeyondSent,
    /// It lacks bytes that it has acknowledged.
    #[error("before what was acknowledged")]
    BeforeAcknowledged,
    /// It has heard an end that was not said there.
    #[error("an end that was not sent there")]
    EndNotSent,
    /// It sends behind its own end.
    #[error("bytes behind the end")]
    BehindEnd,
}

/// One end of a session.
#[derive(Debug)]
pub struct Session {
    /// Sent and not acknowledged; its first byte is at `acknowledged`.
    log: ByteQueue,
    acknowledged: Position,
    /// Up to here the present carrier has it.
    next: u64,
    finishing: bool,
    /// The present carrier has our Fin.
    fin_given: bool,
    /// Some carrier had it.
    fin_was_given: bool,
    received: Position,
    window: usize,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            log: ByteQueue::default(),
            acknowledged: Position::default(),
            next: 0,
            finishing: false,
            fin_given: false,
            fin_was_given: false,
            received: Position::default(),
            window: SESSION_WINDOW_FIRST,
        }
    }
}

impl Session {
    /// How much more may be sent before the far end acknowledges, bytes.
    pub fn room(&self) -> usize {
        if self.finishing { 0 } else { self.window.saturating_sub(self.log.len()) }
    }

    /// What it holds for the far end, bytes.
    pub fn held(&self) -> usize {
        self.log.len()
    }

    /// The most that it may hold, bytes.
    pub fn window(&self) -> usize {
        self.window
    }

    /// By how much the window should grow, bytes; 0 unless it is full and may.
    pub fn growth_wanted(&self) -> usize {
        let is_full = self.log.len() >= self.window && !self.finishing;
        if is_full { self.window.min(SESSION_WINDOW_MAX.saturating_sub(self.window)) } else { 0 }
    }

    /// The owner's budget allows it.
    pub fn grow(&mut self, more: usize) {
        self.window = (self.window + more).min(SESSION_WINDOW_MAX);
    }

    /// Has the carrier everything that was written? Only then may more be written.
    pub fn is_level(&self) -> bool {
        self.next == self.end()
    }

    /// The carrier took these bytes of the owner's; within [`Session::room`], and when level.
    pub fn note_copy(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_level() && bytes.len() <= self.room());
        self.log.push_copy(bytes);
        self.next += bytes.len() as u64;
    }

    /// As [`Session::note_copy`], sharing the bytes if they are many.
    pub fn note(&mut self, bytes: Bytes) {
        debug_assert!(self.is_level() && bytes.len() <= self.room());
        self.next += bytes.len() as u64;
        self.log.push(bytes);
    }

    /// What has to be sent again over this carrier, up to `most` bytes in one piece; empty when level.
    pub fn unsent(&mut self, most: usize) -> Bytes {
        let before = self.next - self.acknowledged.bytes();
        // The log is at most a window long.
        self.log.peek(before as usize, most)
    }

    /// The carrier took so much of [`Session::unsent`].
    pub fn note_sent(&mut self, count: usize) {
        self.next = (self.next + count as u64).min(self.end());
    }

    /// The owner writes no more.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Was [`Session::finish`] called?
    pub fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// Should the carrier get our Fin now?
    pub fn is_fin_due(&self) -> bool {
        self.finishing && !self.fin_given && self.is_level()
    }

    /// The carrier has our Fin, behind all bytes.
    pub fn note_fin(&mut self) {
        self.fin_given = true;
        self.fin_was_given = true;
    }

    /// Has the carrier our Fin?
    pub fn is_fin_given(&self) -> bool {
        self.fin_given
    }

    /// The far end has everything up to there.
    ///
    /// # Errors
    /// [`Impossible`] when it cannot; an older word than the last is nothing new.
    pub fn handle_ack(&mut self, far: Position) -> Result<(), Impossible> {
        if far.bytes() > self.next {
            return Err(Impossible::BeyondSent);
        }
        if far.is_end() && (!self.fin_was_given || far.bytes() != self.end()) {
            return Err(Impossible::EndNotSent);
        }
        if far > self.acknowledged {
            self.forget(far);
        }
        Ok(())
    }

    /// The carrier brought so many bytes.
    ///
    /// # Errors
    /// [`Impossible::BehindEnd`].
    pub fn handle_bytes(&mut self, count: usize) -> Result<(), Impossible> {
        if self.received.is_end() && count > 0 {
            return Err(Impossible::BehindEnd);
        }
        self.received = self.received.after(count);
        Ok(())
    }

    /// The carrier brought the far end's Fin; over a later carrier perhaps once more.
    pub fn handle_end(&mut self) {
        self.received = self.received.ended();
    }

    /// What we have of the far end's.
    pub fn received(&self) -> Position {
        self.received
    }

    /// A new carrier, at whose other side the far end has everything up to there. An answer that cannot be changes nothing.
    ///
    /// # Errors
    /// [`Impossible`].
    pub fn handle_resume(&mut self, far: Position) -> Result<(), Impossible> {
        if far.bytes() > self.end() {
            return Err(Impossible::BeyondSent);
        }
        if far.is_end() && (!self.fin_was_given || far.bytes() != self.end()) {
            return Err(Impossible::EndNotSent);
        }
        if far < self.acknowledged {
            return Err(Impossible::BeforeAcknowledged);
        }
        self.forget(far);
        self.next = far.bytes();
        self.fin_given = false;
        Ok(())
    }

    /// Does the far end know that all of ours was said?
    pub fn is_heard(&self) -> bool {
        self.acknowledged.is_end()
    }

    /// Have both ends everything of each other?
    pub fn is_over(&self) -> bool {
        self.is_heard() && self.received.is_end()
    }

    fn end(&self) -> u64 {
        self.acknowledged.bytes() + self.log.len() as u64
    }

    fn forget(&mut self, far: Position) {
        self.log.discard((far.bytes() - self.acknowledged.bytes()) as usize);
        self.acknowledged = far;
    }
}
