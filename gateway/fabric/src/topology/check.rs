//! Whether a wiring can be: every rule, and the two places that break it. Pure.

mod egresses;
mod names;
mod placement;
mod services;

use super::fault::{Rule, TopologyFault, Weight};
use super::place::Place;
use super::{Topology, ports};

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    faults: Vec<TopologyFault>,
}

impl Findings {
    pub(super) fn add(
        &mut self,
        rule: Rule,
        at: Place,
        other: Option<Place>,
        what: String,
        fix: impl Into<String>,
    ) {
        self.faults.push(TopologyFault { rule, at, other, what, fix: fix.into(), known: Vec::new() });
    }

    /// A name at `at` that refers to nothing of `kind`.
    pub(super) fn unknown<'n>(
        &mut self,
        at: Place,
        kind: &str,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
        let fix = match known.as_slice() {
            [] => format!("Write a section for that {kind} first."),
            names => format!("Name one of: {}.", names.join(", ")),
        };
        let what = format!("{at} = \"{name}\" names no {kind}");
        self.faults.push(TopologyFault { rule: Rule::Unknown, at, other: None, what, fix, known });
    }
}

impl Topology {
    /// Every breach of every rule: those that refuse the wiring, and those that are only worth knowing.
    pub fn check(&self) -> Vec<TopologyFault> {
        let mut findings = Findings::default();
        names::check(self, &mut findings);
        placement::check(self, &mut findings);
        ports::check(self, &mut findings);
        services::check(self, &mut findings);
        egresses::check(self, &mut findings);
        findings.faults
    }

    /// Whether nothing refuses it; warnings do not.
    pub fn is_possible(&self) -> bool {
        self.check().iter().all(|fault| fault.weight() == Weight::Warning)
    }
}
