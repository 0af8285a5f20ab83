//! The process that takes over.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use edge::sockets::Sockets;
use rotator::GrantNo;
use state::{Event, Store};
use tokio_util::sync::CancellationToken;

use super::ANSWER_MAX;
use super::wire::Wire;

/// Grants that one text names.
const GRANTS_MAX: usize = 1000;

/// Our end of the pair, as long as the predecessor has not let go.
#[derive(Debug)]
pub struct Heir(Wire);

impl Heir {
    /// Takes the predecessor's sockets. Blocks.
    ///
    /// # Errors
    /// Standard input is no such pair: only a running gateway starts this.
    pub fn begin() -> Result<(Self, Sockets)> {
        let wire = Wire::from_stdin().context("there is no process to take over from")?;
        wire.wait_at_most(Some(ANSWER_MAX))?;
        let sockets = wire.take().context("the predecessor handed no sockets on")?;
        Ok((Self(wire), Sockets::inheriting(sockets)))
    }

    /// Asks for the store; it is closed when this returns. Blocks.
    ///
    /// # Errors
    /// The predecessor is gone, or does not give it.
    pub fn ask_for_store(&self) -> Result<()> {
        self.0.say("store")?;
        match self.0.hear().context("the predecessor did not let go of the store")?.as_str() {
            "yours" => Ok(()),
            other => bail!("the predecessor keeps the store: {other}"),
        }
    }

    /// All works here.
    ///
    /// # Errors
    /// The predecessor is gone: nobody has to be told.
    pub fn ready(&self) -> Result<()> {
        Ok(self.0.say("ready")?)
    }

    /// It does not, and the predecessor stays.
    pub fn failed(&self, why: &str) {
        // Whoever is gone does not need to know.
        let _ = self.0.say(&format!("failed: {why}"));
    }

    /// Tells the predecessor, which serves whom it has until they leave, whose grants are gone meanwhile.
    pub async fn follow(self, store: Arc<dyn Store>, stop: CancellationToken) {
        let mut changes = store.watch("predecessor");
        changes.applied(store.read().revision());
        let mut wire = Some(self.0);
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = changes.next() => event,
            };
            let (gone, revision) = match event {
                None => return,
                Some(Event::Changed(delta)) => (gone(store.as_ref(), &delta.grants), delta.revision),
                Some(Event::Reset) => {
                    // What was missed may have been anything.
                    drop(wire.take().map(|end| end.say("lost")));
                    return;
                }
            };
            let Some(end) = wire.take() else { return };
            let told = tokio::task::spawn_blocking(move || tell(&end, &gone).then_some(end)).await;
            // The predecessor is gone, and with it the connections.
            let Ok(Some(end)) = told else { return };
            wire = Some(end);
            changes.applied(revision);
        }
    }
}

fn gone(store: &dyn Store, grants: &[GrantNo]) -> Vec<GrantNo> {
    let records = store.read();
    grants.iter().copied().filter(|grant| records.grant_view(*grant).is_none()).collect()
}

/// False: nobody is there to be told.
fn tell(wire: &Wire, gone: &[GrantNo]) -> bool {
    gone.chunks(GRANTS_MAX).all(|some| {
        let names: Vec<String> = some.iter().map(GrantNo::to_string).collect();
        wire.say(&format!("gone {}", names.join(" "))).is_ok() && wire.hear().is_ok()
    })
}
