//! Is the far side of a lane alive? Pure: time comes in, as the duration since the lane began.
//!
//! The control lane pings fast and becomes suspect soon; its suspicion has every lane of the link probed. A probed lane
//! that shows no sign of life is lost. The other lanes by themselves only ask now and then, for there may be thousands.
//!
//! A process that got no CPU sees silence where there was none. How much it missed shows in how late its own alarm comes:
//! that time counts for nothing. So there are two calls when the alarm goes: [`Liveness::handle_alarm`] before reading
//! what has arrived, and [`Liveness::judge`] after.

use std::collections::VecDeque;
use std::time::Duration;

use crate::bounds::{
    PATIENCE_MAX, PING_FAST, PING_SLOW, PINGS_UNANSWERED, PROBE_MAX, SILENT_MAX, STALLED_MAX, SUSPECT_AFTER,
};
use crate::refusal::LaneEnd;

/// Which part of the difference to a longer sample the shortest round trip takes over; at ten pings a second, minutes pass
/// until a busy time counts as the way itself.
const LEAST_RISES: u32 = 4096;

/// How a lane watches its far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The dialer's control lane: pings all the time.
    Fast,
    /// The listener's control lane: hears those pings, and asks back when it misses one, or has not for long.
    Attentive,
    /// Any other lane.
    Slow,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    /// Send a ping.
    pub(super) ping: Option<u64>,
    /// The lane became suspect just now: probe all lanes of the link.
    pub(super) is_newly_suspect: bool,
    /// The lane is over.
    pub(super) end: Option<LaneEnd>,
}

/// The watch over one lane.
#[derive(Debug)]
pub(super) struct Liveness {
    pace: Pace,
    /// When a byte last came.
    heard: Duration,
    /// When it was last asked for.
    asked: Duration,
    /// Pings under way: what identifies them, and when they left.
    pings: VecDeque<(u64, Duration)>,
    next_nonce: u64,
    /// Since when a sign of life is demanded.
    probed: Option<Duration>,
    /// Since when the far side takes nothing of what waits.
    behind: Option<Duration>,
    is_suspect: bool,
    srtt: Option<Duration>,
    least: Option<Duration>,
    alarm: Duration,
}

