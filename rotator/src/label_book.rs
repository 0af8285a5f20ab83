//! Whose is this label: stable ones as the state has them, rotating ones as time turns them.

use std::collections::{BTreeMap, HashMap};

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
    by_grant: HashMap<GrantNo, Vec<Label>>,
    agenda: BTreeMap<UnixTime, Vec<GrantNo>>,
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

    /// The grant that bears this label at `now`.
    pub fn find(&self, label: Label, now: UnixTime) -> Option<GrantNo> {
        self.labels.get(&label).filter(|v| v.from <= now && now < v.until).map(|v| v.grant)
    }

    /// Labels that the grant bears now or next, the newest last.
    pub fn labels_of(&self, grant: GrantNo) -> &[Label] {
        self.by_grant.get(&grant).map_or(&[], Vec::as_slice)
    }

    pub fn put(&mut self, grant: GrantNo, naming: Naming, keys: &Keyring, now: UnixTime) {
        self.remove(grant);
        match naming {
            Naming::Stable(label) => {
                self.labels.insert(label, Valid { grant, from: UnixTime::ZERO, until: UnixTime::END });
                self.by_grant.insert(grant, vec![label]);
            }
            Naming::Rotating { id, tenure } => {
                self.rotating.insert(grant, (id, tenure));
                self.bring_up(grant, keys, now);
            }
        }
    }

    pub fn remove(&mut self, grant: GrantNo) {
        self.rotating.remove(&grant);
        for label in self.by_grant.remove(&grant).unwrap_or_default() {
            self.labels.remove(&label);
        }
    }

    /// Turns rotating labels up to `now`.
    pub fn advance(&mut self, keys: &Keyring, now: UnixTime) {
        while let Some(due) = self.agenda.first_entry().filter(|first| *first.key() <= now) {
            for grant in due.remove() {
                self.bring_up(grant, keys, now);
            }
        }
    }

    /// Puts the labels of the windows around `now`; each is valid `lead` before to `grace` after its window.
    fn bring_up(&mut self, grant: GrantNo, keys: &Keyring, now: UnixTime) {
        let Some((id, tenure)) = self.rotating.get(&grant) else { return };
        for label in self.by_grant.remove(&grant).unwrap_or_default() {
            self.labels.remove(&label);
        }
        let mut bearing = Vec::new();
        let mut due: Option<UnixTime> = None;
        let back = now.minus(tenure.life_s(Rhythm::Label));
        for window in tenure.windows_from(back, Rhythm::Label) {
            let lease = window.lease(grant);
            let (from, until) = (lease.opens(), lease.closes());
            if until <= now {
                continue;
            }
            due = Some(due.map_or(until, |d| d.min(until)));
            // Labels of the next window are computed one window ahead, so that nobody waits for the loop's tick.
            if let Ok(key) = keys.grant_key(window.origin, id, window.term.generation) {
                bearing.push((Label::rotating(&key, window.number), Valid { grant, from, until }));
            }
            if window.start > now {
                due = Some(due.map_or(window.start, |d| d.min(window.start)));
                break;
            }
        }
        self.by_grant.insert(grant, bearing.iter().map(|(label, _)| *label).collect());
        self.labels.extend(bearing);
        if let Some(due) = due {
            self.agenda.entry(due).or_default().push(grant);
        }
    }
}
