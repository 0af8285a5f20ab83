//! A rehearsal: a sample service, ordinary users, and what both the demo and the drills need to act as outsiders.
//!
//! Nothing here knows the inside of the gateway. Users resolve, connect and fetch as any client would, and every
//! failure of theirs is an error with a cause: nothing is tried again in secret.
//!
//! In reading order: [`sample`] (a service), [`stream`] (its reproducible bytes), [`resolve`] (a stub resolver),
//! [`dial`] (one HTTPS connection), [`user`] (an ordinary person), [`tally`] and [`latency`] (what they saw),
//! [`operator`] (the ops API), [`enroll`] (an invite redeemed), [`knock`] (one attempt to be let in, and what came
//! back), [`dice`] (chance), [`bounds`] (every limit).

pub mod bounds;
pub mod dial;
pub mod dice;
pub mod enroll;
pub mod knock;
pub mod latency;
pub mod operator;
pub mod resolve;
pub mod sample;
pub mod stream;
pub mod tally;
pub mod user;
