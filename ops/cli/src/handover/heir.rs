//! The process that takes over.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use anyhow::{Context, Result, bail};
use edge::Edge;
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

    /// Tells the predecessor, which serves whom it has until they leave, whose grants are gone meanwhile. The edge reads
    /// datagrams when the predecessor does no more.
    pub async fn follow(self, edge: Arc<Edge>, store: Arc<dyn Store>, stop: CancellationToken) {
        let wire = Arc::new(self.0);
        let Ok(answers) = listen(Arc::clone(&wire), Arc::clone(&edge)) else { return edge.read_datagrams() };
        let mut changes = store.watch("predecessor");
        changes.applied(store.read().revision());
        let mut end = Some((wire, answers));
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
                    drop(end.take().map(|(wire, _)| wire.say("lost")));
                    return;
                }
            };
            let Some((wire, answers)) = end.take() else { return };
            let told =
                tokio::task::spawn_blocking(move || tell(&wire, &answers, &gone).then_some((wire, answers)));
            // The predecessor is gone, and with it the connections.
            let Ok(Some(alive)) = told.await else { return };
            end = Some(alive);
            changes.applied(revision);
        }
    }
}

fn gone(store: &dyn Store, grants: &[GrantNo]) -> Vec<GrantNo> {
    let records = store.read();
    grants.iter().copied().filter(|grant| records.grant_view(*grant).is_none()).collect()
}

/// Hears the predecessor to its end; its answers are to be had from the channel.
fn listen(wire: Arc<Wire>, edge: Arc<Edge>) -> Result<Receiver<()>> {
    wire.wait_at_most(None)?;
    let (answer, answers) = mpsc::sync_channel(1);
    let named = std::thread::Builder::new().name("predecessor".into());
    named.spawn(move || {
        while let Ok(text) = wire.hear() {
            match text.as_str() {
                "datagrams" => edge.read_datagrams(),
                // Nobody waits for more than one.
                _ => drop(answer.try_send(())),
            }
        }
        // Whatever became of it: nobody else reads them.
        edge.read_datagrams();
    })?;
    Ok(answers)
}

/// False: nobody is there to be told.
fn tell(wire: &Wire, answers: &Receiver<()>, gone: &[GrantNo]) -> bool {
    gone.chunks(GRANTS_MAX).all(|some| {
        let names: Vec<String> = some.iter().map(GrantNo::to_string).collect();
        wire.say(&format!("gone {}", names.join(" "))).is_ok() && answers.recv_timeout(ANSWER_MAX).is_ok()
    })
}
