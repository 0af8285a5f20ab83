//! What is where: the services of this computer, by name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::bounds::SERVICES_MAX;
use crate::refusal::is_name;

/// Services by name, with the loopback address of each.
pub type Services = BTreeMap<String, SocketAddr>;

/// A table of services that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServicesError {
    /// The name breaks the rules of names.
    #[error("{0:?} is no service name: 1 to 255 ASCII letters, digits, and . _ - :")]
    NotAName(String),
    /// The address leads off this computer; the fabric gives nobody a way out.
    #[error("{0}: the address {1} is not on loopback")]
    NotLoopback(String, SocketAddr),
    /// More than [`SERVICES_MAX`].
    #[error("more than {SERVICES_MAX} services")]
    TooMany,
}

/// The services now; who offers them is told when they change.
pub(super) struct Shelf {
    services: ArcSwap<Services>,
    /// Counts the changes.
    changed: watch::Sender<u64>,
}

impl Shelf {
    pub(super) fn new(services: Services) -> Result<Self, ServicesError> {
        check(&services)?;
        Ok(Self { services: ArcSwap::from_pointee(services), changed: watch::Sender::new(0) })
    }

    /// Replaces all; returns the old and the new.
    pub(super) fn replace(
        &self,
        services: Services,
    ) -> Result<(Arc<Services>, Arc<Services>), ServicesError> {
        check(&services)?;
        let new = Arc::new(services);
        let old = self.services.swap(new.clone());
        self.changed.send_modify(|sequence| *sequence += 1);
        Ok((old, new))
    }

    pub(super) fn all(&self) -> Arc<Services> {
        self.services.load_full()
    }

    pub(super) fn address(&self, service: &str) -> Option<SocketAddr> {
        self.services.load().get(service).copied()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

fn check(services: &Services) -> Result<(), ServicesError> {
    if services.len() > SERVICES_MAX {
        return Err(ServicesError::TooMany);
    }
    for (name, address) in services {
        if !is_name(name) {
            return Err(ServicesError::NotAName(name.clone()));
        }
        if !address.ip().to_canonical().is_loopback() {
            return Err(ServicesError::NotLoopback(name.clone(), *address));
        }
    }
    Ok(())
}
