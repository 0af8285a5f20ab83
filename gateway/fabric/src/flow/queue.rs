//! Datagrams that wait, bounded in bytes; whoever does not find room loses its own.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::bounds::{FLOW_QUEUE, FLOW_QUEUE_COUNT};

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    datagrams: VecDeque<Bytes>,
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    /// False: there was no room, or nobody takes any more.
    pub(super) fn push(&self, datagram: Bytes) -> bool {
        let mut waiting = self.lock();
        let has_room = waiting.datagrams.is_empty() || waiting.bytes + datagram.len() <= FLOW_QUEUE;
        if waiting.is_closed || !has_room || waiting.datagrams.len() >= FLOW_QUEUE_COUNT {
            return false;
        }
        waiting.bytes += datagram.len();
        waiting.datagrams.push_back(datagram);
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    /// The oldest, as soon as there is one; `None` once closed and empty. For one taker at a time.
    pub(super) async fn pop(&self) -> Option<Bytes> {
        loop {
            {
                let mut waiting = self.lock();
                if let Some(datagram) = waiting.take() {
                    return Some(datagram);
                }
                if waiting.is_closed {
                    self.arrived.notify_one();
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The oldest, if there is one.
    pub(super) fn try_pop(&self) -> Option<Bytes> {
        self.lock().take()
    }

    /// Nothing more comes in; what waits may still be taken.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Bytes> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.len();
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes_and_in_number_and_keeps_the_oldest() {
        let queue = Queue::default();
        let half = Bytes::from(vec![1; FLOW_QUEUE / 2]);
        assert!(queue.push(half.clone()) && queue.push(half.clone()));
        assert!(!queue.push(Bytes::from_static(b"x")), "no byte more");
        assert!(queue.pop().await.is_some() && queue.push(Bytes::from_static(b"x")));
        queue.close();
        assert!(!queue.push(Bytes::new()));
        assert_eq!(
            (queue.pop().await, queue.pop().await),
            (Some(half.clone()), Some(Bytes::from_static(b"x")))
        );
        assert_eq!((queue.pop().await, queue.pop().await), (None, None));

        let queue = Queue::default();
        assert!((0..FLOW_QUEUE_COUNT).all(|_| queue.push(Bytes::new())));
        assert!(!queue.push(Bytes::new()), "no datagram more, however small");
        assert_eq!(queue.pop().await, Some(Bytes::new()));
        assert!(queue.try_pop().is_some() && queue.push(half.clone()) && queue.push(half));
        assert_eq!(std::iter::from_fn(|| queue.try_pop()).count(), FLOW_QUEUE_COUNT);
        assert!(queue.push(Bytes::new()), "what was taken leaves its room");
    }
}
