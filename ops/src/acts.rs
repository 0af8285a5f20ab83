//! What an operator may change: one pure decision per act, against the newest records.
//!
//! Each takes the records and an [`Order`] (who, when, why) and answers the transaction with what it means, or a refusal.
//! An act that finds its work done already answers an empty transaction: acknowledged, and not audited twice.

pub mod device;
pub mod invite;
pub mod reconcile;
pub mod rotate;
pub mod schedule;
pub mod service;
pub mod user;

use defense::Reason;
use rotator::UnixTime;
use state::bounds::TEXT_CHARS_MAX;
use state::{Act, Refusal, Txn};

/// A decision and what it means.
pub type Decided<T> = Result<(Txn, T), Refusal>;

/// Who asks for something, when and why: what the audit keeps of every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub now: UnixTime,
    /// `config`, `ops:uid-0`, `ops:token`.
    pub actor: String,
    pub why: String,
}

impl Order {
    /// # Errors
    /// The reason given is longer than [`TEXT_CHARS_MAX`], or has control characters.
    pub fn new(now: UnixTime, actor: &str, why: &str) -> Result<Self, Refusal> {
        if why.chars().count() > TEXT_CHARS_MAX || why.chars().any(char::is_control) {
            let detail = format!("reason: at most {TEXT_CHARS_MAX} characters on one line.");
            return Err(Refusal::new(Reason::BodyInvalid, detail));
        }
        Ok(Self { now, actor: actor.to_owned(), why: why.to_owned() })
    }

    pub(crate) fn act(&self, verb: &str, target: &str) -> Act {
        Act {
            at: self.now,
            actor: self.actor.clone(),
            verb: verb.to_owned(),
            target: target.to_owned(),
            why: self.why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_one_line_of_the_audit_or_is_refused() {
        let order = |why: &str| Order::new(UnixTime::from_secs(1), "ops:test", why);
        assert!(order("").is_ok());
        assert!(order(&"ä".repeat(TEXT_CHARS_MAX)).is_ok());
        for bad in ["a\nb", "\u{1b}[31mred", &"a".repeat(TEXT_CHARS_MAX + 1)] {
            assert_eq!(order(bad).map_err(|r| r.reason), Err(Reason::BodyInvalid));
        }
    }
}
