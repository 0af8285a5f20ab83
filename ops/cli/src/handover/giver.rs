//! The process that is replaced: starts its heir, hands on what it has, and goes on itself if that fails.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use edge::Edge;
use edge::sockets::Sockets;
use state::{Embedded, Lent};

use super::wire::Wire;
use super::{LEAVE_MAX, READY_MAX};

/// What a giver has.
pub struct Given {
    pub sockets: Arc<Sockets>,
    pub store: Arc<Embedded>,
    pub edge: Arc<Edge>,
}

/// Starts `program` with `args` as heir, and returns its process id once it serves. Blocks.
///
/// # Errors
/// Why there is no heir; everything is as it was then.
pub fn give(program: &Path, args: &[String], given: &Given) -> Result<u32> {
    let (wire, theirs) = Wire::pair()?;
    let mut heir = Command::new(program)
        .args(args)
        .stdin(Stdio::from(theirs))
        .spawn()
        .with_context(|| format!("{} does not start", program.display()))?;
    let mut lent = None;
    if let Err(error) = hand_on(&wire, given, &mut lent) {
        // It may have ended by itself, which is well too. Two processes cannot have the store, so it has to be gone first.
        let _ = heir.kill();
        let _ = heir.wait();
        if let Some(lent) = lent {
            lent.take_back();
        }
        return Err(error);
    }
    if let Some(lent) = lent {
        lent.give_away();
    }
    let (pid, wire) = (heir.id(), Arc::new(wire));
    follow(Arc::clone(&wire), heir, Arc::clone(&given.edge))?;
    given.edge.leave_datagrams(LEAVE_MAX);
    // An heir that is gone by now reads none either way.
    let _ = wire.say("datagrams");
    Ok(pid)
}

fn hand_on(wire: &Wire, given: &Given, lent: &mut Option<Lent>) -> Result<()> {
    wire.wait_at_most(Some(READY_MAX))?;
    wire.give(&given.sockets.all()?).context("the new process does not take the sockets")?;
    expect(wire, "store")?;
    *lent = Some(given.store.lend());
    wire.say("yours")?;
    expect(wire, "ready")
}

fn expect(wire: &Wire, text: &str) -> Result<()> {
    let heard = wire.hear();
    match heard.as_deref() {
        Ok(heard) if heard == text => Ok(()),
        Ok(heard) => bail!("{}", heard.strip_prefix("failed: ").unwrap_or(heard)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            bail!("the new process did not come up within {} s", READY_MAX.as_secs())
        }
        Err(_) => bail!("the new process ended before it was ready; what it said is in the log"),
    }
}

/// Closes the connections of grants that the heir says are gone, until it ends or this process does.
fn follow(wire: Arc<Wire>, mut heir: Child, edge: Arc<Edge>) -> Result<()> {
    wire.wait_at_most(None)?;
    let named = std::thread::Builder::new().name("heir".into());
    named.spawn(move || {
        while let Ok(text) = wire.hear() {
            let Some(grants) = text.strip_prefix("gone ") else {
                // It lost sight of what changed: nobody may stay on an old grant.
                edge.hasten();
                break;
            };
            let grants: Vec<_> = grants.split(' ').filter_map(|no| no.parse().ok()).collect();
            edge.forget(&grants);
            if wire.say("done").is_err() {
                break;
            }
        }
        // It is our child as long as we are there.
        let _ = heir.wait();
    })?;
    Ok(())
}
