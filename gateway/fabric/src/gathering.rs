//! Wake-ups of lanes' drivers that wait for a moment, so that those of many streams become one.
//!
//! A driver runs on the fabric's own thread. To wake it from another is a system call, and where cores are few a switch of
//! threads for each stream that has something to send. A worker that serves many streams in one go asks for its wake-ups to
//! be gathered, and carries them out when it has gone through what it had to do.

use std::cell::RefCell;
use std::sync::Weak;
use std::task::Waker;

/// Takes the wake-ups of one thread. Whoever it is, it wakes them soon: streams wait for that.
pub trait Gather: Send + Sync {
    fn take(&self, waker: Waker);
}

thread_local! {
    static HERE: RefCell<Option<Weak<dyn Gather>>> = const { RefCell::new(None) };
}

/// From now on, wake-ups by streams that are used on this thread go by way of `gather`, as long as that exists.
pub fn gather_here(gather: Weak<dyn Gather>) {
    HERE.with_borrow_mut(|here| *here = Some(gather));
}

/// Wakes a driver, by way of this thread's gatherer if it has one.
pub(crate) fn wake(driver: Waker) {
    // A thread that is about to end has no gatherer any more.
    let gather = HERE.try_with(|here| here.borrow().as_ref().and_then(Weak::upgrade));
    match gather.ok().flatten() {
        Some(gather) => gather.take(driver),
        None => driver.wake(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<Waker>>);

    impl Gather for Kept {
        fn take(&self, waker: Waker) {
            self.0.lock().unwrap().push(waker);
        }
    }

    #[test]
    fn wake_ups_wait_with_their_threads_gatherer_and_with_no_other_and_not_when_it_is_gone() {
        let (driver, kept) = (Arc::new(Counted::default()), Arc::new(Kept::default()));
        let count = || driver.0.load(Ordering::Relaxed);
        let by: Arc<dyn Gather> = Arc::<Kept>::clone(&kept);
        gather_here(Arc::downgrade(&by));
        drop(by);
        wake(Arc::clone(&driver).into());
        assert_eq!((count(), kept.0.lock().unwrap().len()), (0, 1));
        std::thread::scope(|scope| drop(scope.spawn(|| wake(Arc::clone(&driver).into()))));
        assert_eq!(count(), 1);
        drop(kept);
        wake(Arc::clone(&driver).into());
        assert_eq!(count(), 2);
    }
}