impl Liveness {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            heard: Duration::ZERO,
            asked: Duration::ZERO,
            pings: VecDeque::new(),
            next_nonce: 0,
            probed: None,
            behind: None,
            is_suspect: false,
            srtt: None,
            least: None,
            alarm: Duration::ZERO,
        }
    }

    /// When to call [`Liveness::handle_alarm`] and [`Liveness::judge`] at the latest.
    pub(super) fn alarm(&self) -> Duration {
        self.alarm
    }

    /// When a byte last came.
    pub(super) fn heard(&self) -> Duration {
        self.heard
    }

    /// Smoothed round trip of the pings (RFC 6298, section 2).
    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// The shortest round trip: what the way takes when nothing waits on it. It rises slowly, should the way have changed.
    pub(super) fn least(&self) -> Option<Duration> {
        self.least
    }

    /// Silent for longer than a living far side would be, or asked for a sign of life and still without one.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.is_suspect || self.probed.is_some()
    }

    /// The alarm went, on time or not. What it came too late is forgiven to the far side.
    pub(super) fn handle_alarm(&mut self, now: Duration) {
        let late = now.saturating_sub(self.alarm);
        let forgive = |since: &mut Duration| *since = (*since + late).min(now);
        forgive(&mut self.heard);
        forgive(&mut self.asked);
        self.probed.iter_mut().for_each(forgive);
        self.behind.iter_mut().for_each(forgive);
        self.pings.iter_mut().for_each(|(_, left)| forgive(left));
        self.alarm = now;
    }

    /// Bytes came.
    pub(super) fn handle_bytes(&mut self, now: Duration) {
        self.heard = now;
        self.probed = None;
        self.is_suspect = false;
    }

    /// An answer came; one to no ping of ours says nothing.
    pub(super) fn handle_pong(&mut self, nonce: u64, now: Duration) {
        let Some(place) = self.pings.iter().position(|(sent, _)| *sent == nonce) else { return };
        // TCP keeps order: the answers to those before will not come.
        let Some((_, left)) = self.pings.drain(..=place).next_back() else { return };
        let sample = now.saturating_sub(left);
        self.srtt = Some(self.srtt.map_or(sample, |srtt| (srtt * 7 + sample) / 8));
        let risen = |least: Duration| least + sample.saturating_sub(least) / LEAST_RISES;
        self.least = Some(self.least.map_or(sample, |least| risen(least).min(sample)));
    }

    /// Somebody has reason to doubt: a sign of life is demanded from now on.
    pub(super) fn handle_probe(&mut self, now: Duration) {
        if self.probed.is_none() {
            self.probed = Some(now);
            self.alarm = now;
        }
    }

    /// Does the socket refuse what waits? To be told at every change.
    pub(super) fn handle_backlog(&mut self, is_behind: bool, now: Duration) {
        if !is_behind {
            self.behind = None;
        } else if self.behind.is_none() {
            self.behind = Some(now);
        }
    }

    /// Decides, and sets the next alarm.
    pub(super) fn judge(&mut self, now: Duration) -> Judgement {
        // Nobody knows yet how far it is to who has not answered once.
        let patience = self.srtt.map_or(PATIENCE_MAX, |srtt| (2 * srtt).min(PATIENCE_MAX));
        let silent = now.saturating_sub(self.heard);
        let mut judgement = Judgement::default();
        if self.pace != Pace::Slow && silent >= SUSPECT_AFTER + patience && !self.is_suspect {
            self.is_suspect = true;
            judgement.is_newly_suspect = true;
            self.probed = self.probed.or(Some(now));
        }
        let (probe_over, silence_over) =
            (self.probed.map(|since| since + PROBE_MAX + patience), self.heard + SILENT_MAX);
        let stall_over = self.behind.map(|since| since + STALLED_MAX);
        if probe_over.is_some_and(|over| now >= over) || now >= silence_over {
            judgement.end = Some(LaneEnd::Silent);
        } else if stall_over.is_some_and(|over| now >= over) {
            judgement.end = Some(LaneEnd::Stalled);
        }
        let mut next_ping = self.next_ping();
        if now >= next_ping {
            judgement.ping = Some(self.ping(now));
            next_ping = self.next_ping();
        }
        let suspicion = match self.pace {
            Pace::Fast | Pace::Attentive if !self.is_suspect => Some(self.heard + SUSPECT_AFTER + patience),
            Pace::Fast | Pace::Attentive | Pace::Slow => None,
        };
        // Under a probe the alarm goes often, so that being stopped shows.
        let watch = self.probed.map(|_| now + PING_FAST);
        let all = [Some(next_ping), Some(silence_over), probe_over, stall_over, suspicion, watch];
        self.alarm = all.into_iter().flatten().min().unwrap_or(now).max(now);
        judgement
    }

    fn next_ping(&self) -> Duration {
        match (self.pace, self.probed) {
            // A probe asks once, at once.
            (_, Some(since)) if self.asked < since || self.pings.is_empty() => since,
            // Each lane learns its round trip.
            _ if self.next_nonce == 0 => Duration::ZERO,
            (Pace::Fast, _) => self.asked + PING_FAST,
            (Pace::Attentive, _) => {
                (self.heard.max(self.asked) + PING_FAST * 3 / 2).min(self.asked + PING_SLOW)
            }
            (Pace::Slow, _) => self.heard.max(self.asked) + PING_SLOW,
        }
    }

    fn ping(&mut self, now: Duration) -> u64 {
        self.asked = now;
        self.next_nonce += 1;
        if self.pings.len() >= PINGS_UNANSWERED {
            self.pings.pop_front();
        }
        self.pings.push_back((self.next_nonce, now));
        self.next_nonce
    }
}

#[cfg(test)]
mod tests;
