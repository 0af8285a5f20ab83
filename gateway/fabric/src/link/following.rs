//! Which hub of a plane to dial, and when, until the active is found; and when to leave it. Pure.
//!
//! Feed it what becomes of each dial (`handle_*`), and dial whom [`Following::poll_dial`] names; ask again at
//! [`Following::poll_timeout`]. Every dial that it names ends in exactly one of [`Following::handle_welcome`],
//! [`Following::handle_standby`] and [`Following::handle_failure`].
//!
//! While no active is known, all hubs are dialed at once and each again after its own pause; a standby that names the
//! active has that one dialed without a pause. While the link to the active is under suspicion the others are dialed, too:
//! if one of them proves a higher term, the member moves before the old link is given up. A term below the highest that
//! was ever proven on this plane is refused for good, whoever shows it.
//!
//! Times are counted from any fixed moment; `dice` is a uniformly random number.

use std::time::Duration;

use crate::bounds::{REDIAL_MAX, SEARCH_FIRST, SEARCH_MAX, SEARCH_YOUNG};
use crate::refusal::Refusal;

#[cfg(test)]
mod tests;

/// The state of one plane's dialing.
#[derive(Debug)]
pub(crate) struct Following {
    hubs: Vec<Hub>,
    /// The highest term that was proven.
    term: u64,
    state: State,
}

#[derive(Debug)]
struct Hub {
    name: Box<str>,
    is_dialing: bool,
    dialed: Option<Duration>,
    due: Duration,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Searching { since: Duration },
    Linked { hub: usize, is_suspect: bool },
}

impl Following {
    /// Hubs by name, all of them to be dialed now.
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<Box<str>>>, now: Duration) -> Self {
        let hub =
            |name: Box<str>| Hub { name, is_dialing: false, dialed: None, due: now, pause: SEARCH_FIRST };
        Self {
            hubs: names.into_iter().map(|name| hub(name.into())).collect(),
            term: 0,
            state: State::Searching { since: now },
        }
    }

    /// The highest term that was proven on this plane; 0 before the first.
    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// A hub to be dialed now.
    pub(crate) fn poll_dial(&mut self, now: Duration) -> Option<usize> {
        let index = (0..self.hubs.len()).find(|index| self.wants(*index).is_some_and(|due| due <= now))?;
        let hub = &mut self.hubs[index];
        (hub.is_dialing, hub.dialed) = (true, Some(now));
        Some(index)
    }

    /// When the next dial is due; `None`: not before something is handled.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        (0..self.hubs.len()).filter_map(|index| self.wants(index)).min()
    }

    /// This hub welcomed us and proved its term. Ok: it is the active to follow from now on, in place of any other.
    ///
    /// # Errors
    /// [`Refusal::TermStale`] for a term below the highest, or one that another hub already is the active of.
    pub(crate) fn handle_welcome(
        &mut self,
        index: usize,
        term: u64,
        now: Duration,
        dice: u32,
    ) -> Result<(), Refusal> {
        let is_followed = matches!(self.state, State::Linked { hub, .. } if hub != index);
        if term < self.term || (term == self.term && is_followed) {
            self.back_off(index, now, dice);
            return Err(Refusal::TermStale);
        }
        self.term = term;
        self.state = State::Linked { hub: index, is_suspect: false };
        self.hubs.iter_mut().for_each(|hub| hub.pause = SEARCH_FIRST);
        self.hubs[index].is_dialing = false;
        Ok(())
    }

    /// This hub is not the active; it may know who is, in which term. Its word proves nothing, so it only hastens a dial.
    pub(crate) fn handle_standby(&mut self, index: usize, term: u64, active: &str, now: Duration, dice: u32) {
        self.back_off(index, now, dice);
        let named = self.hubs.iter_mut().enumerate().find(|(at, hub)| *at != index && *hub.name == *active);
        if let Some((_, named)) = named.filter(|_| term >= self.term) {
            let earliest = named.dialed.map_or(now, |dialed| dialed + SEARCH_FIRST);
            named.due = named.due.min(earliest.max(now));
        }
    }

    /// This hub was not reached, or refused for another reason.
    pub(crate) fn handle_failure(&mut self, index: usize, now: Duration, dice: u32) {
        self.back_off(index, now, dice);
    }

    /// The link to the followed hub is over: the search begins.
    pub(crate) fn handle_lost(&mut self, now: Duration, dice: u32) {
        if matches!(self.state, State::Linked { .. }) {
            self.state = State::Searching { since: now };
            // Members that lost the same hub do not all come in one instant.
            let due = now + scaled(SEARCH_FIRST, dice);
            self.hubs.iter_mut().for_each(|hub| (hub.due, hub.pause) = (due, SEARCH_FIRST));
        }
    }

    /// The link to the followed hub fell silent, or is heard again.
    pub(crate) fn handle_suspicion(&mut self, suspected: bool, now: Duration) {
        if let State::Linked { is_suspect, .. } = &mut self.state
            && *is_suspect != suspected
        {
            *is_suspect = suspected;
            self.hubs.iter_mut().for_each(|hub| hub.due = now);
        }
    }

    /// When this hub should be dialed, if at all.
    fn wants(&self, index: usize) -> Option<Duration> {
        let hub = self.hubs.get(index).filter(|hub| !hub.is_dialing)?;
        match self.state {
            State::Searching { .. } => Some(hub.due),
            State::Linked { hub: followed, is_suspect } => {
                (is_suspect && followed != index).then_some(hub.due)
            }
        }
    }

    fn back_off(&mut self, index: usize, now: Duration, dice: u32) {
        let longest = match self.state {
            State::Searching { since } if now.saturating_sub(since) < SEARCH_YOUNG => SEARCH_MAX,
            State::Linked { .. } => SEARCH_MAX,
            State::Searching { .. } => REDIAL_MAX,
        };
        let Some(hub) = self.hubs.get_mut(index) else { return };
        hub.is_dialing = false;
        hub.due = now + hub.pause / 2 + scaled(hub.pause / 2, dice);
        hub.pause = (hub.pause * 2).min(longest);
    }
}

/// A part of `whole` as large as the dice say.
fn scaled(whole: Duration, dice: u32) -> Duration {
    whole.mul_f64(f64::from(dice) / f64::from(u32::MAX))
}
