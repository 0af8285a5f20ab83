//! Whether a service that says nothing is still there. Pure.

use crate::bounds::{UPSTREAM_H2_PING_EVERY, UPSTREAM_H2_PONG_MAX, UPSTREAM_H2_QUIET_MAX};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    /// Send a PING.
    Ask,
    /// Nobody is there.
    Dead,
}

/// An eye on one connection. Moments are milliseconds since any beginning.
///
/// It asks only while requests wait for their answers, and seldom: gRPC's servers end connections that send more PINGs
/// than one in five minutes without being told anything between them.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    heard: u64,
    since_ms: u64,
    asked_ms: Option<u64>,
    waits: bool,
}

impl Keeping {
    /// `heard` are the bytes that came so far.
    pub(super) fn look(&mut self, now_ms: u64, heard: u64, is_busy: bool) -> Act {
        let past = |since: u64, span: std::time::Duration| {
            u128::from(now_ms.saturating_sub(since)) >= span.as_millis()
        };
        if heard != self.heard || !is_busy {
            (self.heard, self.since_ms, self.waits) = (heard, now_ms, false);
        }
        match self.asked_ms {
            Some(asked) if self.waits && past(asked, UPSTREAM_H2_PONG_MAX) => Act::Dead,
            Some(asked) if self.waits || !past(asked, UPSTREAM_H2_PING_EVERY) => Act::Nothing,
            Some(_) | None if is_busy && past(self.since_ms, UPSTREAM_H2_QUIET_MAX) => {
                (self.asked_ms, self.waits) = (Some(now_ms), true);
                Act::Ask
            }
            Some(_) | None => Act::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it does in each second up to the `end`th.
    fn acts(end: u64, heard: impl Fn(u64) -> u64, is_busy: bool) -> Vec<(u64, Act)> {
        let mut keeping = Keeping::default();
        let each = (0..=end).map(|s| (s, keeping.look(s * 1000, heard(s), is_busy)));
        each.filter(|(_, act)| *act != Act::Nothing).collect()
    }

    #[test]
    fn who_owes_an_answer_and_says_nothing_is_asked_once_and_then_given_up() {
        let (quiet, wait) = (UPSTREAM_H2_QUIET_MAX.as_secs(), UPSTREAM_H2_PONG_MAX.as_secs());
        assert_eq!(acts(quiet + wait, |_| 0, true), [(quiet, Act::Ask), (quiet + wait, Act::Dead)]);
        assert_eq!(acts(10_000, |_| 0, false), [], "who owes nothing is left alone");
        assert_eq!(acts(10_000, |s| s / 10, true), [], "who talks is there");
    }

    #[test]
    fn whoever_answers_is_not_asked_again_before_a_server_of_grpc_minds() {
        let quiet = UPSTREAM_H2_QUIET_MAX.as_secs();
        let asked = acts(
            3600,
            |s| u64::from(s > quiet) + u64::from(s > quiet + UPSTREAM_H2_PING_EVERY.as_secs()),
            true,
        );
        assert_eq!(asked[..2], [(quiet, Act::Ask), (quiet + UPSTREAM_H2_PING_EVERY.as_secs(), Act::Ask)]);
        assert!(UPSTREAM_H2_PING_EVERY.as_secs() > 300);
    }
}
