//! HTTP/1.1 of our own: strict where a repair would let two readers read two messages, and without a task per request.
//!
//! | module | what happens there |
//! | --- | --- |
//! | [`head`] | bytes of a head become parts and framing, or a refusal (pure) |
//! | [`body`] | bytes of a body become pieces, and pieces bytes (pure) |
//! | [`chunks`] | the grammar of chunks (pure) |
//! | [`write`] | parts become bytes (pure) |
//! | [`date`] | the date of a response |
//! | [`buffers`] | what was read and not used, what is to be written |
//! | [`feed`] | a request's body, handed over piece by piece |
//! | [`server`] | a client's connection (shell) |
//! | [`client`] | one exchange with a service (shell) |

pub mod body;
pub mod buffers;
pub mod chunks;
pub mod client;
pub mod date;
pub mod feed;
pub mod head;
pub mod server;
pub mod write;

/// Where a message ends (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// With its head.
    None,
    /// After so many bytes.
    Length(u64),
    /// After its last chunk and trailers.
    Chunked,
    /// With its connection; responses only.
    UntilClose,
}

/// The bytes break the protocol, or leave open where the message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed HTTP/1.1 message")]
pub struct Malformed;

/// How often a property is tried: `WANDERGATE_FUZZ=5000000 cargo test -p edge h1` tries a tenth of that, as a case here
/// is a whole conversation.
#[cfg(test)]
fn fuzz() -> proptest::prelude::ProptestConfig {
    let cases =
        std::env::var("WANDERGATE_FUZZ").ok().and_then(|n| n.parse().ok()).map_or(2000, |n: u32| n / 10);
    proptest::prelude::ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}
