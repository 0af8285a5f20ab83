//! Is this hostile? Hooks, verdicts, reasons and the built-in engine.

pub mod facts;
pub mod hook;
pub mod reason;
pub mod verdict;

pub use facts::{Evidence, Facts, HookPoint};
pub use hook::{Asked, Call, Hooks, Moment, Outcome, Passed, RefId, Refused, Ticket, ask};
pub use reason::{Fault, Layer, Reason};
pub use verdict::{Finding, Verdict, VerdictKind};
