//! A stream to a service, as the gateway's owner has it: bytes, whatever carries them.
//!
//! Every byte stream is a session with the local hub ([`crate::session`]), so it survives the loss of what is between them:
//! a lane, a link, a hub, a whole plane, as long as another way is there within [`RESUME_DEADLINE`]. Nothing of the protocol
//! inside is known or needed: TLS, HTTP, ssh, databases, everything that speaks over TCP goes on as after a pause of the
//! network, byte for byte. UDP flows go on with a gap: their datagrams under way are lost, as UDP allows.
//!
//! What cannot be survived is the death of one of the two ends: of the edge's process, because the user's own connection and
//! what it had not yet sent die with it, and of the local hub's, because the connection to the service does. Then the
//! living end learns a reason; it never sees an end that nobody said.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use crate::bounds::{RESUME_DEADLINE, WRITE_SLICES};
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::refusal::Refusal;

mod end;
mod resume;

use end::End;
pub(crate) use end::{Subject, level};
pub(crate) use resume::{Asking, Carried, Home, Resumer};

/// A stream to a service. Works on any runtime.
///
/// `shutdown` ends our direction (Fin) and returns when all bytes before it are with a lane; the other direction lives on.
/// Dropping resets the stream ([`Refusal::Cancelled`] at the far side), but what was shut down before is delivered. Errors
/// carry a [`Refusal`] ([`Refusal::of`]). An end of file is always the far side's Fin: a stream that was cut short ends with
/// an error. While a lost carrier is being replaced, reads and writes wait, at most [`RESUME_DEADLINE`].
pub struct FabricStream {
    end: Arc<End>,
    /// It belongs to nobody, and only delivers what was shut down.
    lingers: bool,
}

impl FabricStream {
    /// A session whose far end is at `subject.at`, on its first carrier.
    pub(crate) fn new(subject: Subject, carrier: LaneStream, home: Arc<dyn Home>) -> Self {
        Self { end: End::new(subject, carrier, home), lingers: false }
    }

    /// The class of the lanes that carry it.
    pub fn class(&self) -> Class {
        self.end.subject.class
    }

    /// Has what carries it fallen silent? Then it may still live, but whoever has a choice begins nothing new on it.
    pub fn is_suspect(&self) -> bool {
        self.end.is_suspect()
    }

    /// The same question for whoever gives the stream away and keeps an eye on it.
    pub fn suspicion(&self) -> Suspicion {
        Suspicion(Arc::downgrade(&self.end))
    }

    /// Ends it at once and tells the far side why.
    pub fn reset(self, reason: Refusal) {
        self.end.end(reason);
    }
}

/// Tells whether what carries a stream has fallen silent. Cheap, and keeps nothing alive.
#[derive(Clone)]
pub struct Suspicion(Weak<End>);

impl Suspicion {
    /// As [`FabricStream::is_suspect`]; true when the stream is gone.
    pub fn is_suspect(&self) -> bool {
        self.0.upgrade().is_none_or(|end| end.is_suspect())
    }
}

impl fmt::Debug for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Suspicion").field(&self.is_suspect()).finish()
    }
}

impl AsyncRead for FabricStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.end.poll_read(cx, buf).map_err(Refusal::into_io)
    }
}

impl AsyncWrite for FabricStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.end.poll_write(cx, &[buf]).map_err(Refusal::into_io)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut slices: [&[u8]; WRITE_SLICES] = [&[]; WRITE_SLICES];
        let count = bufs.len().min(WRITE_SLICES);
        for (slot, buf) in slices.iter_mut().zip(bufs) {
            *slot = buf;
        }
        self.end.poll_write(cx, &slices[..count]).map_err(Refusal::into_io)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The lane's driver sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end.poll_finish(cx).map_err(Refusal::into_io)
    }
}

impl fmt::Debug for FabricStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FabricStream").field("subject", &self.end.subject).finish()
    }
}

impl Drop for FabricStream {
    fn drop(&mut self) {
        if !self.lingers && self.end.is_finishing() {
            let lingering = Self { end: self.end.clone(), lingers: true };
            self.end.home.resumer().spawn(linger(lingering));
        } else {
            self.end.end(Refusal::Cancelled);
        }
    }
}

/// Waits until what was shut down has arrived. What the far side still says is for nobody, but would keep it from reading.
async fn linger(mut stream: FabricStream) {
    let end = stream.end.clone();
    let heard = std::future::poll_fn(|cx| end.poll_heard(cx));
    let unwanted = async {
        let mut scratch = [0; 1024];
        while stream.read(&mut scratch).await.is_ok_and(|count| count > 0) {}
        std::future::pending::<()>().await;
    };
    let _ = timeout(RESUME_DEADLINE, async {
        tokio::select! {
            () = heard => {}
            () = unwanted => {}
        }
    })
    .await;
}
