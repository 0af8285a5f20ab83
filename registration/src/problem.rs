//! Refusals as `application/problem+json` (RFC 9457): what, why, and the fix.

use defense::Reason;
use serde::{Deserialize, Serialize};
use state::{CommitError, Refusal};

use crate::bounds::DETAIL_CHARS_MAX;

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One refusal, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub title: String,
    pub status: u16,
    /// What exactly.
    pub detail: String,
    /// `W-4102`.
    pub code: String,
    /// `invite_used`.
    pub reason: String,
    pub why: String,
    pub fix: String,
    /// The number under which `wandergate why` finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Problem {
    pub fn new(refusal: &Refusal, request: Option<u128>) -> Self {
        let reason = refusal.reason;
        Self {
            kind: format!("urn:wandergate:{}", reason.name()),
            title: reason.what().to_owned(),
            status: reason.http_status(),
            detail: refusal.detail.chars().take(DETAIL_CHARS_MAX).collect(),
            code: reason.code().to_owned(),
            reason: reason.name().to_owned(),
            why: reason.why().to_owned(),
            fix: reason.fix().to_owned(),
            request: request.map(|id| format!("{id:032x}")),
        }
    }
}

/// A commit that failed, as a refusal. What the disk said is for the log, not for a stranger.
pub fn of_commit(error: CommitError) -> Refusal {
    match error {
        CommitError::Refused(refusal) => refusal,
        CommitError::Store(why) => {
            tracing::error!(event = "registration.commit_failed", why);
            Reason::StoreUnreachable.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_makes_a_problem_with_its_own_status_and_no_empty_member() {
        for reason in Reason::ALL {
            let problem = Problem::new(&Refusal::from(*reason), Some(7));
            assert_eq!(problem.status, reason.http_status());
            let text = serde_json::to_string(&problem).unwrap();
            assert!(!text.contains("\"\""), "{text}");
            assert!(text.contains("\"00000000000000000000000000000007\""));
        }
    }

    #[test]
    fn a_long_detail_is_cut_at_the_bound() {
        for (length, kept) in [(DETAIL_CHARS_MAX, DETAIL_CHARS_MAX), (DETAIL_CHARS_MAX + 1, DETAIL_CHARS_MAX)]
        {
            let refusal = Refusal::new(Reason::BodyInvalid, "ä".repeat(length));
            assert_eq!(Problem::new(&refusal, None).detail.chars().count(), kept);
        }
    }

    #[test]
    fn what_the_disk_said_reaches_no_stranger() {
        let refusal = of_commit(CommitError::Store("/var/lib/secret: I/O error".into()));
        assert_eq!(refusal.reason, Reason::StoreUnreachable);
        assert!(!Problem::new(&refusal, None).detail.contains("secret"));
    }
}
