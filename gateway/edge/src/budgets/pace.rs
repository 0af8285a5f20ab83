//! The bytes of one connection: counted against its lease, and slowed when that is spent. Never cut. Pure.

use std::sync::Arc;
use std::time::Duration;

use defense::Moment;

use super::{Direction, Purse};

/// One connection's pace. It takes quanta from its lease's purse, so that small messages touch nothing that cores share.
#[derive(Debug)]
pub struct Pace {
    purse: Arc<Purse>,
    ways: [Way; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// Bytes that are paid for.
    credit: u64,
    /// Nothing more may move before.
    rests_until: Option<Moment>,
}

impl Pace {
    pub fn new(purse: Arc<Purse>) -> Self {
        Self { purse, ways: Default::default() }
    }

    /// Bytes have moved. `now` is asked for only when the credit is used up.
    pub fn moved(&mut self, direction: Direction, bytes: usize, now: impl FnOnce() -> Moment) {
        let way = &mut self.ways[direction as usize];
        let bytes = bytes as u64;
        if let Some(left) = way.credit.checked_sub(bytes) {
            way.credit = left;
            return;
        }
        let (owed, now) = (bytes - way.credit, now());
        let charged = owed.max(self.purse.quantum(direction));
        let wait = self.purse.charge(direction, charged, now);
        way.credit = charged - owed;
        way.rests_until = (wait > 0).then(|| now.plus_nanos(wait));
    }

    /// How long that way has to rest before more may move; `None`: go on. `now` is asked for only while it rests.
    pub fn rest(&mut self, direction: Direction, now: impl FnOnce() -> Moment) -> Option<Duration> {
        let way = &mut self.ways[direction as usize];
        let left = way.rests_until?.nanos_since(now());
        if left == 0 {
            way.rests_until = None;
            return None;
        }
        Some(Duration::from_nanos(left))
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        for direction in [Direction::In, Direction::Out] {
            let credit = self.ways[direction as usize].credit;
            if credit > 0 {
                self.purse.refund(direction, credit);
            }
        }
    }
}
