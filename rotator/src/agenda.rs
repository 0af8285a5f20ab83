//! The agenda: when each grant must be looked at again. One entry per grant, however often it is put or removed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::keys::Keyring;
use crate::lease::GrantNo;
use crate::time::UnixTime;

/// Grants by the second at which they are due, and those that wait for the key of an epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeSet<(UnixTime, GrantNo)>,
    due_of: HashMap<GrantNo, UnixTime>,
    /// Empty but for a role that has not been handed its keys yet. At most a few epochs.
    starved: BTreeMap<u64, BTreeSet<GrantNo>>,
    /// The latest second seen: a clock that goes back changes nothing.
    seen: UnixTime,
}

impl Agenda {
    /// Notes when to look at a grant again, instead of whatever was noted before.
    pub(crate) fn note(&mut self, grant: GrantNo, due: Option<UnixTime>, epochs_missing: &[u64]) {
        self.forget(grant);
        if let Some(due) = due {
            self.due.insert((due, grant));
            self.due_of.insert(grant, due);
        }
        for epoch in epochs_missing {
            self.starved.entry(*epoch).or_default().insert(grant);
        }
    }

    pub(crate) fn forget(&mut self, grant: GrantNo) {
        if let Some(due) = self.due_of.remove(&grant) {
            self.due.remove(&(due, grant));
        }
        self.starved.retain(|_, grants| {
            grants.remove(&grant);
            !grants.is_empty()
        });
    }

    /// Takes out the grants that are due by `now`, and those whose keys have come; each once. Answers the second to
    /// bring them up to: `now`, or the latest second seen if the clock went back.
    pub(crate) fn take(&mut self, keys: &Keyring, now: UnixTime) -> (UnixTime, BTreeSet<GrantNo>) {
        self.seen = self.seen.max(now);
        let now = self.seen;
        let later = self.due.split_off(&(now.plus(1), GrantNo::MIN));
        let mut grants: BTreeSet<_> =
            std::mem::replace(&mut self.due, later).into_iter().map(|(_, g)| g).collect();
        for grant in &grants {
            self.due_of.remove(grant);
        }
        for (_, fed) in self.starved.iter().filter(|(epoch, _)| keys.holds(**epoch)) {
            grants.extend(fed);
        }
        (now, grants)
    }

    /// A new beginning after a clock was set right.
    pub(crate) fn restart(&mut self, now: UnixTime) {
        self.seen = now;
    }

    /// The second to look again; the one after the last while a key is missing.
    pub(crate) fn next(&self) -> Option<UnixTime> {
        let due = self.due.first().map(|(due, _)| *due);
        let retry = (!self.starved.is_empty()).then(|| self.seen.plus(1));
        due.into_iter().chain(retry).min()
    }

    pub(crate) fn epochs_missing(&self) -> Vec<u64> {
        self.starved.keys().copied().collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.due.len(), self.due_of.len());
        self.due.len() + self.starved.values().map(BTreeSet::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyEpochs, Root};

    fn at(t: u64) -> UnixTime {
        UnixTime::from_secs(t)
    }

    #[test]
    fn a_grant_noted_a_thousand_times_or_removed_leaves_one_entry_or_none() {
        let mut agenda = Agenda::default();
        for n in 0..1000 {
            agenda.note(7, Some(at(5000 - n)), &[n]);
        }
        assert_eq!(agenda.len(), 2);
        assert_eq!(agenda.epochs_missing(), [999]);
        agenda.forget(7);
        assert_eq!(agenda.len(), 0);
        assert_eq!(agenda.next(), None);
    }

    #[test]
    fn what_is_due_is_taken_at_its_second_and_not_before() {
        let keys = Keyring::around(&Root::new([0; 32]), KeyEpochs::WEEKLY, 0, at(0));
        let mut agenda = Agenda::default();
        agenda.note(1, Some(at(100)), &[]);
        agenda.note(2, Some(at(101)), &[]);
        assert!(agenda.take(&keys, at(99)).1.is_empty());
        assert_eq!(agenda.take(&keys, at(100)), (at(100), BTreeSet::from([1])));
        assert_eq!(agenda.take(&keys, at(50)), (at(100), BTreeSet::new()));
        assert_eq!(agenda.take(&keys, at(101)).1, BTreeSet::from([2]));
    }

    #[test]
    fn who_waits_for_a_key_is_taken_when_it_is_held_and_the_loop_looks_again_each_second() {
        let root = Root::new([0; 32]);
        let epochs = KeyEpochs::every(100);
        let mut agenda = Agenda::default();
        agenda.note(1, None, &[5]);
        let early = Keyring::around(&root, epochs, 0, at(300));
        assert!(agenda.take(&early, at(300)).1.is_empty());
        assert_eq!(agenda.next(), Some(at(301)));
        let fed = Keyring::around(&root, epochs, 0, at(400));
        assert_eq!(agenda.take(&fed, at(400)).1, BTreeSet::from([1]));
    }
}
