//! The one loop that changes what the edge serves: state changes, keys, and the clock's seconds become leases.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use defense::Reason;
use rotator::{GrantNo, Keyring, UnixTime};
use state::{Event, Store, Watch};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::session::Gate;

/// The one writer of the roster.
pub struct Follower {
    gate: Arc<Gate>,
    store: Arc<dyn Store>,
    keys: watch::Receiver<Keyring>,
    served: HashSet<GrantNo>,
    ports: watch::Sender<BTreeSet<u16>>,
    changes: Watch,
    last: UnixTime,
}

/// Everything that can wake the loop.
enum Wake {
    State(Option<Event>),
    Keys,
    Second,
    Stop,
}

impl Follower {
    /// Follows from now on; everything known is served when this returns.
    pub fn new(
        name: &str,
        gate: Arc<Gate>,
        store: Arc<dyn Store>,
        keys: watch::Receiver<Keyring>,
    ) -> (Self, watch::Receiver<BTreeSet<u16>>) {
        let changes = store.watch(name);
        let (ports, follow_ports) = watch::channel(BTreeSet::new());
        let mut follower =
            Self { gate, store, keys, served: HashSet::new(), ports, changes, last: UnixTime::ZERO };
        follower.handle_reset();
        (follower, follow_ports)
    }

    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let wake = tokio::select! {
                biased;
                () = stop.cancelled() => Wake::Stop,
                event = self.changes.next() => Wake::State(event),
                changed = self.keys.changed() => if changed.is_ok() { Wake::Keys } else { Wake::Stop },
                () = tokio::time::sleep(self.gate.clock.until_next_second()) => Wake::Second,
            };
            match wake {
                Wake::State(Some(Event::Changed(delta))) => {
                    self.handle_grants(&delta.grants);
                    if delta.layout {
                        self.handle_layout();
                    }
                    self.changes.applied(delta.revision);
                }
                Wake::State(Some(Event::Reset)) => self.handle_reset(),
                Wake::Keys | Wake::Second => self.handle_time(),
                Wake::State(None) | Wake::Stop => return,
            }
        }
    }

    /// Looks at everything again.
    fn handle_reset(&mut self) {
        let (revision, mut grants) = {
            let records = self.store.read();
            (records.revision(), records.grants().map(|(no, _)| no).collect::<HashSet<_>>())
        };
        grants.extend(&self.served);
        let grants: Vec<GrantNo> = grants.into_iter().collect();
        self.handle_grants(&grants);
        self.handle_layout();
        self.changes.applied(revision);
    }

    fn handle_grants(&mut self, grants: &[GrantNo]) {
        let keys = self.keys.borrow().clone();
        let now = self.gate.clock.now();
        let mut gone = Vec::new();
        for &grant in grants {
            let view = self.store.read().grant_view(grant);
            let roster = &self.gate.roster;
            match view {
                Some(view) => {
                    roster.put_card(view.card);
                    roster.write_labels().put(grant, view.naming, &keys, now);
                    roster.leases().apply(&roster.planner().put(grant, view.plan, &keys, now));
                    self.served.insert(grant);
                }
                None if self.served.remove(&grant) => {
                    roster.leases().apply(&roster.planner().remove(grant));
                    roster.write_labels().remove(grant);
                    roster.remove_card(grant);
                    gone.push(grant);
                }
                None => {}
            }
        }
        if !gone.is_empty() {
            self.gate.connections.close_grants(&gone, Reason::RevokedLive);
        }
    }

    fn handle_layout(&self) {
        let ports: BTreeSet<u16> = self.store.read().services().map(|s| s.port).collect();
        self.ports.send_if_modified(|known| {
            let changed = *known != ports;
            *known = ports;
            changed
        });
    }

    fn handle_time(&mut self) {
        let keys = self.keys.borrow_and_update().clone();
        let now = self.gate.clock.now();
        let back = now < std::mem::replace(&mut self.last, now);
        let turn = match back {
            // The clock ran ahead and was set right: what was opened too early closes again.
            true => self.gate.roster.planner().restart(&keys, now),
            false => self.gate.roster.planner().advance(&keys, now),
        };
        if let Some(epoch) = turn.epochs_missing.first() {
            tracing::error!(event = "edge.epoch_key_missing", code = Reason::EpochKeyMissing.code(), epoch);
        }
        self.gate.roster.leases().apply(&turn);
        self.gate.roster.write_labels().advance(&keys, now);
        self.gate.connections.sweep(now);
    }
}
