//! The first frames of a lane: Hello, then Welcome or Refuse.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::bounds::HELLO_MAX;
use crate::refusal::{LaneEnd, Refusal, Violation};
use crate::wire::{Decoder, Frame, HEADER, Hello, VERSION};

/// What a dialer is told.
pub(crate) enum Greeted {
    /// Come in. The mandate proves that the listener may speak for its plane; it is for the dialer to verify. The decoder
    /// holds what was read behind the Welcome.
    Welcome { mandate: Bytes, decoder: Decoder },
    /// Go elsewhere: who is active, as far as the listener knows; empty if it does not.
    Standby { term: u64, active: String },
}

/// Dialer: introduces itself and waits for the answer.
pub(crate) async fn introduce<S>(io: &mut S, hello: Hello, hub: &str) -> Result<Greeted, LaneEnd>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(io, &Frame::Hello(hello)).await?;
    let mut decoder = Decoder::dialing();
    match hear(io, &mut decoder).await? {
        Frame::Welcome { version: VERSION, name, mandate } if name == hub => {
            decoder.greeted();
            Ok(Greeted::Welcome { mandate, decoder })
        }
        Frame::Standby { term, active } => Ok(Greeted::Standby { term, active }),
        Frame::Welcome { version: VERSION, .. } => Err(LaneEnd::Refused(Refusal::WrongName)),
        Frame::Welcome { .. } => Err(LaneEnd::Refused(Refusal::VersionUnsupported)),
        Frame::Refuse(reason) => Err(LaneEnd::RefusedByFar(reason)),
        other => Err(unexpected(&other)),
    }
}

/// Listener: waits for the introduction.
pub(crate) async fn hear_hello<S>(io: &mut S, decoder: &mut Decoder) -> Result<Hello, LaneEnd>
where
    S: AsyncRead + Unpin,
{
    match hear(io, decoder).await? {
        Frame::Hello(hello) => Ok(hello),
        other => Err(unexpected(&other)),
    }
}

/// Sends one frame at once.
pub(crate) async fn say<S: AsyncWrite + Unpin>(io: &mut S, frame: &Frame) -> Result<(), LaneEnd> {
    let mut bytes = bytes::BytesMut::new();
    frame.encode(&mut bytes);
    let broken = |error: std::io::Error| LaneEnd::Broken(error.kind());
    io.write_all(&bytes).await.map_err(broken)?;
    io.flush().await.map_err(broken)
}

async fn hear<S: AsyncRead + Unpin>(io: &mut S, decoder: &mut Decoder) -> Result<Frame, LaneEnd> {
    loop {
        if let Some(frame) = decoder.next_frame().map_err(LaneEnd::Violation)? {
            return Ok(frame);
        }
        let buffer = decoder.buffer();
        buffer.reserve(HEADER + HELLO_MAX);
        match io.read_buf(buffer).await {
            Ok(0) => return Err(LaneEnd::Closed),
            Ok(_) => {}
            // A TLS alert comes up here as well: with TLS 1.3 the dialer learns so that its certificate was refused.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(LaneEnd::TlsFailed),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(LaneEnd::Closed),
            Err(error) => return Err(LaneEnd::Broken(error.kind())),
        }
    }
}

fn unexpected(_frame: &Frame) -> LaneEnd {
    LaneEnd::Violation(Violation::Unexpected)
}
