//! `wandergate hub ca` and `hub issue`: the fabric's authority and its members' credentials, made offline.
//!
//! The authority's file belongs on no hub, no edge and no local hub: whoever holds it is everybody.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use fabric::{Authority, Identity, Role, Validity};
use rotator::UnixTime;
use serde_json::json;
use state::Clock;

use super::Told;
use super::words;
use crate::client::Failure;
use crate::output::span;
use crate::{secrets, wiring_file};

/// Certificates hold a little before they are made, for clocks that are behind.
const BACKDATE_S: u64 = 300;
const AUTHORITY_S: u64 = 10 * 365 * 24 * 3600;
/// Credentials are short-lived by design; nobody revokes one.
const LEAF_MAX_S: u64 = 90 * 24 * 3600;

#[derive(Clone, Debug, Args)]
pub struct CaArgs {
    /// The file to make, of mode 0600
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct IssueArgs {
    /// The authority's file, as `wandergate hub ca` made it
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The folder to write NAME.pem into, one file a member
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// How long they hold: 24h, 7d; at most 90d
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = words::seconds)]
    hold_s: u64,
    /// Make them for every member of this wiring
    #[arg(long, value_name = "FILE", conflicts_with = "members", required_unless_present = "members")]
    wiring: Option<PathBuf>,
    /// Make them for these: hub/hub-a1, local-hub/app1, server/worker1, edge/edge1
    #[arg(value_name = "ROLE/NAME")]
    members: Vec<String>,
}

pub(super) fn ca(args: &CaArgs) -> Result<Told, Failure> {
    if args.file.exists() {
        let why = "is there already: whoever replaces it parts all members from each other";
        return Err(Failure::Usage(format!("{} {why}.", args.file.display())));
    }
    let authority = Authority::generate(validity(AUTHORITY_S)).map_err(|e| Failure::Odd(e.to_string()))?;
    write(&args.file, &authority.to_secret_pem())?;
    let text = format!(
        "made {}: keep it away from hubs and edges, it signs for every member\nnext: wandergate hub issue --ca {} --wiring wiring.toml",
        args.file.display(),
        args.file.display()
    );
    Ok(Told::new(json!({ "schema": "wandergate.hub.ca/1", "file": args.file }), text))
}

pub(super) fn issue(args: &IssueArgs) -> Result<Told, Failure> {
    if !(1..=LEAF_MAX_S).contains(&args.hold_s) {
        return Err(Failure::Usage(format!("--for: 1s to {}.", span(LEAF_MAX_S))));
    }
    let pem = secrets::load(&args.ca).map_err(|e| Failure::Usage(format!("{e:#}.")))?;
    let authority = std::str::from_utf8(&pem).ok().and_then(|pem| Authority::from_secret_pem(pem).ok());
    let damaged = || Failure::Usage(format!("{} is no authority's file.", args.ca.display()));
    let authority = authority.ok_or_else(damaged)?;
    let members = match &args.wiring {
        Some(file) => of_wiring(file)?,
        None => args.members.iter().map(|text| member(text)).collect::<Result<_, _>>()?,
    };
    let names: BTreeSet<&str> = members.iter().map(Identity::name).collect();
    if names.len() != members.len() {
        return Err(Failure::Usage("Two members of one name would have one file: issue them apart.".into()));
    }
    secrets::folder(&args.out).map_err(|e| Failure::Usage(format!("{e:#}.")))?;
    let (mut files, mut lines) = (Vec::new(), Vec::new());
    for who in &members {
        let file = args.out.join(format!("{}.pem", who.name()));
        let issued = authority.issue(who, validity(args.hold_s)).map_err(|e| Failure::Odd(e.to_string()))?;
        write(&file, &issued.to_secret_pem())?;
        lines.push(format!("{who}  {}  for {}", file.display(), span(args.hold_s)));
        files.push(json!({ "member": who.to_string(), "file": file }));
    }
    let told = json!({ "schema": "wandergate.hub.issue/1", "for_s": args.hold_s, "credentials": files });
    Ok(Told::new(told, lines.join("\n")))
}

/// Hubs, local hubs, native servers and edges.
fn of_wiring(file: &Path) -> Result<Vec<Identity>, Failure> {
    let wiring = wiring_file::load(file).map_err(|errors| Failure::Usage(errors.to_string()))?;
    let hubs = wiring.hubs().map(|(_, hub)| (Role::Hub, hub.name.as_str()));
    let locals = wiring.local_hubs.iter().map(|local| (Role::LocalHub, local.name.as_str()));
    let edges = wiring.edges.iter().map(|edge| (Role::Edge, edge.name.as_str()));
    let servers = wiring.servers.iter().map(|server| (Role::Server, server.name.as_str()));
    let all = hubs.chain(locals).chain(servers).chain(edges);
    // Every name was checked with the file.
    Ok(all.filter_map(|(role, name)| Identity::new(role, name)).collect())
}

fn member(text: &str) -> Result<Identity, Failure> {
    let roles = [Role::Hub, Role::LocalHub, Role::Server, Role::Edge];
    let read = text.split_once('/').and_then(|(role, name)| {
        let role = roles.into_iter().find(|known| known.as_str() == role)?;
        Identity::new(role, name)
    });
    let wrong = || {
        Failure::Usage(format!(
            "\"{text}\" is no member: write hub/NAME, local-hub/NAME, server/NAME or edge/NAME."
        ))
    };
    read.ok_or_else(wrong)
}

fn write(file: &Path, pem: &str) -> Result<(), Failure> {
    secrets::write(file, pem.as_bytes()).map_err(|e| Failure::Usage(format!("{e:#}.")))
}

fn validity(length_s: u64) -> Validity {
    let now: UnixTime = Clock::system().now();
    Validity { not_before: now.minus(BACKDATE_S).secs(), not_after: now.plus(length_s).secs() }
}
