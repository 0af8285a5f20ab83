//! Exact rate cells for keys that we give out ourselves: one per lease number, and one for everybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::bounds::{LEASES_EXACT_MAX, LEASES_PAGE};
use crate::sketch::{charge_cell, stored};

type Page = OnceLock<Box<[AtomicU64]>>;

/// Cells by lease number, in pages made on first use: exact, lock-free, nothing to tidy, at most
/// `LEASES_EXACT_MAX` × 8 bytes. A number given to a new grant inherits what its predecessor spent, which a burst's
/// time makes good.
#[derive(Debug, Clone)]
pub(crate) struct LeaseCells {
    pages: Arc<[Page]>,
}

impl LeaseCells {
    pub(crate) fn new() -> Self {
        Self { pages: (0..LEASES_EXACT_MAX / LEASES_PAGE).map(|_| Page::new()).collect() }
    }

    /// Cells made so far.
    pub(crate) fn cells(&self) -> usize {
        self.pages.iter().filter(|p| p.get().is_some()).count() * LEASES_PAGE as usize
    }

    fn place(number: u32) -> (usize, usize) {
        let number = number % LEASES_EXACT_MAX;
        ((number / LEASES_PAGE) as usize, (number % LEASES_PAGE) as usize)
    }
}

/// Spends from the cells of leases.
#[derive(Debug)]
pub(crate) struct ChargeLease(pub(crate) LeaseCells);

impl StateStore for ChargeLease {
    type Key = u32;

    fn measure_and_replace<T, F, E>(&self, number: &u32, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (page, at) = LeaseCells::place(*number);
        let cells = self.0.pages[page].get_or_init(|| (0..LEASES_PAGE).map(|_| AtomicU64::new(0)).collect());
        charge_cell(&cells[at], f)
    }
}

/// Asks the cells of leases and spends nothing.
#[derive(Debug)]
pub(crate) struct LookLease(pub(crate) LeaseCells);

impl StateStore for LookLease {
    type Key = u32;

    fn measure_and_replace<T, F, E>(&self, number: &u32, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (page, at) = LeaseCells::place(*number);
        let seen = self.0.pages[page].get().map_or(0, |cells| cells[at].load(Ordering::Acquire));
        f(stored(seen)).map(|(out, _)| out)
    }
}

/// The one cell of a budget that everybody shares.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedCell(Arc<AtomicU64>);

/// Spends from the shared cell.
#[derive(Debug)]
pub(crate) struct ChargeShared(pub(crate) SharedCell);

impl StateStore for ChargeShared {
    type Key = ();

    fn measure_and_replace<T, F, E>(&self, _: &(), f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        charge_cell(&self.0.0, f)
    }
}

/// Asks the shared cell and spends nothing.
#[derive(Debug)]
pub(crate) struct LookShared(pub(crate) SharedCell);

impl StateStore for LookShared {
    type Key = ();

    fn measure_and_replace<T, F, E>(&self, _: &(), f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        f(stored(self.0.0.load(Ordering::Acquire))).map(|(out, _)| out)
    }
}
