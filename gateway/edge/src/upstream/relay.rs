//! Wake-ups between the fabric's thread and a worker's, gathered both ways: however many streams became ready there, the
//! worker is woken once, and however many requests it sent in one go, the fabric is. Waking a task of another thread's
//! runtime is a system call each, and where cores are few a switch as well; a busy lane brings answers for many.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use fabric::Gather;

/// One worker's; what it holds is bounded by the worker's streams and the fabric's lanes.
#[derive(Default)]
pub(super) struct Relay(Mutex<State>);

#[derive(Default)]
struct State {
    /// Who is to be woken: a task of the worker's, or a driver of the fabric's.
    woken: Vec<Waker>,
    /// Of the task that does it.
    carrier: Option<Waker>,
    /// That task is gone: everybody is woken at once.
    is_over: bool,
}

/// What the carrying task leaves behind.
struct Carrying(Arc<Relay>);

/// Somebody who waits for a stream: with a waker of the relay's, made anew only when the task is another.
pub(super) struct Waiting {
    relay: Arc<Relay>,
    last: Option<(Waker, Waker)>,
}

struct Hop {
    relay: Arc<Relay>,
    to: Waker,
}

impl Relay {
    /// Carries wake-ups for ever, on the runtime of those who wait; and from its thread to the fabric.
    pub(super) async fn run(self: Arc<Self>) {
        let gather: Arc<dyn Gather> = Arc::<Self>::clone(&self);
        fabric::gather_here(Arc::downgrade(&gather));
        drop(gather);
        let _carrying = Carrying(Arc::clone(&self));
        let mut woken = Vec::new();
        poll_fn(|cx| self.poll(&mut woken, cx)).await;
    }

    fn poll(&self, woken: &mut Vec<Waker>, cx: &Context<'_>) -> Poll<()> {
        {
            let mut state = self.lock();
            mem::swap(&mut state.woken, woken);
            if !state.carrier.as_ref().is_some_and(|carrier| carrier.will_wake(cx.waker())) {
                state.carrier = Some(cx.waker().clone());
            }
        }
        woken.drain(..).for_each(Waker::wake);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gather for Relay {
    fn take(&self, waker: Waker) {
        let now = {
            let mut state = self.lock();
            match (state.is_over, state.woken.is_empty()) {
                (true, _) => Some(waker),
                (false, is_first) => {
                    state.woken.push(waker);
                    // The first one wakes the carrier, which takes all that came until it looks.
                    state.carrier.clone().filter(|_| is_first)
                }
            }
        };
        now.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        let left = {
            let mut state = self.0.lock();
            state.is_over = true;
            mem::take(&mut state.woken)
        };
        left.into_iter().for_each(Waker::wake);
    }
}

impl Waiting {
    pub(super) fn new(relay: &Arc<Relay>) -> Self {
        Self { relay: Arc::clone(relay), last: None }
    }

    /// The waker to wait with for what wakes `to`.
    pub(super) fn waker(&mut self, to: &Waker) -> &Waker {
        let last = self.last.take().filter(|(known, _)| known.will_wake(to));
        let hop = || Hop { relay: Arc::clone(&self.relay), to: to.clone() };
        let last = last.unwrap_or_else(|| (to.clone(), Waker::from(Arc::new(hop()))));
        &self.last.insert(last).1
    }
}

impl Wake for Hop {
    fn wake(self: Arc<Self>) {
        self.relay.take(self.to.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counted {
        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn many_wake_ups_wake_the_carrier_once_and_then_each_of_those_who_wait() {
        let (relay, carrier) = (Arc::new(Relay::default()), Arc::new(Counted::default()));
        let (mut woken, waker) = (Vec::new(), Waker::from(Arc::clone(&carrier)));
        let cx = Context::from_waker(&waker);
        assert!(relay.poll(&mut woken, &cx).is_pending());
        let waiting: Vec<Arc<Counted>> = (0..5).map(|_| Arc::default()).collect();
        for who in &waiting {
            Waiting::new(&relay).waker(&Waker::from(Arc::clone(who))).wake_by_ref();
        }
        assert_eq!(carrier.count(), 1);
        assert!(waiting.iter().all(|who| who.count() == 0));
        assert!(relay.poll(&mut woken, &cx).is_pending());
        assert!(waiting.iter().all(|who| who.count() == 1));
        Waiting::new(&relay).waker(&Waker::from(Arc::clone(&waiting[0]))).wake_by_ref();
        assert_eq!(carrier.count(), 2);
    }

    #[test]
    fn what_was_woken_before_the_carrier_first_looks_is_not_lost() {
        let (relay, who) = (Arc::new(Relay::default()), Arc::new(Counted::default()));
        Waiting::new(&relay).waker(&Waker::from(Arc::clone(&who))).wake_by_ref();
        assert!(relay.poll(&mut Vec::new(), &Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(who.count(), 1);
    }

    #[test]
    fn when_the_carrier_is_gone_nobody_waits_for_it() {
        let (relay, who) = (Arc::new(Relay::default()), Arc::new(Counted::default()));
        relay.take(Arc::clone(&who).into());
        drop(Carrying(Arc::clone(&relay)));
        assert_eq!(who.count(), 1);
        relay.take(Arc::clone(&who).into());
        assert_eq!(who.count(), 2);
    }

    #[test]
    fn a_waker_is_kept_for_the_same_task_and_made_anew_for_another() {
        let relay = Arc::new(Relay::default());
        let (one, other) =
            (Waker::from(Arc::new(Counted::default())), Waker::from(Arc::new(Counted::default())));
        let mut waiting = Waiting::new(&relay);
        let first = waiting.waker(&one).clone();
        assert!(waiting.waker(&one).will_wake(&first));
        assert!(!waiting.waker(&other).will_wake(&first));
    }
}
