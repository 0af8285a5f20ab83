//! Tells edges what local hubs offer here: each edge only of what it may open, and of local hubs that may offer that to it.

use std::sync::Arc;

use super::Shared;
use crate::identity::Role;
use crate::link::Link;
use crate::wire::{Frame, Offering};
use crate::wiring::Wiring;

impl Shared {
    /// What this local hub offers here changed, or it came or left: every edge that it concerns is told.
    pub(super) fn tell_edges(&self, local: &Arc<Link>) {
        // A link that was replaced has nothing to say any more.
        if self.members.find(local.far()).is_some_and(|newer| !Arc::ptr_eq(&newer, local)) {
            return;
        }
        let wiring = self.wiring.load();
        for edge in self.links_of(Role::Edge) {
            tell(&edge, local, &wiring, &wiring);
        }
    }

    /// This edge is told of every local hub that it may open something of.
    pub(super) fn tell_edge(&self, edge: &Link) {
        let wiring = self.wiring.load();
        for local in self.links_of(Role::LocalHub) {
            tell(edge, &local, &wiring, &wiring);
        }
    }

    /// The wiring changed: every edge is told of everything that concerns it, or did before.
    pub(super) fn tell_all(&self, before: &Wiring) {
        let wiring = self.wiring.load();
        let locals = self.links_of(Role::LocalHub);
        for edge in self.links_of(Role::Edge) {
            locals.iter().for_each(|local| tell(&edge, local, &wiring, before));
        }
    }

    fn links_of(&self, role: Role) -> Vec<Arc<Link>> {
        self.members.all().into_iter().filter(|link| link.far().role() == role).collect()
    }
}

fn tell(edge: &Link, local: &Link, wiring: &Wiring, before: &Wiring) {
    let Some((incarnation, sequence)) = local.offered() else { return };
    let concerns = |wiring: &Wiring| wiring.between(edge.far(), local.far()).next().is_some();
    if !concerns(wiring) && !concerns(before) {
        return;
    }
    let is_here = local.is_established() && !local.over().is_cancelled();
    let offered = local.services();
    let services = wiring.between(edge.far(), local.far());
    let services =
        services.filter(|service| is_here && offered.contains(*service)).map(str::to_owned).collect();
    let offering = Offering { incarnation, sequence, services };
    edge.announce(Frame::Notice { origin: local.far().name().to_owned(), offering });
}
