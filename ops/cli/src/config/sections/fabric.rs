//! `roles` and `[fabric]`: what this process is, and how it finds the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use defense::Reason;

use super::super::reader::{Field, Section};
use super::super::words;
use super::super::{Fabric, Joined, MemberRole, Roles, names};
use super::{Files, or, path};

const SPLIT: &str = "Write roles = [\"edge\", \"dns\", \"register\", \"ops\"] for the gateway, and give each hub and local hub a process of its own; leave roles out for everything in one.";

/// What this process is. `verb` is the role that the command line asks for.
pub(super) fn roles(root: &Section<'_>, verb: Option<MemberRole>) -> Option<Roles> {
    let Some(field) = root.field("roles") else {
        return Some(verb.map_or(Roles::All, of_member));
    };
    let choices: Vec<(&str, &str)> = names::ROLES.iter().map(|name| (*name, *name)).collect();
    let named = field.each(|item| item.choice(&choices))?;
    let has = |role: &&&str| named.contains(*role);
    let edge_side = names::EDGE_SIDE.iter().filter(has).count();
    let read = match (edge_side, named.contains(&"hub"), named.contains(&"local-hub")) {
        (0, true, false) => Roles::Hub,
        (0, false, true) => Roles::LocalHub,
        (4, false, false) => Roles::EdgeSide,
        (0, _, _) => {
            refuse(&field, "puts two members of the fabric into one process", SPLIT);
            return None;
        }
        (_, false, false) => {
            let lacks: Vec<&str> =
                names::EDGE_SIDE.iter().copied().filter(|role| !named.contains(role)).collect();
            let why = format!("lacks {}: edge, dns, register and ops share one state", lacks.join(" and "));
            refuse(&field, &why, SPLIT);
            return None;
        }
        // Requirement 0.09: who takes the process that faces outwards must not have the inside.
        (_, _, _) => {
            refuse(&field, "puts what faces outwards and what is inside into one process", SPLIT);
            return None;
        }
    };
    match verb.map(of_member) {
        Some(wanted) if wanted != read => {
            refuse(
                &field,
                "is not the role that the command line asks for",
                "Run it as `wandergate run --config FILE`.",
            );
            None
        }
        Some(_) | None => Some(read),
    }
}

const fn of_member(role: MemberRole) -> Roles {
    match role {
        MemberRole::Hub => Roles::Hub,
        MemberRole::LocalHub => Roles::LocalHub,
    }
}

/// Reports every section that a process of the fabric alone has no use for.
pub(super) fn only_members_sections(root: &Section<'_>, role: MemberRole) {
    for (key, span, _) in root.entries() {
        if names::SECTIONS.contains(&key) && !names::MEMBER_SECTIONS.contains(&key) {
            let message = format!("[{key}] has no use in a process of role {}", role.as_str());
            let fix = "Move it to the gateway's own file; what services there are, the wiring says.";
            root.report().error(Reason::ConfigConflict, span, key, &message, fix);
        }
    }
}

/// `[fabric]` of a gateway: a plane of its own, or planes that run elsewhere.
pub(super) fn gateway(section: &Section<'_>, roles: Roles, files: &Files<'_>) -> Option<Fabric> {
    if let Some(field) = section.field("state_dir") {
        refuse(&field, "has no use here: only a hub has a term to remember", "Remove the line.");
    }
    match roles {
        Roles::EdgeSide => {
            no_own_hub(section);
            joined(section, files).map(Fabric::Joined)
        }
        Roles::All | Roles::Hub | Roles::LocalHub => {
            for key in ["wiring", "credentials", "name"] {
                if let Some(field) = section.field(key) {
                    let why = "is for planes of several computers, but this process is everything at once";
                    refuse(&field, why, &format!("Remove the line. Or: {SPLIT}"));
                }
            }
            let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
            Some(Fabric::Own { hub: or(section.field("hub"), default, |f| f.parsed(words::listener))? })
        }
    }
}

/// `[fabric]` of a hub or local hub, and its own folder.
pub(super) fn member(
    section: &Section<'_>,
    role: MemberRole,
    files: &Files<'_>,
) -> Option<(Joined, PathBuf)> {
    no_own_hub(section);
    let joined = joined(section, files);
    let default = PathBuf::from("/var/lib/wandergate").join(role.as_str());
    let state_dir = or(section.field("state_dir"), default, |f| f.parsed(|text| path(text, files.base)));
    Some((joined?, state_dir?))
}

fn joined(section: &Section<'_>, files: &Files<'_>) -> Option<Joined> {
    let wiring = section
        .required("wiring", "Name the wiring file, the same for every member: wiring = \"wiring.toml\".")
        .and_then(|f| files.present(&f, "Name the wiring file of the whole deployment."));
    let fix = "Name the member's file: credentials = \"hub-a1.pem\"; `wandergate hub issue` makes one.";
    let credentials = section
        .required("credentials", fix)
        .and_then(|f| files.present(&f, "Name an existing file; `wandergate hub issue` makes one."));
    let name = or(section.field("name"), None, |f| f.parsed(words::name).map(Some));
    Some(Joined { wiring: wiring?, credentials: credentials?, name: name? })
}

fn no_own_hub(section: &Section<'_>) {
    if let Some(field) = section.field("hub") {
        refuse(&field, "has no use here: where hubs listen, the wiring says", "Remove the line.");
    }
}

fn refuse(field: &Field<'_>, why: &str, fix: &str) {
    let message = format!("{} = {} {why}", field.path, field.shown());
    field.conflict(&message, fix);
}
