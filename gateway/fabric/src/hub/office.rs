//! What a hub is at the moment, as its door and its status read it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::election::{Reason, Standing, Term};
use crate::fence::Fence;

/// What an active has.
#[derive(Clone)]
pub(super) struct Office {
    /// Until when its lanes may move bytes.
    pub(super) fence: Fence,
    /// What it shows in a Welcome.
    pub(super) mandate: Bytes,
}

/// Standing and what goes with it.
pub(super) struct Post {
    pub(super) standing: Standing,
    pub(super) term: Term,
    /// Who is active, if known.
    pub(super) active: Option<String>,
    /// Only of an active.
    pub(super) held: Option<Office>,
}

/// Written by the election, read by all.
pub(super) struct Chair {
    post: ArcSwap<Post>,
    elections: AtomicU64,
    reason: Mutex<Option<Reason>>,
}

impl Chair {
    /// Nobody's.
    pub(super) fn vacant() -> Self {
        let post = Post { standing: Standing::Standby, term: 0, active: None, held: None };
        Self { post: ArcSwap::from_pointee(post), elections: AtomicU64::new(0), reason: Mutex::default() }
    }

    pub(super) fn post(&self) -> Arc<Post> {
        self.post.load_full()
    }

    /// Only the election's shell calls it, from one place at a time.
    pub(super) fn change(&self, post: Post) {
        let old = self.post.swap(Arc::new(post));
        let new = self.post.load();
        if new.active.is_some() && (&new.active, new.term) != (&old.active, old.term) {
            self.elections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes the fence first of all.
    pub(super) fn vacate(&self, reason: Reason) {
        let old = self.post();
        old.held.iter().for_each(|held| held.fence.close());
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.change(Post { standing: Standing::Standby, term: old.term, active: None, held: None });
    }

    /// Times that an active was seen to begin, itself included, or to get a new term.
    pub(super) fn elections(&self) -> u64 {
        self.elections.load(Ordering::Relaxed)
    }

    /// Why this hub was last active no more.
    pub(super) fn reason(&self) -> Option<Reason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
