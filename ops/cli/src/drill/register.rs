//! A flood on the one public door: invites that never were, proofs that are wrong, JSON and bytes that are neither.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::Method;
use registration::Code;
use registration::client::{EnrollBody, Ticket, plain_body};
use rotator::Class;
use serde::Serialize;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::pace::{Budget, Pace, crew};
use super::target::one_network;
use crate::rehearsal::bounds::{ANSWER_BYTES_MAX, CALL_WAIT, FLOOD_REQUESTS_PER_CONNECTION};
use crate::rehearsal::dial::{Conversation, Trust, whole};
use crate::rehearsal::dice::Dice;
use crate::rehearsal::knock::{Greeter, connect, knock};

/// What became of the flood, while it goes on.
#[derive(Debug, Default)]
pub struct FloodCounts {
    attempts: AtomicU64,
    shed: AtomicU64,
    refused: AtomicU64,
    accepted: AtomicU64,
    dropped: AtomicU64,
    noise: AtomicU64,
}

/// [`FloodCounts`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Floods {
    /// All attempts; each is one of those below.
    pub attempts: u64,
    /// Turned away before a decision: 429 or 503.
    pub shed: u64,
    /// Decided, and refused.
    pub refused: u64,
    /// Enrolled: must never be.
    pub accepted: u64,
    /// The connection was refused or ended without an answer.
    pub dropped: u64,
    /// Bytes that were no TLS, whatever came of them.
    pub noise: u64,
}

/// How one request of the flood ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Shed,
    Refused,
    Accepted,
    Dropped,
    Noise,
}

impl Outcome {
    fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            429 | 503 => Self::Shed,
            _ => Self::Refused,
        }
    }
}

impl FloodCounts {
    fn count(&self, outcome: Outcome) {
        let cell = match outcome {
            Outcome::Shed => &self.shed,
            Outcome::Refused => &self.refused,
            Outcome::Accepted => &self.accepted,
            Outcome::Dropped => &self.dropped,
            Outcome::Noise => &self.noise,
        };
        cell.fetch_add(1, Ordering::Relaxed);
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Floods {
        let of = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Floods {
            attempts: of(&self.attempts),
            shed: of(&self.shed),
            refused: of(&self.refused),
            accepted: of(&self.accepted),
            dropped: of(&self.dropped),
            noise: of(&self.noise),
        }
    }
}

/// The flood of one door.
pub struct Flood {
    at: SocketAddr,
    host: String,
    trust: Trust,
    pub counts: FloodCounts,
}

impl Flood {
    /// # Errors
    /// The TLS library's.
    pub fn new(at: SocketAddr, zone: &str) -> Result<Self> {
        let trust = Trust::from(Greeter::new()?.config());
        Ok(Self { at, host: format!("join.{zone}"), trust, counts: FloodCounts::default() })
    }

    /// Until `stop`.
    pub async fn run(self: &Arc<Self>, budget: Budget, stop: &CancellationToken) {
        crew(budget, stop, |pace| Arc::clone(self).work(pace)).await;
    }

    async fn work(self: Arc<Self>, pace: Arc<Pace>) {
        let Ok(mut dice) = Dice::new() else { return };
        let mut kept: Option<(Conversation, u32)> = None;
        loop {
            pace.turn().await;
            let outcome = timeout(CALL_WAIT, self.attempt(&mut kept, &mut dice)).await;
            let outcome = outcome.unwrap_or(Outcome::Dropped);
            self.counts.count(outcome);
            if outcome == Outcome::Dropped {
                kept = None;
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn attempt(&self, kept: &mut Option<(Conversation, u32)>, dice: &mut Dice) -> Outcome {
        let Some(body) = body(dice) else {
            knock(one_network(self.at.ip(), dice), self.at, &dice.bytes::<512>()).await;
            return Outcome::Noise;
        };
        let (mut line, used) = match reusable(kept).await {
            Some(kept) => kept,
            None => match self.open(dice).await {
                Some(line) => (line, 0),
                None => return Outcome::Dropped,
            },
        };
        let Ok(response) = line.send(Method::POST, "/j/v1/enroll", &[], Some(body)).await else {
            return Outcome::Dropped;
        };
        let outcome = Outcome::of(response.status().as_u16());
        if whole(response, ANSWER_BYTES_MAX).await.is_ok() {
            *kept = Some((line, used + 1));
        }
        outcome
    }

    async fn open(&self, dice: &mut Dice) -> Option<Conversation> {
        let tcp = connect(one_network(self.at.ip(), dice), self.at).await.ok()?;
        Conversation::on(&self.trust, tcp, self.at, &self.host).await.ok()
    }
}

async fn reusable(kept: &mut Option<(Conversation, u32)>) -> Option<(Conversation, u32)> {
    let (mut line, used) = kept.take()?;
    (used < FLOOD_REQUESTS_PER_CONNECTION && line.is_open().await).then_some((line, used))
}

/// A body that must never enroll anybody; `None` for noise that is no request at all.
fn body(dice: &mut Dice) -> Option<Bytes> {
    let body = match dice.below(16) {
        0 => return None,
        1 => return Some(Bytes::from_static(b"{\"invite\":[[[[{\"device\":")),
        2..=4 => EnrollBody {
            challenge: Some(HEXLOWER.encode(&dice.bytes::<32>())),
            solution: Some(dice.word()),
            user: Some("mallory".to_owned()),
            device: "flood".to_owned(),
            class: "agent".to_owned(),
            public_key: Some(HEXLOWER.encode(&dice.bytes::<32>())),
            proof: Some(HEXLOWER.encode(&dice.bytes::<64>())),
            ..EnrollBody::default()
        },
        // 160 random bits: no invite that anybody ever made.
        _ => plain_body(Ticket::Invite(Code::new(dice.bytes())), "flood", Class::Name),
    };
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_counted_once_and_under_its_own_name() {
        let counts = FloodCounts::default();
        for status in [429, 503, 403, 400, 201, 500] {
            counts.count(Outcome::of(status));
        }
        counts.count(Outcome::Dropped);
        counts.count(Outcome::Noise);
        let read = counts.read();
        assert_eq!((read.shed, read.refused, read.accepted, read.dropped, read.noise), (2, 3, 1, 1, 1));
        assert_eq!(read.attempts, 8);
    }

    #[test]
    fn every_kind_of_nonsense_occurs_and_none_is_a_bare_request() {
        let mut dice = Dice::seeded(11);
        let bodies: Vec<Option<Bytes>> = (0..400).map(|_| body(&mut dice)).collect();
        let holds = |word: &str| {
            bodies.iter().flatten().filter(|b| b.windows(word.len()).any(|w| w == word.as_bytes())).count()
        };
        assert!(bodies.iter().any(Option::is_none));
        assert!(holds("\"invite\":\"") > 200 && holds("\"proof\"") > 20 && holds("[[[[") > 5);
    }
}
