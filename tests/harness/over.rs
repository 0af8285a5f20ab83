//! A word to threads that go on until something is over. It is said at the latest when the test fails: else the test would
//! wait for them for ever.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub struct Over(AtomicBool);

/// Says it when it is dropped.
pub struct Then<'o>(&'o Over);

impl Over {
    pub fn is_said(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// To be held while it is not over.
    pub fn until_dropped(&self) -> Then<'_> {
        Then(self)
    }
}

impl Drop for Then<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}
