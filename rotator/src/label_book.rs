//! Whose is this label: stable ones as the state has them, rotating ones as time turns them.

use std::collections::HashMap;

use crate::agenda::Agenda;
use crate::keys::{GrantId, Keyring};
use crate::label::Label;
use crate::lease::GrantNo;
use crate::tenure::{Rhythm, Tenure};
use crate::time::UnixTime;

/// How a grant is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    Stable(Label),
    Rotating { id: GrantId, tenure: Tenure },
}

/// Labels by their 128 bits. Memory: one entry per stable label, two to four per rotating grant.
#[derive(Clone, Default)]
pub struct LabelBook {
    labels: HashMap<Label, Valid>,
    rotating: HashMap<GrantNo, (GrantId, Tenure)>,
    by_grant: HashMap<GrantNo, Box<[Label]>>,
    agenda: Agenda,
}

#[derive(Clone, Copy)]
struct Valid {
    grant: GrantNo,
    from: UnixTime,
    until: UnixTime,
}

impl LabelBook {
    pub fn new() -> Self {
        Self::default()
    }

    /// Labels in the book, of whatever time.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The grant that bears this label at `now`.
    pub fn find(&self, label: Label, now: UnixTime) -> Option<GrantNo> {
        self.labels.get(&label).filter(|v| v.from <= now && now < v.until).map(|v| v.grant)
    }

    /// Labels that the grant bears now or next, the newest last.
    pub fn labels_of(&self, grant: GrantNo) -> &[Label] {
        self.by_grant.get(&grant).map_or(&[], |labels| labels)
    }

    pub fn put(&mut self, grant: GrantNo, naming: Naming, keys: &Keyring, now: UnixTime) {
        self.remove(grant);
        match naming {
            Naming::Stable(label) => {
                self.labels.insert(label, Valid { grant, from: UnixTime::ZERO, until: UnixTime::END });
                self.by_grant.insert(grant, Box::new([label]));
            }
            Naming::Rotating { id, tenure } => {
                self.rotating.insert(grant, (id, tenure));
                self.bring_up(grant, keys, now);
            }
        }
    }

    pub fn remove(&mut self, grant: GrantNo) {
        self.rotating.remove(&grant);
        self.agenda.forget(grant);
        self.strike(grant);
    }

    /// Turns rotating labels up to `now`, and those that waited for a key that is now held. A clock that went back
    /// changes nothing.
    pub fn advance(&mut self, keys: &Keyring, now: UnixTime) {
        let (now, grants) = self.agenda.take(keys, now);
        for grant in grants {
            self.bring_up(grant, keys, now);
        }
    }

    /// Brings every grant to `now`, even back: for a clock that ran ahead and was set right.
    pub fn restart(&mut self, keys: &Keyring, now: UnixTime) {
        self.agenda.restart(now);
        let grants: Vec<_> = self.rotating.keys().copied().collect();
        for grant in grants {
            self.bring_up(grant, keys, now);
        }
    }

    /// The second of the next change, for the loop that drives this.
    pub fn next_due(&self) -> Option<UnixTime> {
        self.agenda.next()
    }

    /// Epochs whose keys are needed and not held: their labels are unknown until an `advance` brings the keys.
    pub fn epochs_missing(&self) -> Vec<u64> {
        self.agenda.epochs_missing()
    }

    /// Puts the labels of the windows around `now`; each is valid from `lead` before to `grace` after its window. The
    /// next is put one window ahead if its key is held, so that nobody waits for the loop's tick.
    fn bring_up(&mut self, grant: GrantNo, keys: &Keyring, now: UnixTime) {
        self.strike(grant);
        let Some((id, tenure)) = self.rotating.get(&grant) else { return };
        let standing = tenure.standing(now, Rhythm::Label);
        let mut missing = Vec::new();
        let mut bearing = Vec::new();
        for window in standing.open.iter().chain(standing.ahead.first()) {
            let lease = window.lease(grant);
            let valid = Valid { grant, from: lease.opens(), until: lease.closes() };
            match keys.grant_key(window.origin, id, window.term.generation) {
                Ok(key) => write(&mut self.labels, Label::rotating(&key, window.number), valid, &mut bearing),
                Err(epoch) if valid.from <= now => missing.push(epoch.0),
                // It is due when it opens, and will be asked for again then.
                Err(_) => {}
            }
        }
        self.by_grant.insert(grant, bearing.into_boxed_slice());
        self.agenda.note(grant, standing.due, &missing);
    }

    fn strike(&mut self, grant: GrantNo) {
        for label in self.by_grant.remove(&grant).unwrap_or_default() {
            if self.labels.get(&label).is_some_and(|valid| valid.grant == grant) {
                self.labels.remove(&label);
            }
        }
    }
}

/// A change of schedule in the middle of a label window leaves the label as it was: it is valid for both leases.
fn write(labels: &mut HashMap<Label, Valid>, label: Label, valid: Valid, bearing: &mut Vec<Label>) {
    let entry = labels.entry(label).or_insert(valid);
    if entry.grant == valid.grant {
        entry.from = entry.from.min(valid.from);
        entry.until = entry.until.max(valid.until);
        if !bearing.contains(&label) {
            bearing.push(label);
        }
    }
}
