//! One budget: governor's GCRA over our cells and our clock, to be looked at and to be spent from.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{NotUntil, RateLimiter};

use crate::clock::{Latest, LimiterClock};
use crate::limits::Rate;

pub(crate) type Limiter<S> = RateLimiter<<S as StateStore>::Key, S, LimiterClock, NoOpMiddleware<Nanos>>;

#[derive(Clone, Copy)]
pub(crate) enum Step {
    Look,
    Charge,
}

/// One budget, seen twice: a limiter that only looks, and one that spends, over the same cells.
pub(crate) struct Gate<L: StateStore, C: StateStore> {
    look: Limiter<L>,
    charge: Limiter<C>,
}

impl<L, C> Gate<L, C>
where
    L: StateStore,
    C: StateStore<Key = L::Key>,
    L::Key: std::hash::Hash + Eq + Clone,
{
    pub(crate) fn new(rate: Rate, look: L, charge: C, latest: &Latest) -> Self {
        Self { look: limiter(rate, look, latest), charge: limiter(rate, charge, latest) }
    }

    /// Milliseconds to wait (rounded up), if the budget is used up.
    pub(crate) fn step(&self, step: Step, key: &L::Key) -> Option<u64> {
        match step {
            Step::Look => self.look.check_key(key).err().map(|e| wait_ms(&e, self.look.clock())),
            Step::Charge => self.charge.check_key(key).err().map(|e| wait_ms(&e, self.charge.clock())),
        }
    }
}

pub(crate) fn limiter<S: StateStore>(rate: Rate, store: S, latest: &Latest) -> Limiter<S> {
    let limiter = Limiter::new(rate.quota(), store, LimiterClock::at_zero(latest));
    limiter.clock().start();
    limiter
}

fn wait_ms(not_until: &NotUntil<Nanos>, clock: &LimiterClock) -> u64 {
    let nanos = not_until.wait_time_from(clock.now()).as_nanos();
    u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
