//! Strangers who know too much: an address whose lease has closed, with its right name; or a live address with the name
//! of somebody else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use rotator::pool::Range;
use tokio_util::sync::CancellationToken;

use super::pace::{Budget, Pace, crew};
use super::scan::Counts;
use super::target::{ForeignTarget, permitted, source};
use crate::rehearsal::bounds::STALE_TARGETS_MAX;
use crate::rehearsal::dice::Dice;
use crate::rehearsal::knock::{Greeter, knock};

/// An address, and the name that is said there.
pub type Target = (SocketAddr, String);

/// Where to knock. At most [`STALE_TARGETS_MAX`]; may be replaced at any time.
#[derive(Debug, Default)]
pub struct Targets(Mutex<Vec<Target>>);

impl Targets {
    /// # Errors
    /// One of them is not the edge's own.
    pub fn permitted(targets: Vec<Target>, pools: &[Range]) -> Result<Self, ForeignTarget> {
        targets.iter().try_for_each(|(at, _)| permitted(at.ip(), pools))?;
        let all = Self::default();
        all.replace(targets);
        Ok(all)
    }

    pub fn replace(&self, mut targets: Vec<Target>) {
        targets.truncate(STALE_TARGETS_MAX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    fn any(&self, dice: &mut Dice) -> Option<Target> {
        let targets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        targets.get(dice.below(targets.len() as u64) as usize).cloned()
    }
}

/// Knocks at its targets in any order.
pub struct Knocker {
    pub targets: Targets,
    greeter: Greeter,
    pub counts: Counts,
}

impl Knocker {
    /// # Errors
    /// The TLS library's.
    pub fn new(targets: Targets) -> Result<Self> {
        Ok(Self { targets, greeter: Greeter::new()?, counts: Counts::default() })
    }

    /// Until `stop`.
    pub async fn run(self: &Arc<Self>, budget: Budget, stop: &CancellationToken) {
        crew(budget, stop, |pace| Arc::clone(self).work(pace)).await;
    }

    async fn work(self: Arc<Self>, pace: Arc<Pace>) {
        let Ok(mut dice) = Dice::new() else { return };
        loop {
            pace.turn().await;
            let Some((at, name)) = self.targets.any(&mut dice) else { continue };
            let Ok(hello) = self.greeter.hello(Some(&name)) else { continue };
            let heard = knock(source(at.ip(), &mut dice), at, &hello).await;
            self.counts.count(heard.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_bounded_own_and_replaceable() {
        let target = |port: u16| (SocketAddr::new("127.83.0.1".parse().unwrap(), port), "a.test".to_owned());
        let many = (0..2 * STALE_TARGETS_MAX as u16).map(target).collect();
        let targets = Targets::permitted(many, &[]).unwrap();
        assert_eq!(targets.0.lock().unwrap().len(), STALE_TARGETS_MAX);
        let mut dice = Dice::seeded(5);
        assert!(targets.any(&mut dice).is_some());
        targets.replace(vec![]);
        assert_eq!(targets.any(&mut dice), None);
        let foreign = vec![target(1), ("192.0.2.1:443".parse().unwrap(), "a.test".to_owned())];
        assert_eq!(Targets::permitted(foreign, &[]).err(), Some(ForeignTarget("192.0.2.1".parse().unwrap())));
    }
}
