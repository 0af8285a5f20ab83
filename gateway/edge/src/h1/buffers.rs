//! What was read from a connection and not used yet, and what is to be written to it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::bounds::{COPY_MAX, READ_BYTES, WRITE_PIECES};

/// Bytes that were read and not used yet.
#[derive(Debug, Default)]
pub struct Inbox {
    pub unread: BytesMut,
    /// What came last was much: what comes next is read to where it will lie.
    is_bulk: bool,
}

impl Inbox {
    /// Reads more. Zero bytes: the end.
    ///
    /// Little is read by way of the stack, so that who waits for it holds no memory but for what it has: most
    /// connections wait, and some attackers send a byte at a time.
    pub fn poll_read<Io: AsyncRead + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let count = if self.is_bulk {
            self.unread.reserve(READ_BYTES);
            ready!(poll_read_buf(Pin::new(io), cx, &mut self.unread))?
        } else {
            let mut scratch = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            self.unread.extend_from_slice(buffer.filled());
            buffer.filled().len()
        };
        self.is_bulk = count >= READ_BYTES / 4;
        Poll::Ready(Ok(count))
    }

    /// Gives its memory back, if nothing is in it.
    pub fn release(&mut self) {
        if self.unread.is_empty() {
            *self = Self::default();
        }
    }
}

/// Bytes on their way out: small pieces copied together, large ones as they are.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Bytes>,
    /// Behind the queue.
    flat: BytesMut,
    length: usize,
}

impl Outbox {
    pub fn len(&self) -> usize {
        self.length + self.flat.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn copy(&mut self, bytes: &[u8]) {
        self.flat.extend_from_slice(bytes);
    }

    pub fn copy_hex(&mut self, number: usize) {
        // Writing to memory can't fail.
        let _ = write!((&mut self.flat).writer(), "{number:x}");
    }

    /// Where a head is written.
    pub fn flat(&mut self) -> &mut BytesMut {
        &mut self.flat
    }

    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            return self.copy(&bytes);
        }
        if !self.flat.is_empty() {
            let flat = self.flat.split().freeze();
            self.length += flat.len();
            self.queue.push_back(flat);
        }
        self.length += bytes.len();
        self.queue.push_back(bytes);
    }

    /// Writes until nothing is left, and flushes.
    pub fn poll_write<Io: AsyncWrite + Unpin>(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.queue.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.flat))?
            } else {
                let mut slices = [IoSlice::new(&[]); WRITE_PIECES];
                let count = self.slices(&mut slices);
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(io).poll_flush(cx)
    }

    /// Gives its memory back, if nothing is in it.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; WRITE_PIECES]) -> usize {
        let all = self.queue.iter().map(|bytes| &bytes[..]).chain([&self.flat[..]]);
        let all = all.filter(|bytes| !bytes.is_empty()).map(IoSlice::new);
        slices.iter_mut().zip(all).map(|(slot, slice)| *slot = slice).count()
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.queue.front_mut() {
            let taken = written.min(first.len());
            self.length -= taken;
            written -= taken;
            if taken < first.len() {
                return first.advance(taken);
            }
            self.queue.pop_front();
        }
        self.flat.advance(written);
    }
}

/// A connection, and what was read of it before: it comes first.
#[derive(Debug)]
pub struct Joined<Io> {
    early: BytesMut,
    io: Io,
}

impl<Io> Joined<Io> {
    pub fn new(early: BytesMut, io: Io) -> Self {
        Self { early, io }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Joined<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(length));
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Joined<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
