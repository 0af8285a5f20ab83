//! Rate cells in fixed memory, for keys that strangers choose: spraying new networks costs us no byte.
//!
//! Two rows; a key has one cell in each, and the emptier of the two counts. So a quiet key is refused only when
//! *both* its cells are shared with loud ones: with `n` loud keys and rows of `r` cells, with a probability of
//! about `(1 - e^(-n/r))²`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::nanos::Nanos;
use governor::state::StateStore;

use crate::prefix::PrefixKey;

/// The cells: theoretical arrival times of GCRA in nanoseconds, 0 for never used.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    cells: Arc<[AtomicU64]>,
}

impl Sketch {
    /// `cells` is rounded up to a power of two, at least 4. All memory is taken here.
    pub(crate) fn new(cells: usize) -> Self {
        let cells = cells.next_power_of_two().max(4);
        Self { cells: (0..cells).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn cells(&self) -> usize {
        self.cells.len()
    }

    fn pair(&self, key: PrefixKey) -> (&AtomicU64, &AtomicU64) {
        let row = self.cells.len() / 2;
        let first = key.0 as u32 as usize & (row - 1);
        let second = (key.0 >> 32) as usize & (row - 1);
        (&self.cells[first], &self.cells[row + second])
    }
}

/// Spends from the sketch.
#[derive(Debug)]
pub(crate) struct Charge(pub(crate) Sketch);

impl StateStore for Charge {
    type Key = PrefixKey;

    /// Of threads that race for one key, each row may let one win; a limit is never passed by more than twofold.
    fn measure_and_replace<T, F, E>(&self, key: &PrefixKey, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (a, b) = self.0.pair(*key);
        loop {
            let (in_a, in_b) = (a.load(Ordering::Acquire), b.load(Ordering::Acquire));
            let (lower, other, seen) = if in_a <= in_b { (a, b, in_a) } else { (b, a, in_b) };
            let (out, next) = f(stored(seen))?;
            let next = next.as_u64();
            if lower.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                other.fetch_max(next, Ordering::AcqRel);
                return Ok(out);
            }
        }
    }
}

/// Asks the sketch and spends nothing.
#[derive(Debug)]
pub(crate) struct Look(pub(crate) Sketch);

impl StateStore for Look {
    type Key = PrefixKey;

    fn measure_and_replace<T, F, E>(&self, key: &PrefixKey, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (a, b) = self.0.pair(*key);
        let lower = a.load(Ordering::Acquire).min(b.load(Ordering::Acquire));
        f(stored(lower)).map(|(out, _)| out)
    }
}

/// GCRA on one exact cell.
pub(crate) fn charge_cell<T, F, E>(cell: &AtomicU64, f: F) -> Result<T, E>
where
    F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
{
    let mut seen = cell.load(Ordering::Acquire);
    loop {
        let (out, next) = f(stored(seen))?;
        match cell.compare_exchange_weak(seen, next.as_u64(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(out),
            Err(changed) => seen = changed,
        }
    }
}

pub(crate) fn stored(cell: u64) -> Option<Nanos> {
    (cell != 0).then(|| Nanos::new(cell))
}
