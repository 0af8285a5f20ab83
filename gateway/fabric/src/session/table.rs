//! The sessions of a local hub: who may resume which, and how many may wait for it. Pure.

use std::collections::HashMap;

use super::SessionId;
use crate::bounds::{PARKED_BYTES, PARKED_MAX, SESSIONS_MAX};
use crate::refusal::Refusal;

/// Handles of sessions by the caller that opened them. A session can be found by nobody else.
#[derive(Debug)]
pub struct Table<H> {
    callers: HashMap<Box<str>, HashMap<SessionId, H>>,
    count: usize,
    parked: usize,
    parked_bytes: usize,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self { callers: HashMap::new(), count: 0, parked: 0, parked_bytes: 0 }
    }
}

impl<H> Table<H> {
    /// A new session. A caller may hold half of what others leave, so that one edge starves no other.
    ///
    /// # Errors
    /// [`Refusal::SessionsFull`]; [`Refusal::Violation`] when the caller has one of that id.
    pub fn admit(&mut self, caller: &str, id: SessionId, handle: H) -> Result<(), Refusal> {
        let own = self.callers.get(caller).map_or(0, HashMap::len);
        let of_others = self.count - own;
        if own >= (SESSIONS_MAX - of_others) / 2 {
            return Err(Refusal::SessionsFull);
        }
        if !self.callers.contains_key(caller) {
            self.callers.insert(caller.into(), HashMap::new());
        }
        let Some(sessions) = self.callers.get_mut(caller) else { return Err(Refusal::SessionsFull) };
        if sessions.contains_key(&id) {
            return Err(Refusal::Violation);
        }
        sessions.insert(id, handle);
        self.count += 1;
        Ok(())
    }

    /// The handle of a caller's session.
    ///
    /// # Errors
    /// [`Refusal::ResumeUnknown`] when that caller has none of that id.
    pub fn find(&self, caller: &str, id: SessionId) -> Result<&H, Refusal> {
        self.callers.get(caller).and_then(|sessions| sessions.get(&id)).ok_or(Refusal::ResumeUnknown)
    }

    /// The session is over.
    pub fn remove(&mut self, caller: &str, id: SessionId) {
        if let Some(sessions) = self.callers.get_mut(caller) {
            self.count -= usize::from(sessions.remove(&id).is_some());
            if sessions.is_empty() {
                self.callers.remove(caller);
            }
        }
    }

    /// A session that holds so many bytes waits for its caller.
    ///
    /// # Errors
    /// [`Refusal::SessionsFull`].
    pub fn park(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.parked >= PARKED_MAX || self.parked_bytes + bytes > PARKED_BYTES {
            return Err(Refusal::SessionsFull);
        }
        self.parked += 1;
        self.parked_bytes += bytes;
        Ok(())
    }

    /// It waits no longer.
    pub fn unpark(&mut self, bytes: usize) {
        self.parked -= 1;
        self.parked_bytes -= bytes;
    }

    /// All of them, parked or not.
    pub fn len(&self) -> usize {
        self.count
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Those that wait, and the bytes they hold.
    pub fn parked(&self) -> (usize, usize) {
        (self.parked, self.parked_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_caller_and_nobody_else() {
        let mut table = Table::default();
        let id = SessionId::from([7; 16]);
        table.admit("edge/e1", id, "mine").unwrap();
        assert_eq!(table.find("edge/e1", id), Ok(&"mine"));
        assert_eq!(table.find("edge/e2", id), Err(Refusal::ResumeUnknown));
        assert_eq!(table.find("edge/e1", SessionId::from([8; 16])), Err(Refusal::ResumeUnknown));
        assert_eq!(table.admit("edge/e1", id, "again"), Err(Refusal::Violation));
        table.admit("edge/e2", id, "theirs").unwrap();
        table.remove("edge/e1", id);
        table.remove("edge/e1", id);
        assert_eq!(table.find("edge/e1", id), Err(Refusal::ResumeUnknown));
        assert_eq!((table.find("edge/e2", id), table.len()), (Ok(&"theirs"), 1));
        table.remove("edge/e2", id);
        assert!(table.is_empty() && table.callers.is_empty());
    }

    #[test]
    fn twice_as_many_as_fit_are_parked_to_the_bound_and_named_beyond_it() {
        let mut table = Table::<()>::default();
        let outcomes: Vec<_> = (0..2 * PARKED_MAX).map(|_| table.park(1)).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), PARKED_MAX);
        assert_eq!(outcomes.last(), Some(&Err(Refusal::SessionsFull)));
        assert_eq!(table.parked(), (PARKED_MAX, PARKED_MAX));
        (0..PARKED_MAX).for_each(|_| table.unpark(1));
        assert_eq!(table.park(PARKED_BYTES + 1), Err(Refusal::SessionsFull));
        assert_eq!(table.park(PARKED_BYTES), Ok(()));
        assert_eq!(table.park(1), Err(Refusal::SessionsFull));
        table.unpark(PARKED_BYTES);
        assert_eq!(table.parked(), (0, 0));
    }

    #[test]
    fn one_caller_gets_half_of_what_is_free_and_all_together_no_more_than_there_is() {
        let mut table = Table::default();
        let id = |number: usize| SessionId::from((number as u128).to_be_bytes());
        for number in 0..SESSIONS_MAX / 2 {
            table.admit("edge/e0", id(number), ()).unwrap();
        }
        assert_eq!(table.admit("edge/e0", id(SESSIONS_MAX), ()), Err(Refusal::SessionsFull));
        for caller in 1..40 {
            let mut fill =
                (0..).take_while(|number| table.admit(&format!("edge/e{caller}"), id(*number), ()).is_ok());
            let got = fill.by_ref().count();
            assert!(caller > 15 || got > 0, "caller {caller} got nothing");
        }
        assert!(table.len() <= SESSIONS_MAX);
        table.remove("edge/e0", id(0));
        table.remove("edge/e0", id(1));
        assert_eq!(table.admit("edge/late", id(0), ()), Ok(()), "what is given back is there for others");
    }
}
