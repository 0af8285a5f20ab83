//! When the far end is told what we have. Pure.
//!
//! At once for every [`ACK_EVERY`] bytes and for the end; and for what is left, at the second tick of the lane after it
//! came, so that an idle stream holds nothing at its sender, and a busy one costs no frame beyond those.

use super::Position;
use crate::bounds::ACK_EVERY;

/// What we have, and what of it the far end was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acks {
    received: Position,
    told: Position,
    /// What we had at the last tick.
    ticked: Position,
    /// Someone was told to send, and has not yet.
    is_due: bool,
}

impl Acks {
    /// A carrier over which the far end was already told `received`.
    pub fn from(received: Position) -> Self {
        Self { received, told: received, ticked: received, is_due: false }
    }

    /// So many bytes were taken. True: an Ack is newly due.
    pub fn handle_bytes(&mut self, count: usize) -> bool {
        self.received = self.received.after(count);
        self.received.bytes() - self.told.bytes() >= ACK_EVERY && self.make_due()
    }

    /// The end was taken, perhaps not for the first time. True: an Ack is newly due.
    pub fn handle_end(&mut self) -> bool {
        self.received = self.received.ended();
        self.received > self.told && self.make_due()
    }

    /// The lane's tick. True: an Ack is newly due.
    pub fn handle_tick(&mut self) -> bool {
        let is_idle = std::mem::replace(&mut self.ticked, self.received) == self.received;
        is_idle && self.received > self.told && self.make_due()
    }

    /// What to tell now, if the far end does not know it yet.
    pub fn poll(&mut self) -> Option<Position> {
        self.is_due = false;
        let is_new = self.received > self.told;
        self.told = self.received;
        is_new.then_some(self.told)
    }

    /// Does the far end know that we have all of it?
    pub fn is_end_told(&self) -> bool {
        self.told.is_end()
    }

    fn make_due(&mut self) -> bool {
        !std::mem::replace(&mut self.is_due, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: usize = ACK_EVERY as usize;

    #[test]
    fn an_ack_is_due_once_for_each_full_measure_and_not_a_byte_before() {
        let mut acks = Acks::from(Position::default());
        assert!(!acks.handle_bytes(EVERY - 1));
        assert!(acks.handle_bytes(1));
        assert!(!acks.handle_bytes(EVERY), "it is due already");
        assert_eq!(acks.poll(), Some(Position::default().after(2 * EVERY)));
        assert_eq!(acks.poll(), None);
        assert!(!acks.handle_bytes(EVERY - 1));
    }

    #[test]
    fn the_end_is_told_at_once_and_once() {
        let mut acks = Acks::from(Position::default().after(5));
        assert!(acks.handle_end());
        assert!(!acks.handle_end());
        assert_eq!(acks.poll(), Some(Position::default().after(5).ended()));
        assert!(!acks.handle_end() && acks.poll().is_none());
        let mut again = Acks::from(Position::default().after(5).ended());
        assert!(!again.handle_end(), "the far end was told before");
    }

    #[test]
    fn what_rests_a_whole_tick_is_told_and_what_moves_is_not() {
        let mut acks = Acks::from(Position::default());
        assert!(!acks.handle_tick(), "nothing came");
        acks.handle_bytes(1);
        assert!(!acks.handle_tick(), "it came since the last tick");
        acks.handle_bytes(1);
        assert!(!acks.handle_tick());
        assert!(acks.handle_tick());
        assert_eq!(acks.poll(), Some(Position::default().after(2)));
        assert!(!acks.handle_tick() && !acks.handle_tick());
    }
}
