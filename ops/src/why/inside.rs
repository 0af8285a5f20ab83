//! The same question to a process of the fabric alone: is this service, member or reason refused here, and why.

use defense::{Reason, VerdictKind};
use state::Refusal;

use super::unknown;
use crate::bounds::{TARGET_CHARS_MAX, WHY_SEEN_MAX};
use crate::eyes::{FabricSection, StreamRefusal};
use crate::views::{Why, layer_word};

/// Tells about a service by name, a member (`edge/edge1`) or a reason of the fabric.
///
/// # Errors
/// `unknown_target` for what is offered, linked and refused nowhere here.
pub fn inside(section: &FabricSection, asked: &str) -> Result<Why, Refusal> {
    let target = asked.trim();
    if target.is_empty() || target.len() > TARGET_CHARS_MAX {
        return Err(unknown(asked));
    }
    let (kind, what) = known(section, target);
    let concerned = |r: &&StreamRefusal| [&r.service, &r.caller, &r.reason].contains(&&target.to_owned());
    let fabric: Vec<StreamRefusal> =
        section.refusals.iter().filter(concerned).take(WHY_SEEN_MAX).cloned().collect();
    let last = fabric.first().and_then(|refused| Reason::from_name(&refused.reason));
    let (kind, what, reason) = match (what, fabric.first()) {
        (Some(what), _) => (kind, what, None),
        (None, Some(refused)) => {
            let what = format!(
                "{} asked for \"{}\", and was refused: {}.",
                refused.caller, refused.service, refused.reason
            );
            (if refused.reason == target { "reason" } else { kind }, what, last)
        }
        (None, None) => return Err(unknown(asked)),
    };
    let verdict = if reason.is_some() { VerdictKind::Reject } else { VerdictKind::Pass };
    Ok(Why {
        schema: "wandergate.why/1",
        target: target.to_owned(),
        kind,
        verdict: verdict.name(),
        reason: reason.map(Reason::name),
        code: reason.map(Reason::code),
        layer: reason.map(|r| layer_word(r.layer())),
        what,
        why: reason.map(|r| r.why().to_owned()),
        fix: reason.map(|r| r.fix().to_owned()),
        since: None,
        expires_at: None,
        expires_in_s: None,
        owner: None,
        connections: 0,
        leases: Vec::new(),
        seen: Vec::new(),
        fabric,
    })
}

/// What kind of thing it is, and what there is to say of it where all is well.
fn known(section: &FabricSection, target: &str) -> (&'static str, Option<String>) {
    let offering = section.planes.iter().filter(|p| p.services.iter().any(|s| s == target));
    let offering: Vec<&str> = offering.map(|plane| plane.plane.as_str()).collect();
    if !offering.is_empty() {
        let what = format!("The service \"{target}\" can be opened on plane {}.", offering.join(" and "));
        return ("service", Some(what));
    }
    if let Some(offer) = section.offers.iter().find(|offer| offer.service == target) {
        let (healthy, all) = (offer.healthy, offer.servers.len());
        let what = match offer.permitted {
            true => format!("The service \"{target}\" is offered here; {healthy} of {all} servers serve."),
            false => {
                format!("The service \"{target}\" is here, and no hub permits its offer: see the wiring.")
            }
        };
        return ("service", Some(what));
    }
    let link = section.planes.iter().flat_map(|plane| &plane.links).find(|link| link.far == target);
    if let Some(link) = link {
        let up = link.lanes.iter().filter(|lane| lane.up).count();
        let what = format!("Its link has {up} of {} lanes.", link.lanes.len());
        return ("member", Some(what));
    }
    ("service", None)
}
