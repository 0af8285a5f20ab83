//! The one loop that changes what the edge serves: state changes, keys, and the clock's seconds become leases.

use std::collections::HashSet;
use std::sync::Arc;

use defense::Reason;
use rotator::{GrantNo, Keyring, UnixTime};
use state::records::Auth;
use state::{Card, Event, Store, Watch};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::ports::Ports;

/// The one writer of the roster.
pub struct Follower {
    gate: Arc<Gate>,
    store: Arc<dyn Store>,
    keys: watch::Receiver<Keyring>,
    served: HashSet<GrantNo>,
    ports: watch::Sender<Ports>,
    changes: Watch,
    last: UnixTime,
}

/// Everything that can wake the loop.
enum Wake {
    State(Option<Event>),
    Keys,
    KeysGone,
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
    ) -> (Self, watch::Receiver<Ports>) {
        let changes = store.watch(name);
        let (ports, follow_ports) = watch::channel(Ports::default());
        let mut follower =
            Self { gate, store, keys, served: HashSet::new(), ports, changes, last: UnixTime::ZERO };
        follower.handle_reset();
        (follower, follow_ports)
    }

    /// Follows until the stop and through the drain: connections that are still open are owed their revocation.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut has_store, mut has_keys, mut drain_ends) = (true, true, None);
        loop {
            let wake = tokio::select! {
                biased;
                () = stop.cancelled(), if drain_ends.is_none() => Wake::Stop,
                event = self.changes.next(), if has_store => Wake::State(event),
                changed = self.keys.changed(), if has_keys => match changed {
                    Ok(()) => Wake::Keys,
                    Err(_) => Wake::KeysGone,
                },
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
                // What is known is served on: rotation needs no store, and no rotator until the epoch after next.
                Wake::State(None) => {
                    has_store = false;
                    lost("edge.store_gone", Reason::StoreUnreachable, drain_ends);
                }
                Wake::KeysGone => {
                    has_keys = false;
                    lost("edge.rotator_gone", Reason::EpochKeyMissing, drain_ends);
                }
                Wake::Stop => drain_ends = Some(Instant::now() + self.gate.drain.max),
            }
            let is_over = |end| self.gate.connections.is_empty() || end <= Instant::now();
            if drain_ends.is_some_and(is_over) {
                return;
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
        let (mut gone, mut other_key) = (Vec::new(), Vec::new());
        for &grant in grants {
            let view = self.store.read().grant_view(grant);
            let roster = &self.gate.roster;
            match view {
                Some(view) => {
                    if roster.card(grant).is_some_and(|card| shows_another(&card, &view.card)) {
                        other_key.push(grant);
                    }
                    self.gate.budgets.tune(grant, self.gate.allowance_of(&view.card));
                    roster.put_card(view.card);
                    roster.write_labels().put(grant, view.naming, &keys, now);
                    roster.leases().apply(&roster.planner().put(grant, view.plan, &keys, now));
                    self.served.insert(grant);
                }
                None if self.served.remove(&grant) => {
                    roster.leases().apply(&roster.planner().remove(grant));
                    roster.write_labels().remove(grant);
                    roster.remove_card(grant);
                    self.gate.budgets.forget(grant);
                    gone.push(grant);
                }
                None => {}
            }
        }
        if !other_key.is_empty() {
            self.gate.connections.close_grants(&other_key, Reason::KeyMismatch);
        }
        if !gone.is_empty() {
            self.gate.connections.close_grants(&gone, Reason::RevokedLive);
        }
    }

    fn handle_layout(&self) {
        let ports = Ports::of(self.store.read().services().map(|s| &s.listen));
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
        let roster = &self.gate.roster;
        let turn = match back {
            // The clock ran ahead and was set right: what was opened too early closes again.
            true => {
                roster.write_labels().restart(&keys, now);
                roster.planner().restart(&keys, now)
            }
            false => {
                roster.write_labels().advance(&keys, now);
                roster.planner().advance(&keys, now)
            }
        };
        if let Some(epoch) = turn.epochs_missing.first() {
            tracing::error!(event = "edge.epoch_key_missing", code = Reason::EpochKeyMissing.code(), epoch);
        }
        roster.leases().apply(&turn);
        self.gate.connections.sweep(now);
    }
}

/// Must who is connected prove another key from now on?
fn shows_another(before: &Card, now: &Card) -> bool {
    now.auth == Auth::Key && (before.auth, before.key) != (now.auth, now.key)
}

/// At an ordinary end the inside goes too; before it, that is an operator's concern.
fn lost(event: &str, reason: Reason, drain_ends: Option<Instant>) {
    if drain_ends.is_none() {
        tracing::error!(event, code = reason.code());
    }
}
