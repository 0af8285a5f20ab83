//! Stream ids: parity by side, always ahead, wrapping. Pure.

use std::hash::{BuildHasher, Hasher};

/// Which end of the lane's connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We dialed: our ids are odd.
    Dialer,
    /// We listened: our ids are even.
    Listener,
}

impl Side {
    /// The far end's.
    pub fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// The last id of each side.
#[derive(Debug)]
pub(super) struct Ids {
    side: Side,
    ours: u32,
    theirs: u32,
}

impl Ids {
    pub(super) fn new(side: Side) -> Self {
        match side {
            Side::Dialer => Self { side, ours: u32::MAX, theirs: 0 },
            Side::Listener => Self { side, ours: 0, theirs: u32::MAX },
        }
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ours: u32, theirs: u32) {
        (self.ours, self.theirs) = (ours, theirs);
    }

    /// Our next id, past those that are still in use after a wrap. The table is far smaller than the id space.
    pub(super) fn next(&mut self, in_use: impl Fn(u32) -> bool) -> u32 {
        loop {
            self.ours = self.ours.wrapping_add(2);
            if self.ours != 0 && !in_use(self.ours) {
                return self.ours;
            }
        }
    }

    pub(super) fn is_ours(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.side == Side::Dialer)
    }

    /// Takes the far side's new id, or finds it out of order.
    pub(super) fn admit(&mut self, id: u32) -> bool {
        let fits = id != 0 && !self.is_ours(id) && ahead(id, self.theirs);
        if fits {
            self.theirs = id;
        }
        fits
    }

    /// Could a stream of this id have existed?
    pub(super) fn was_opened(&self, id: u32) -> bool {
        !ahead(id, if self.is_ours(id) { self.ours } else { self.theirs })
    }
}

/// Is `id` ahead of `last`, by less than half of the id space?
fn ahead(id: u32, last: u32) -> bool {
    let distance = id.wrapping_sub(last);
    distance != 0 && distance < 1 << 31
}

/// Hashes ids by one multiplication. A far side that chose colliding ids would slow only its own lane, and at most as far
/// as the bound of the table goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SpreadIds(u64);

impl BuildHasher for SpreadIds {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for SpreadIds {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        let product = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = product ^ (product >> 32);
    }
}
