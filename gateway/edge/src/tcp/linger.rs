//! A lingering close: an answer that ends a connection early must not be destroyed by what the client still sends.
//!
//! A socket that is closed with unread bytes is reset, and so is one to which bytes still come; the reset overtakes the
//! answer. So what comes is read and thrown away until the client closes too, for a moment and within a bound.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::bounds::{LINGER_BYTES_MAX, LINGER_MAX};

/// What is left of a connection that is being closed.
#[derive(Default)]
pub struct Linger {
    thrown_away: usize,
    /// Set when the waiting begins.
    ends: Option<Pin<Box<Sleep>>>,
}

impl Linger {
    /// Ready when nothing more is to be waited for. Call it after the write side was shut down.
    pub fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 4096];
        while self.thrown_away < LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.thrown_away += buffer.filled().len();
                }
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    let ends = self.ends.get_or_insert_with(|| Box::pin(sleep(LINGER_MAX)));
                    return ends.as_mut().poll(cx);
                }
            }
        }
        Poll::Ready(())
    }
}
