//! Bytes in order: large slices kept as they came, small ones copied together. Pure.
//!
//! A slice of a read buffer keeps the whole buffer alive, so a queue of many small slices would hold far more memory than
//! its length. Slices under [`COPY_BELOW`] are copied into a tail; the memory held stays within a small multiple of `len`.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::bounds::COPY_BELOW;

/// A queue of bytes; its owner bounds its length.
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    slices: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW {
            return self.push_copy(&bytes);
        }
        self.length += bytes.len();
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
        self.slices.push_back(bytes);
    }

    pub(crate) fn push_copy(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    /// Takes up to `most` bytes in one piece; empty only if the queue is.
    pub(crate) fn pop(&mut self, most: usize) -> Bytes {
        let taken = match self.slices.front_mut() {
            Some(front) if front.len() > most => front.split_to(most),
            Some(_) => self.slices.pop_front().unwrap_or_default(),
            None if self.tail.len() > most => self.tail.split_to(most).freeze(),
            None => std::mem::take(&mut self.tail).freeze(),
        };
        self.length -= taken.len();
        taken
    }

    /// Copies what fits into `room`, and says how much that was.
    pub(crate) fn copy_into(&mut self, room: &mut impl BufMut) -> usize {
        let mut copied = 0;
        while room.has_remaining_mut() && !self.is_empty() {
            copied += match self.slices.front_mut() {
                Some(front) => {
                    let count = move_bytes(front, room);
                    if front.is_empty() {
                        self.slices.pop_front();
                    }
                    count
                }
                None => move_bytes(&mut self.tail, room),
            };
            if self.slices.is_empty() && self.tail.is_empty() {
                break;
            }
        }
        self.length -= copied;
        copied
    }

    /// Forgets the first `count` bytes; what is empty then holds no memory.
    pub(crate) fn discard(&mut self, count: usize) {
        let mut left = count.min(self.length);
        self.length -= left;
        while let Some(front) = self.slices.front_mut() {
            if front.len() > left {
                return front.advance(left);
            }
            left -= front.len();
            self.slices.pop_front();
        }
        self.tail.advance(left);
        if self.length == 0 {
            *self = Self::default();
        }
    }

    /// Up to `most` bytes from `offset`, in one piece, without taking them; empty only if there are none.
    pub(crate) fn peek(&mut self, offset: usize, most: usize) -> Bytes {
        if !self.tail.is_empty() {
            self.slices.push_back(self.tail.split().freeze());
        }
        let mut before = offset;
        for slice in &self.slices {
            if slice.len() > before {
                return slice.slice(before..slice.len().min(before.saturating_add(most)));
            }
            before -= slice.len();
        }
        Bytes::new()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn move_bytes(from: &mut impl Buf, room: &mut impl BufMut) -> usize {
    let count = from.remaining().min(room.remaining_mut());
    room.put(from.take(count));
    count
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_they_came(
            steps in vec((0usize..6, 1usize..3 * COPY_BELOW), 1..60)
        ) {
            let (mut queue, mut model, mut next) = (ByteQueue::default(), VecDeque::new(), 0u8);
            for (step, size) in steps {
                let mut fresh = || -> Vec<u8> { (0..size).map(|_| { next = next.wrapping_mul(31).wrapping_add(7); next }).collect() };
                match step {
                    0 => { let bytes = fresh(); model.extend(bytes.iter().copied()); queue.push(bytes.into()); }
                    1 => { let bytes = fresh(); model.extend(bytes.iter().copied()); queue.push_copy(&bytes); }
                    2 => {
                        let got = queue.pop(size);
                        prop_assert_eq!(got.is_empty(), model.is_empty());
                        prop_assert!(got.len() <= size);
                        prop_assert!(got.iter().copied().eq(model.drain(..got.len())));
                    }
                    3 => {
                        queue.discard(size);
                        model.drain(..size.min(model.len()));
                    }
                    4 => {
                        let offset = size % (model.len() + 1);
                        let got = queue.peek(offset, size);
                        prop_assert_eq!(got.is_empty(), offset == model.len());
                        prop_assert!(got.len() <= size);
                        prop_assert!(got.iter().eq(model.iter().skip(offset).take(got.len())));
                    }
                    _ => {
                        let mut room = vec![0; size];
                        let copied = queue.copy_into(&mut &mut room[..]);
                        prop_assert_eq!(copied, size.min(model.len()));
                        prop_assert!(room[..copied].iter().copied().eq(model.drain(..copied)));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}
