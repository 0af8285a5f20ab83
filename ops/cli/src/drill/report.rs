//! What a drill found: figures for people and programs. Pure but for asking the ops API how users fare.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::register::Floods;
use super::scan::Knocks;
use crate::rehearsal::operator::Operator;

/// `wandergate.drill/1`
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub kind: &'static str,
    pub ok: bool,
    pub seconds: u64,
    pub probes: u64,
    /// Signs of life that strangers got; enrollments by a flood.
    pub hits: u64,
    /// Accepted addresses that so many random guesses meet on average; `null` where nothing is guessed. An address
    /// alone is no hit: whoever meets one still lacks its name.
    pub expected_address_hits: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knocks: Option<Knocks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Floods>,
    pub users: Users,
}

/// How users fared meanwhile, by the edge's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Users {
    pub connections_before: u64,
    pub connections_after: u64,
    pub requests: u64,
    /// Requests of admitted users that were not answered by their service.
    pub refused: u64,
}

impl Users {
    /// Since the start of the edge.
    ///
    /// # Errors
    /// The ops API does not answer.
    pub async fn look(operator: &Operator) -> Result<Self> {
        Ok(Self::of(&operator.read("/v1/status").await?))
    }

    fn of(status: &Value) -> Self {
        let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        let verdicts = status.get("verdicts").and_then(Value::as_array);
        let refused = |verdict: &&Value| {
            let word = |key| verdict.get(key).and_then(Value::as_str).unwrap_or_default();
            word("point") == "request" && !matches!(word("verdict"), "pass" | "delay")
        };
        let count = |verdict: &Value| verdict.get("count").and_then(Value::as_u64).unwrap_or_default();
        Self {
            connections_before: number("/edge/connections"),
            connections_after: number("/edge/connections"),
            requests: number("/edge/requests_total"),
            refused: verdicts.into_iter().flatten().filter(refused).map(count).sum(),
        }
    }

    /// What happened between two looks.
    #[must_use]
    pub const fn since(self, before: &Self) -> Self {
        Self {
            connections_before: before.connections_before,
            connections_after: self.connections_after,
            requests: self.requests.saturating_sub(before.requests),
            refused: self.refused.saturating_sub(before.refused),
        }
    }
}

impl Report {
    fn new(kind: &'static str, probes: u64, hits: u64) -> Self {
        Self {
            schema: "wandergate.drill/1",
            kind,
            ok: hits == 0,
            seconds: 0,
            probes,
            hits,
            expected_address_hits: None,
            knocks: None,
            registration: None,
            users: Users::default(),
        }
    }

    pub fn of_scan(knocks: Knocks, chance_per_guess: f64) -> Self {
        let expected = knocks.probes as f64 * chance_per_guess;
        Self { expected_address_hits: Some(expected), ..Self::of_knocks("scan", knocks) }
    }

    pub fn of_knocks(kind: &'static str, knocks: Knocks) -> Self {
        Self { knocks: Some(knocks), ..Self::new(kind, knocks.probes, knocks.hits) }
    }

    pub fn of_flood(floods: Floods) -> Self {
        Self { registration: Some(floods), ..Self::new("register", floods.attempts, floods.accepted) }
    }

    /// Strangers got nothing.
    pub const fn good(&self) -> bool {
        self.ok
    }

    pub fn to_json(&self) -> String {
        // A struct of numbers and words always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("drill {}: {} attempts in {} s", self.kind, self.probes, self.seconds)];
        if let Some(knocks) = &self.knocks {
            lines.push(format!(
                "  hits {}   reset {}   silent {}   refused {}",
                knocks.hits, knocks.reset, knocks.silent, knocks.refused
            ));
            if knocks.unsent > 0 {
                lines.push(format!("  {} more could not be sent by this machine", knocks.unsent));
            }
        }
        if self.probes == 0 {
            lines.push("  nothing to try: no address of that kind stands now".to_owned());
        }
        if let Some(expected) = self.expected_address_hits {
            lines.push(format!("  {expected:.3} accepted addresses met by chance, in expectation; without its name none answers"));
        }
        if let Some(flood) = &self.registration {
            lines.push(format!(
                "  enrolled {}   shed {}   refused {}   dropped {}   noise {}",
                flood.accepted, flood.shed, flood.refused, flood.dropped, flood.noise
            ));
        }
        let users = &self.users;
        lines.push(format!(
            "  users meanwhile: {} requests passed, {} not; connections {} -> {}",
            users.requests, users.refused, users.connections_before, users.connections_after
        ));
        if !self.ok {
            lines.push(format!("  NOT GOOD: strangers got {} answer(s)", self.hits));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_hit_spoils_a_drill_and_none_does_not() {
        let knocks = Knocks { probes: 1000, reset: 1000, ..Knocks::default() };
        let clean = Report::of_scan(knocks, 0.001);
        assert!(clean.good() && (clean.expected_address_hits.unwrap() - 1.0).abs() < 1e-9);
        let hit = Report::of_scan(Knocks { hits: 1, ..knocks }, 0.001);
        assert!(!hit.good() && hit.to_text().contains("NOT GOOD"));
        assert!(!Report::of_flood(Floods { accepted: 1, attempts: 1, ..Floods::default() }).good());
    }

    #[test]
    fn json_has_its_schema_and_null_for_what_was_not_guessed() {
        let report: Value =
            serde_json::from_str(&Report::of_knocks("stale", Knocks::default()).to_json()).unwrap();
        assert_eq!((&report["schema"], &report["kind"]), (&json!("wandergate.drill/1"), &json!("stale")));
        assert!(report["expected_address_hits"].is_null() && report.get("registration").is_none());
    }

    #[test]
    fn users_are_compared_between_two_looks() {
        let status = |connections: u64, requests: u64, refused: u64| {
            Users::of(&json!({
                "edge": {"connections": connections, "requests_total": requests},
                "verdicts": [
                    {"point": "request", "verdict": "reject", "count": refused},
                    {"point": "request", "verdict": "delay", "count": 9},
                    {"point": "connection", "verdict": "drop", "count": 1000},
                ],
            }))
        };
        let between = status(5, 150, 4).since(&status(7, 100, 3));
        let want = Users { connections_before: 7, connections_after: 5, requests: 50, refused: 1 };
        assert_eq!(between, want);
    }
}
