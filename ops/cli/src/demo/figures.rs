//! The demo's figures, and whether it kept what it promised. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::scene::{GRACE_S, WINDOW_S};
use crate::drill::register::Floods;
use crate::drill::scan::Knocks;
use crate::rehearsal::latency::{Latencies, millis};
use crate::rehearsal::tally::{Downloads, OldAddresses, Tally};

/// `wandergate.demo/1`: the last line of `wandergate demo --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub schema: &'static str,
    pub ok: bool,
    /// A sentence for each promise that was not kept; empty if `ok`.
    pub why: Vec<String>,
    pub seconds: f64,
    /// From the start of the program until every user had had a page.
    pub first_success_ms: Option<f64>,
    pub window_s: u32,
    pub grace_s: u32,
    /// Changes of address that users saw, all users together.
    pub rotations: u64,
    pub users: UserFigures,
    pub downloads: DownloadFigures,
    pub old_addresses: OldFigures,
    pub strangers: StrangerFigures,
    pub registration: RegistrationFigures,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct UserFigures {
    pub requests: u64,
    pub errors: u64,
    pub causes: BTreeMap<String, u64>,
    /// Requests refused after a revocation: as it should be, and no errors.
    pub refused_after_revocation: u64,
    pub requests_quiet: u64,
    pub requests_attack: u64,
    pub p50_quiet_ms: Option<f64>,
    pub p99_quiet_ms: Option<f64>,
    /// `null` without an attack.
    pub p50_attack_ms: Option<f64>,
    pub p99_attack_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DownloadFigures {
    pub begun: u64,
    /// Under way at the end.
    pub running: u64,
    /// Went on across at least one change of their user's address, and came whole or are running.
    pub survived: u64,
    pub whole: u64,
    pub cut: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OldFigures {
    pub probed: u64,
    pub dead: u64,
    pub answered: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct StrangerFigures {
    /// All kinds together.
    pub probes: u64,
    pub hits: u64,
    /// Accepted addresses that so many guesses meet on average. An address alone is no hit.
    pub expected_address_hits: f64,
    /// Random addresses, random names.
    pub scan: Knocks,
    /// Closed addresses, with their right names.
    pub stale: Knocks,
    /// Live addresses, with somebody else's name.
    pub crossed: Knocks,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RegistrationFigures {
    /// Attempts of the flood, all out of one /24, which spends that network's budget; each is one of the next five.
    pub flood: u64,
    pub shed: u64,
    pub refused: u64,
    pub accepted: u64,
    pub dropped: u64,
    pub noise: u64,
    /// Real newcomers with an invite who came during the flood.
    pub newcomers: u64,
    pub enrolled_during_attack: u64,
}

/// What strangers were up to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    pub scan: Knocks,
    pub stale: Knocks,
    pub crossed: Knocks,
    pub flood: Floods,
    pub chance_per_guess: f64,
    pub newcomers: u64,
    pub enrolled: u64,
}

/// How long it all took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub ran: Duration,
    /// From the start of the program until every user had had a page.
    pub first_success: Option<Duration>,
}

impl Figures {
    pub fn of(tallies: &[Tally], mischief: &Mischief, times: Times) -> Self {
        let mut figures = Self {
            schema: "wandergate.demo/1",
            ok: true,
            why: Vec::new(),
            seconds: (times.ran.as_secs_f64() * 10.0).round() / 10.0,
            first_success_ms: times.first_success.map(millis),
            window_s: WINDOW_S,
            grace_s: GRACE_S,
            rotations: tallies.iter().map(|tally| tally.rotations).sum(),
            users: users(tallies),
            downloads: downloads(tallies.iter().map(|tally| tally.downloads)),
            old_addresses: old(tallies.iter().map(|tally| tally.old)),
            strangers: strangers(mischief),
            registration: registration(mischief),
        };
        figures.judge();
        figures
    }

    /// Adds a sentence that spoils it.
    pub fn spoil(&mut self, why: String) {
        self.ok = false;
        self.why.push(why);
    }

    /// An attack that was asked for and did not take place proves nothing.
    pub fn expect_strangers(&mut self) {
        if self.strangers.scan.probes == 0 {
            self.spoil("strangers were asked for, and none could scan".to_owned());
        }
        if self.registration.flood == 0 {
            self.spoil("strangers were asked for, and none could flood the public door".to_owned());
        }
    }

    fn judge(&mut self) {
        if self.users.errors > 0 {
            let causes: Vec<String> =
                self.users.causes.iter().map(|(cause, n)| format!("{cause} ({n})")).collect();
            self.spoil(format!("users met {} error(s): {}", self.users.errors, causes.join(", ")));
        }
        if self.strangers.hits > 0 {
            self.spoil(format!("strangers got {} answer(s)", self.strangers.hits));
        }
        if self.registration.accepted > 0 {
            self.spoil(format!("the flood enrolled {} time(s)", self.registration.accepted));
        }
        if self.old_addresses.answered > 0 {
            self.spoil(format!("{} old address(es) answered", self.old_addresses.answered));
        }
        if self.users.requests == self.users.errors {
            self.spoil("no user got a page".to_owned());
        }
    }

    pub fn to_json(&self) -> String {
        // A struct of numbers and words always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn to_text(&self) -> String {
        let (users, strangers, registration) = (&self.users, &self.strangers, &self.registration);
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
        let mut lines =
            vec![format!("measured in {:.0} s, {} changes of address:", self.seconds, self.rotations)];
        lines.push(format!("  users       {} requests, {} errors", users.requests, users.errors));
        lines.push(format!(
            "              quiet   p50 {}, p99 {} ({} requests)",
            ms(users.p50_quiet_ms),
            ms(users.p99_quiet_ms),
            users.requests_quiet
        ));
        if users.requests_attack > 0 {
            lines.push(format!(
                "              attack  p50 {}, p99 {} ({} requests)",
                ms(users.p50_attack_ms),
                ms(users.p99_attack_ms),
                users.requests_attack
            ));
        }
        let downloads = &self.downloads;
        lines.push(format!(
            "  downloads   {} survived a change of address, {} cut, {} still running",
            downloads.survived, downloads.cut, downloads.running
        ));
        let old = &self.old_addresses;
        lines.push(format!(
            "  old address {} looked at after their grace: {} dead, {} answered",
            old.probed, old.dead, old.answered
        ));
        if strangers.probes > 0 {
            lines.push(format!(
                "  strangers   {} probes, {} hits ({:.2} accepted addresses met by chance, useless without their names)",
                strangers.probes, strangers.hits, strangers.expected_address_hits
            ));
        }
        if registration.flood > 0 {
            lines.push(format!(
                "  public door {} attempts of a flood out of one /24: {} shed, {} refused; {} of {} real newcomers enrolled meanwhile",
                registration.flood,
                registration.shed,
                registration.refused,
                registration.enrolled_during_attack,
                registration.newcomers
            ));
        }
        lines.extend(self.why.iter().map(|why| format!("NOT KEPT: {why}")));
        lines.join("\n")
    }
}

fn users(tallies: &[Tally]) -> UserFigures {
    let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum();
    let all = |of: fn(&Tally) -> &Latencies| {
        let mut all = Latencies::default();
        tallies.iter().for_each(|tally| all.merge(of(tally)));
        all
    };
    let (quiet, attack) = (all(|tally| &tally.quiet), all(|tally| &tally.attack));
    let mut causes = BTreeMap::new();
    for (cause, n) in tallies.iter().flat_map(|tally| &tally.causes) {
        *causes.entry(cause.clone()).or_default() += n;
    }
    UserFigures {
        requests: sum(|tally| tally.requests),
        errors: sum(|tally| tally.errors),
        causes,
        refused_after_revocation: sum(|tally| tally.refused),
        requests_quiet: quiet.count(),
        requests_attack: attack.count(),
        p50_quiet_ms: quiet.percentile_ms(50.0),
        p99_quiet_ms: quiet.percentile_ms(99.0),
        p50_attack_ms: attack.percentile_ms(50.0),
        p99_attack_ms: attack.percentile_ms(99.0),
    }
}

fn downloads(all: impl Iterator<Item = Downloads>) -> DownloadFigures {
    all.fold(DownloadFigures::default(), |sum, one| DownloadFigures {
        begun: sum.begun + one.begun,
        running: sum.running + one.running,
        survived: sum.survived + one.survived(),
        whole: sum.whole + one.whole,
        cut: sum.cut + one.cut,
        bytes: sum.bytes + one.bytes,
    })
}

fn old(all: impl Iterator<Item = OldAddresses>) -> OldFigures {
    all.fold(OldFigures::default(), |sum, one| OldFigures {
        probed: sum.probed + one.probed,
        dead: sum.dead + one.dead,
        answered: sum.answered + one.answered,
    })
}

fn strangers(mischief: &Mischief) -> StrangerFigures {
    let Mischief { scan, stale, crossed, .. } = *mischief;
    StrangerFigures {
        probes: scan.probes + stale.probes + crossed.probes,
        hits: scan.hits + stale.hits + crossed.hits,
        expected_address_hits: scan.probes as f64 * mischief.chance_per_guess,
        scan,
        stale,
        crossed,
    }
}

fn registration(mischief: &Mischief) -> RegistrationFigures {
    let flood = &mischief.flood;
    RegistrationFigures {
        flood: flood.attempts,
        shed: flood.shed,
        refused: flood.refused,
        accepted: flood.accepted,
        dropped: flood.dropped,
        noise: flood.noise,
        newcomers: mischief.newcomers,
        enrolled_during_attack: mischief.enrolled,
    }
}

#[cfg(test)]
#[path = "figures/tests.rs"]
mod tests;
