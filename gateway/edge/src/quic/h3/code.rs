//! Error codes of HTTP/3 (RFC 9114 §8.1) and QPACK (RFC 9204 §6), and what they end.

use quinn::VarInt;

/// Why a stream or connection ends, in the client's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    NoError = 0x100,
    Internal = 0x102,
    StreamCreation = 0x103,
    ClosedCriticalStream = 0x104,
    FrameUnexpected = 0x105,
    Frame = 0x106,
    ExcessiveLoad = 0x107,
    Id = 0x108,
    Settings = 0x109,
    MissingSettings = 0x10a,
    RequestRejected = 0x10b,
    RequestCancelled = 0x10c,
    RequestIncomplete = 0x10d,
    Message = 0x10e,
    Decompression = 0x200,
    EncoderStream = 0x201,
    DecoderStream = 0x202,
}

impl Code {
    pub const fn wire(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

/// The client broke the protocol in a way that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client broke HTTP/3: {0:?}")]
pub struct Violation(pub Code);
