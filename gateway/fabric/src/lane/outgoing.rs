//! Frames gathered for one write: small ones copied together, large payloads by reference.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::bounds::{WRITE_BATCH, WRITE_SLICES};
use crate::wire::{Frame, data_header};

/// Payloads under this are copied, bytes.
const COPIED: usize = 2 * 1024;
const ARENA: usize = 16 * 1024;

/// Bytes on their way to the socket.
#[derive(Default)]
pub(super) struct Outgoing {
    arena: BytesMut,
    slices: VecDeque<Bytes>,
    length: usize,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.length >= WRITE_BATCH
    }

    pub(super) fn push(&mut self, frame: Frame) {
        if self.arena.capacity() - self.arena.len() < COPIED + 1024 {
            self.seal();
            self.arena.reserve(ARENA);
        }
        let before = self.arena.len();
        match frame {
            Frame::Data { stream, payload } if payload.len() >= COPIED => {
                data_header(&mut self.arena, stream, payload.len());
                self.length += self.arena.len() - before + payload.len();
                self.seal();
                self.slices.push_back(payload);
            }
            frame => {
                frame.encode(&mut self.arena);
                self.length += self.arena.len() - before;
            }
        }
    }

    /// Makes everything pushed visible to [`Outgoing::slices`].
    pub(super) fn seal(&mut self) {
        if !self.arena.is_empty() {
            self.slices.push_back(self.arena.split().freeze());
        }
    }

    pub(super) fn slices<'a>(&'a self, room: &mut [IoSlice<'a>; WRITE_SLICES]) -> usize {
        let count = self.slices.len().min(WRITE_SLICES);
        for (slot, slice) in room.iter_mut().zip(&self.slices) {
            *slot = IoSlice::new(slice);
        }
        count
    }

    pub(super) fn advance(&mut self, mut written: usize) {
        self.length -= written;
        while let Some(front) = self.slices.front_mut() {
            if front.len() > written {
                return front.advance(written);
            }
            written -= front.len();
            self.slices.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
