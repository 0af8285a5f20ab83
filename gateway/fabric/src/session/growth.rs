//! What the windows of all sessions of a member may grow, together.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Session;
use crate::bounds::{SESSION_GROWTH, SESSION_WINDOW_FIRST};

/// The budget that is left.
#[derive(Debug)]
pub(crate) struct Growth(AtomicUsize);

impl Default for Growth {
    fn default() -> Self {
        Self(AtomicUsize::new(SESSION_GROWTH))
    }
}

impl Growth {
    /// Grows the window of a session that is full, if it may and the budget allows it.
    pub(crate) fn grow(&self, session: &mut Session) {
        let wanted = session.growth_wanted();
        let take = |left: usize| left.checked_sub(wanted);
        if wanted > 0 && self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            session.grow(wanted);
        }
    }

    /// The session is over.
    pub(crate) fn give_back(&self, session: &Session) {
        self.0.fetch_add(session.window() - SESSION_WINDOW_FIRST, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_until_the_budget_is_spent_and_again_when_it_came_back() {
        let growth = Growth::default();
        let full = || {
            let mut session = Session::default();
            session.note_copy(&[0; SESSION_WINDOW_FIRST]);
            session
        };
        let mut grown: Vec<_> = (0..SESSION_GROWTH / SESSION_WINDOW_FIRST).map(|_| full()).collect();
        grown.iter_mut().for_each(|session| growth.grow(session));
        assert!(grown.iter().all(|session| session.window() == 2 * SESSION_WINDOW_FIRST));
        let mut late = full();
        growth.grow(&mut late);
        assert_eq!(late.window(), SESSION_WINDOW_FIRST);
        growth.give_back(&late);
        growth.grow(&mut late);
        assert_eq!(late.window(), SESSION_WINDOW_FIRST, "what it never had does not come back");
        growth.give_back(&grown[0]);
        growth.grow(&mut late);
        assert_eq!(late.window(), 2 * SESSION_WINDOW_FIRST);
    }
}
