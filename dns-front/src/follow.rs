//! Keeps the view up to date: follows the state, the keys and the time. A shell.
//!
//! A small change is applied at once. A large one (a schedule of a million grants, new keys, a missed delta) is worked
//! off in turns of [`GRANTS_PER_TURN_MAX`], between which readers and small changes get through; a revision is
//! acknowledged when nothing of it is left to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use rotator::tenure::{Cut, Term};
use rotator::{Class, GrantNo, Keyring, LeaseTable, Planner, Pool, Turn, UnixTime};
use state::store::Delta;
use state::{Event, GrantView, Name, Records, Store, Watch};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bounds::{GRANTS_PER_TURN_MAX, SHAPES_MAX};
use crate::decoy::Shape;
use crate::desk::Desk;

/// Everything that wakes the follower.
enum Wake {
    Stop,
    Second,
    Keys(bool),
    Store(Option<Event>),
    Backlog,
}

pub(crate) struct Follower {
    desk: Arc<Desk>,
    store: Arc<dyn Store>,
    watch: Watch,
    keys: watch::Receiver<Keyring>,
    /// Leases of our own, where no edge shares its table.
    planned: Option<(Planner, Arc<LeaseTable>)>,
    backlog: BTreeSet<GrantNo>,
    /// Seen, and served once the backlog is empty.
    revision: u64,
    second: Instant,
    keys_end: bool,
    store_ends: bool,
}

impl Follower {
    pub(crate) fn new(
        desk: Arc<Desk>,
        store: Arc<dyn Store>,
        keys: watch::Receiver<Keyring>,
        own_leases: Option<Arc<LeaseTable>>,
    ) -> Self {
        let watch = store.watch("dns");
        let planned = own_leases.map(|table| (Planner::new(), table));
        let (backlog, revision, second) = (BTreeSet::new(), 0, Instant::now());
        Self {
            desk,
            store,
            watch,
            keys,
            planned,
            backlog,
            revision,
            second,
            keys_end: false,
            store_ends: false,
        }
    }

    /// Takes in everything that the state has now.
    pub(crate) async fn catch_up(&mut self) {
        self.tick();
        self.reset();
        while !self.backlog.is_empty() {
            self.work_off();
            tokio::task::yield_now().await;
        }
        self.acknowledge();
    }

    /// Follows until `stop`. Without store or keys it serves on with what it has.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            match self.wake(&stop).await {
                Wake::Stop => return,
                Wake::Second => self.tick(),
                Wake::Keys(true) => self.rekey(),
                Wake::Keys(false) => self.keys_end = true,
                Wake::Store(Some(Event::Changed(delta))) => self.change(&delta),
                Wake::Store(Some(Event::Reset)) => self.reset(),
                Wake::Store(None) => self.store_ends = true,
                Wake::Backlog => {
                    self.work_off();
                    tokio::task::yield_now().await;
                }
            }
            self.acknowledge();
        }
    }

    async fn wake(&mut self, stop: &CancellationToken) -> Wake {
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            () = tokio::time::sleep_until(self.second) => Wake::Second,
            changed = self.keys.changed(), if !self.keys_end => Wake::Keys(changed.is_ok()),
            event = self.watch.next(), if !self.store_ends => Wake::Store(event),
            () = std::future::ready(()), if !self.backlog.is_empty() => Wake::Backlog,
        }
    }

    fn tick(&mut self) {
        let now = self.desk.clock.now();
        self.second = Instant::now() + self.desk.clock.until_next_second();
        let keys = {
            let mut view = self.desk.view_mut();
            view.advance(now);
            self.planned.is_some().then(|| view.keys().clone())
        };
        if let (Some((planner, table)), Some(keys)) = (&mut self.planned, keys) {
            table.apply(&planner.advance(&keys, now));
        }
    }

    fn rekey(&mut self) {
        let keys = self.keys.borrow_and_update().clone();
        self.desk.view_mut().set_keys(keys);
        // What could not be derived without them is derived now.
        self.look_at_all();
    }

    fn change(&mut self, delta: &Delta) {
        self.revision = self.revision.max(delta.revision);
        if delta.layout {
            self.reshape();
        }
        self.backlog.extend(&delta.grants);
        if delta.grants.len() <= GRANTS_PER_TURN_MAX {
            // Ahead of whatever larger work is under way: it may be a revocation.
            self.bring_up(&delta.grants);
        }
    }

    fn reset(&mut self) {
        let revision = self.store.read().revision();
        self.revision = self.revision.max(revision);
        self.reshape();
        self.look_at_all();
    }

    fn look_at_all(&mut self) {
        self.backlog.extend(self.desk.view().grant_numbers());
        self.backlog.extend(self.store.read().grants().map(|(no, _)| no));
    }

    fn reshape(&self) {
        let shapes = shapes(&self.store.read());
        self.desk.view_mut().set_shapes(shapes);
    }

    fn work_off(&mut self) {
        let turn: Vec<GrantNo> = self.backlog.iter().take(GRANTS_PER_TURN_MAX).copied().collect();
        self.bring_up(&turn);
    }

    /// Serves these grants as the records have them now.
    fn bring_up(&mut self, numbers: &[GrantNo]) {
        let views: Vec<(GrantNo, Option<GrantView>)> = {
            let records = self.store.read();
            numbers.iter().map(|no| (*no, records.grant_view(*no))).collect()
        };
        let now = self.desk.clock.now();
        self.plan(&views, now);
        let mut view = self.desk.view_mut();
        for (no, grant) in views {
            self.backlog.remove(&no);
            match grant {
                Some(GrantView { plan, naming, .. }) => view.put(no, plan, naming, now),
                None => view.remove(no),
            }
        }
    }

    fn plan(&mut self, views: &[(GrantNo, Option<GrantView>)], now: UnixTime) {
        let Some((planner, table)) = &mut self.planned else { return };
        let keys = self.desk.view().keys().clone();
        for (no, grant) in views {
            let turn: Turn = match grant {
                Some(grant) => planner.put(*no, grant.plan.clone(), &keys, now),
                None => planner.remove(*no),
            };
            table.apply(&turn);
        }
    }

    fn acknowledge(&self) {
        if self.backlog.is_empty() {
            self.watch.applied(self.revision);
        }
    }
}

/// One shape per distinct schedule and pools: of each service as ordinary clients and as agents meet it.
fn shapes(records: &Records) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::new();
    for service in records.services() {
        let Some(schedule) = records.schedule(&service.schedule) else { continue };
        let pools: Arc<[Pool]> = service.pools.iter().filter_map(|name| pool(records, name)).collect();
        for class in [Class::Name, Class::Agent] {
            let since = |index: usize, from| if index == 0 { UnixTime::ZERO } else { from };
            let versions = schedule.versions.iter().enumerate();
            let terms = versions.map(|(index, version)| Term {
                from: since(index, version.from),
                generation: 0,
                schedule: version.of(class),
                cut: Cut::Grace,
            });
            let shape = Shape { terms: terms.collect(), pools: Arc::clone(&pools) };
            if shapes.len() < SHAPES_MAX && !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
    }
    shapes
}

/// The pool as grants have it.
fn pool(records: &Records, name: &Name) -> Option<Pool> {
    let range = records.pool(name)?.range.parse().ok()?;
    Some(Pool { id: name.as_str().into(), range })
}
