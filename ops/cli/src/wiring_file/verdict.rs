//! The rules of the wiring, told with the lines of the file.

use defense::Reason;
use fabric::Topology;
use fabric::topology::{Rule, TopologyFault, Weight};

use crate::config::report::Report;
use crate::config::suggest::nearest;

pub(super) fn check(report: &Report<'_>, topology: &Topology) {
    for fault in topology.check() {
        tell(report, &fault);
    }
}

fn tell(report: &Report<'_>, fault: &TopologyFault) {
    let at = fault.at.as_str();
    // It is there, only misspelt, and that has been said.
    let misspelt = |key: &str| report.suggested(&format!("{at}.{key}"));
    let no_hub = fault.rule == Rule::PlaneEmpty && (report.suggested(at) || misspelt("hub"));
    let no_servers = fault.rule == Rule::Serverless && misspelt("servers");
    if no_hub || no_servers {
        return;
    }
    let line = |other: &str| format!(" ({})", report.line_of(other));
    let other = fault.other.as_ref().filter(|other| **other != fault.at && report.wrote(other.as_str()));
    let message = format!("{}{}", fault.what, other.map_or(String::new(), |other| line(other.as_str())));
    let typed = fault.what.split('"').nth(1).unwrap_or_default();
    let suggestion = nearest(typed, fault.known.iter().map(String::as_str));
    let reason = reason(fault.rule);
    let span = report.place(at);
    match fault.weight() {
        Weight::Refused => report.suggest(reason, span, at, &message, suggestion, &fault.fix),
        Weight::Warning => report.warn(reason, span, at, &message, suggestion, &fault.fix),
    }
}

const fn reason(rule: Rule) -> Reason {
    match rule {
        Rule::NameInvalid
        | Rule::TooMany
        | Rule::Unknown
        | Rule::OffLoopback
        | Rule::NotOffered
        | Rule::EgressInside
        | Rule::EgressOpener => Reason::ConfigInvalidValue,
        Rule::PlaneEmpty | Rule::Serverless | Rule::NoDoor => Reason::ConfigMissingKey,
        Rule::EdgeInside => Reason::WiringEdgeInside,
        Rule::OpsReserved => Reason::WiringOpsReserved,
        Rule::PortTaken | Rule::PortKind => Reason::WiringPort,
        Rule::NameTwice
        | Rule::RoleMissing
        | Rule::RoleIdle
        | Rule::AddressForeign
        | Rule::AddressTwice
        | Rule::FamilyApart
        | Rule::HubsTogether
        | Rule::PlanesTogether
        | Rule::ServerTwice
        | Rule::ProtocolUnfit
        | Rule::NotOpened
        | Rule::EgressName => Reason::ConfigConflict,
    }
}
