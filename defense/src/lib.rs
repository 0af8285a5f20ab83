//! Is this hostile? Facts in, a verdict and its reason out, in microseconds.
//!
//! The map, in reading order:
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`verdict`] | the five verdicts, strongest wins; a [`Finding`] says who objected and why |
//! | [`reason`] | the closed vocabulary of every refusal and error of the product (rows in `reason/table.rs`) |
//! | [`facts`] | hook points, grades of evidence, what is known about a call |
//! | [`hook`] | `on_call`, then one of `on_result` and `on_fail`, kept so by a guard |
//! | [`engine`] | the built-in brain: [`limits`] (budgets), `rules` (what is counted by what) |
//! | [`prefix`], `gate`, `sketch`, `exact`, `clock` | what the budgets are made of |
//! | [`journal`] | what was refused lately, for `why`; exact counters |
//! | [`bounds`] | every bound, by name |
//!
//! Invariants:
//! * A stranger gets no memory: whatever is sprayed, the cells are those made at the start.
//! * `Claimed` evidence never spends what a network has for `Proven` evidence: forging a user's source address
//!   does not limit that user.
//! * A refused call spends nothing. An allow list wins over every rule.
//! * After a call that proceeded, exactly one of `on_result` and `on_fail` is heard.
//!
//! It must never know: a clock, a socket, a file, a thread, a random source, a configuration format, or what a shell
//! does to carry a verdict out. It imports no other room.

pub mod bounds;
mod clock;
pub mod engine;
mod exact;
pub mod facts;
mod gate;
pub mod hook;
pub mod journal;
pub mod limits;
pub mod prefix;
pub mod reason;
mod rules;
mod sketch;
pub mod verdict;

pub use engine::{AllowList, AllowListTooLong, Engine, EngineSeed, Tallied};
pub use facts::{Evidence, Facts, HookPoint};
pub use hook::{Asked, Call, Hooks, Moment, Outcome, Passed, RefId, Refused, Ticket, ask};
pub use journal::{Counter, Event, Journal, Sample};
pub use limits::{Limits, PointLimits, PrefixRates, Rate};
pub use reason::{Fault, Layer, Reason};
pub use verdict::{Finding, Verdict, VerdictKind};
