//! What is remembered: records, one durable store behind one trait, and a watch for everyone who serves from memory.
//!
//! # Map, in reading order
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`clock`] | the only reader of the wall clock in the workspace |
//! | [`names`] | what a user, device, service, schedule or pool may be called |
//! | [`listen`] | what a service listens on: protocols and ports |
//! | [`records`] | users, devices, grants, invites, schedules, pools, services: all of it, in memory |
//! | [`txn`] | a change: what becomes of which record, who did it, and why |
//! | [`grants`] | what a grant means now: its card, its plan, its naming (derived, never stored) |
//! | [`audit`] | the hash chain of all changes |
//! | [`store`] | the trait: read, commit, watch, acknowledgements |
//! | [`embedded`] | redb behind the trait |
//! | [`bounds`] | every limit |
//!
//! # Invariants
//!
//! * Acknowledged means on disk: a commit's answer is sent after the file is synced, whatever is killed when.
//! * One revision, one transaction, one audit entry: the chain's length is the revision.
//! * Decisions run one after another against the newest records; a refused one leaves no trace.
//! * Every stored byte is covered by a checksum; a store that does not verify is refused loudly, never served in part.
//! * Windows and addresses are not here: they are computed.
//!
//! # What it must never know
//!
//! Sockets, HTTP, DNS messages, TLS, the root key. Device private keys exist nowhere on a server.

pub mod audit;
pub mod bounds;
pub mod clock;
pub mod embedded;
pub mod grants;
pub mod listen;
pub mod names;
pub mod records;
pub mod store;
pub mod txn;

pub use clock::Clock;
pub use embedded::{Embedded, Lent};
pub use grants::{Card, GrantView};
pub use listen::{Listen, Protocol, Reached, Transport};
pub use names::Name;
pub use records::Records;
pub use store::{Ack, CommitError, Event, Store, Watch, commit};
pub use txn::{Act, Refusal, Txn};
