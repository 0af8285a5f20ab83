//! A way out for the inside, where the wiring names who may leave, by which name, and through which edge (requirement 0.18).

use super::Shared;
use super::exchange::open_on;
use crate::bounds::OPEN_ATTEMPTS;
use crate::identity::{Identity, Role};
use crate::lane::Class;
use crate::lane::stream::LaneStream;
use crate::link::Link;
use crate::refusal::Refusal;
use crate::wire::{Open, Opened};
use crate::wiring::Wiring;

/// A stream to an edge that is the way out of that name. `claimed` is whom the local hub asks for, empty for itself; it can
/// speak only for servers that the wiring lets join it.
pub(super) async fn reach(
    shared: &Shared,
    from: &Link,
    class: Class,
    claimed: &str,
    open: Open,
) -> Result<(LaneStream, Opened), Refusal> {
    let who = leaver(from.far(), claimed).ok_or(Refusal::NotPermitted)?;
    let wiring = shared.wiring.load_full();
    if !wiring.may_leave(&who, from.far(), &open.service) {
        return Err(Refusal::NotPermitted);
    }
    let is_exit = |link: &&std::sync::Arc<Link>| {
        link.far().role() == Role::Edge
            && link.is_established()
            && wiring.may_be_exit(link.far(), &open.service)
    };
    let mut failure = Refusal::ServiceNotOffered;
    for link in shared.all_links().iter().filter(is_exit).take(OPEN_ATTEMPTS) {
        let (name, open) = (open.service.as_str(), Open { caller: who.to_string(), ..open.clone() });
        let may = |wiring: &Wiring| {
            wiring.may_leave(&who, from.far(), name) && wiring.may_be_exit(link.far(), name)
        };
        match open_on(shared, link, class, open, may).await {
            Ok(reached) => return Ok(reached),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

/// For whom this local hub asks; empty for itself.
pub(super) fn leaver(local_hub: &Identity, claimed: &str) -> Option<Identity> {
    if claimed.is_empty() { Some(local_hub.clone()) } else { Identity::from_text(claimed) }
}
