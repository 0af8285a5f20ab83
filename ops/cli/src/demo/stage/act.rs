//! What happens while a demo runs: ticks, keys, attacks.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::live::Key;
use super::super::show::{Line, Show};
use super::{NEWCOMER_PAUSE, Play, SUMMARY_PAUSE, view};
use crate::rehearsal::latency::millis;

impl Play {
    pub(super) fn tell(&mut self, line: Line) {
        let at = self.started.elapsed();
        self.stage.show.line(at, line);
    }

    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.strangers.learn(&self.users);
        if self.strangers.at_work() && now >= self.next_newcomer {
            self.next_newcomer = now + NEWCOMER_PAUSE;
            self.newcomers.come(self.arrivals.0.clone());
        }
        let lines = match &self.stage.show {
            Show::Live(_) => Some(view::lines(self)),
            Show::Json { .. } | Show::Plain { .. } => None,
        };
        if let (Show::Live(live), Some(lines)) = (&mut self.stage.show, lines) {
            return live.draw(&lines);
        }
        if now >= self.next_summary {
            self.next_summary = now + SUMMARY_PAUSE;
            self.summary();
        }
    }

    fn summary(&mut self) {
        let tallies = self.users.tallies();
        let sum = |of: fn(&crate::rehearsal::tally::Tally) -> u64| -> u64 { tallies.iter().map(of).sum() };
        let (requests, errors) = (sum(|tally| tally.requests), sum(|tally| tally.errors));
        let mischief = self.strangers.mischief(&self.config, self.members(), &self.newcomers);
        let (scan, flood) = (mischief.scan, mischief.flood);
        let mut text = format!("so far {requests} requests, {errors} errors");
        if scan.probes + flood.attempts > 0 {
            text += &format!(
                "; strangers {} probes, {} hits; flood {}, {} shed",
                scan.probes, scan.hits, flood.attempts, flood.shed
            );
        }
        let fields = json!({
            "requests": requests,
            "errors": errors,
            "probes": scan.probes,
            "hits": scan.hits,
            "flood": flood.attempts,
            "shed": flood.shed,
        });
        self.tell(Line::new("progress", text, fields));
    }

    /// Whether that was the end.
    pub(super) async fn obey(&mut self, key: Key) -> bool {
        match key {
            Key::Quit => return true,
            Key::Attack if self.strangers.at_work() => {
                self.users.under_attack(false);
                self.strangers.leave().await;
                self.tell(Line::new("attack_ends", "strangers have left".to_owned(), json!({})));
            }
            Key::Attack => self.attack(),
            Key::Rotate => {
                let began = Instant::now();
                let asked = self.operator.rotate_all("asked for in the demo").await;
                self.told("rotated", "everybody moves now", asked, began.elapsed());
            }
            Key::Revoke => {
                let began = Instant::now();
                let asked = self.operator.revoke("bob", "asked for in the demo").await;
                self.told("revoke", "bob is revoked on the edge", asked, began.elapsed());
            }
        }
        false
    }

    pub(super) fn attack(&mut self) {
        match self.strangers.come() {
            Ok(()) => {
                self.users.under_attack(true);
                let text = "strangers come: they guess addresses, try closed ones, and flood the public door";
                self.tell(Line::new("attack_begins", text.to_owned(), json!({})));
            }
            Err(error) => {
                let text = format!("no strangers: {error:#}");
                self.tell(Line::new("attack_failed", text, json!({})));
            }
        }
    }

    fn told(&mut self, event: &str, good: &str, outcome: Result<Value>, took: Duration) {
        let text = match &outcome {
            Ok(_) => format!("{good} ({:.0} ms)", millis(took)),
            Err(error) => format!("the gateway said no: {error:#}"),
        };
        self.tell(Line::new(event, text, json!({ "ok": outcome.is_ok(), "ms": millis(took) })));
    }
}
