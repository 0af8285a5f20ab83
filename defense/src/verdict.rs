//! What the defense says about one call: a verdict, and who said it and why.

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// The five words of the FutoIn defense interface, weakest first.
///
/// The derived order is the rule "strongest wins": `Pass < Delay < Reauth < Reject < Drop`, and of two delays the
/// longer. How each is carried out per transport is the business of the shells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Pass,
    /// The answer is not given sooner than this many milliseconds *after the call arrived* (a floor, not an
    /// addition), so answers of different cost look alike.
    Delay {
        floor_ms: u32,
    },
    /// Who calls must prove anew who it is.
    Reauth,
    /// Refused, and told so.
    Reject,
    /// Refused in silence: no byte, no sign of life.
    Drop,
}

impl Verdict {
    pub const fn kind(self) -> VerdictKind {
        match self {
            Self::Pass => VerdictKind::Pass,
            Self::Delay { .. } => VerdictKind::Delay,
            Self::Reauth => VerdictKind::Reauth,
            Self::Reject => VerdictKind::Reject,
            Self::Drop => VerdictKind::Drop,
        }
    }

    /// Whether the call goes on (at once, or after its delay).
    pub const fn proceeds(self) -> bool {
        match self {
            Self::Pass | Self::Delay { .. } => true,
            Self::Reauth | Self::Reject | Self::Drop => false,
        }
    }
}

/// A verdict without its figures: what is counted and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    Pass,
    Delay,
    Reauth,
    Reject,
    Drop,
}

impl VerdictKind {
    pub const ALL: [Self; 5] = [Self::Pass, Self::Delay, Self::Reauth, Self::Reject, Self::Drop];

    /// The word on the wire and on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Delay => "delay",
            Self::Reauth => "reauth",
            Self::Reject => "reject",
            Self::Drop => "drop",
        }
    }
}

/// An objection of one rule to one call. No objection is no `Finding`: passing needs no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    pub reason: Reason,
    /// Name of the rule (or brain) that said so.
    pub by: &'static str,
    /// Milliseconds after which the same call may succeed, where that is known (`Retry-After`).
    pub retry_after_ms: Option<u64>,
}

impl Finding {
    pub const fn new(verdict: Verdict, reason: Reason, by: &'static str) -> Self {
        Self { verdict, reason, by, retry_after_ms: None }
    }

    pub const fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// `Retry-After` in whole seconds, rounded up, so that a client that waits as told is let in. At least 1.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_ms.map(|ms| ms.div_ceil(1000).max(1))
    }

    /// The strongest of several findings; of equals the first, so the answer does not depend on luck.
    pub fn strongest(findings: impl IntoIterator<Item = Self>) -> Option<Self> {
        findings.into_iter().reduce(|kept, next| if next.verdict > kept.verdict { next } else { kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(verdict: Verdict, by: &'static str) -> Finding {
        Finding::new(verdict, Reason::RateLease, by)
    }

    #[test]
    fn the_strongest_verdict_wins_in_any_order_and_the_first_of_equals_is_named() {
        let ladder = [
            Verdict::Pass,
            Verdict::Delay { floor_ms: 1 },
            Verdict::Delay { floor_ms: 2 },
            Verdict::Reauth,
            Verdict::Reject,
            Verdict::Drop,
        ];
        for (i, weak) in ladder.iter().enumerate() {
            for strong in &ladder[i + 1..] {
                assert!(weak < strong);
                for pair in [[*weak, *strong], [*strong, *weak]] {
                    let won = Finding::strongest(pair.map(|v| said(v, "x"))).map(|f| f.verdict);
                    assert_eq!(won, Some(*strong));
                }
            }
        }
        let tie = Finding::strongest([said(Verdict::Reject, "first"), said(Verdict::Reject, "second")]);
        assert_eq!(tie.map(|f| f.by), Some("first"));
        assert_eq!(Finding::strongest([]), None);
    }

    #[test]
    fn only_pass_and_delay_proceed() {
        assert!(Verdict::Pass.proceeds() && Verdict::Delay { floor_ms: 9 }.proceeds());
        assert!(![Verdict::Reauth, Verdict::Reject, Verdict::Drop].iter().any(|v| v.proceeds()));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let f = said(Verdict::Reject, "x");
        assert_eq!(f.retry_after_s(), None);
        for (ms, s) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (u64::MAX, u64::MAX / 1000 + 1)] {
            assert_eq!(f.retry_after(ms).retry_after_s(), Some(s));
        }
    }

    #[test]
    fn names_are_the_serialized_names() {
        for kind in VerdictKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
