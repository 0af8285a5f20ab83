//! `wandergate audit …`: read who did what, and verify the chain here rather than believe the gateway.

use clap::Subcommand;
use rotator::UnixTime;
use serde_json::{Value, json};
use state::Act;
use state::audit::{Entry, start};

use defense::Reason;

use super::Told;
use super::change::{Calls, list};
use crate::client::Failure;
use crate::output::{Table, cell};

#[derive(Clone, Debug, Subcommand)]
pub enum AuditVerb {
    /// The last entries
    Tail {
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
    },
    /// Compute the whole chain anew, from its first entry
    Verify,
}

pub(super) async fn run(verb: AuditVerb, calls: &Calls) -> Result<Told, Failure> {
    match verb {
        AuditVerb::Tail { lines } => tail(calls, lines).await,
        AuditVerb::Verify => verify(calls).await,
    }
}

async fn tail(calls: &Calls, lines: u16) -> Result<Told, Failure> {
    let answer = calls.read(&format!("/v1/audit?limit={lines}")).await?;
    let mut table = Table::new(&["SEQ", "AT", "WHO", "WHAT", "TARGET", "WHY"]);
    for entry in list(&answer["entries"]) {
        table.row(["seq", "at", "actor", "verb", "target", "why"].map(|key| cell(&entry[key])));
    }
    let text = table.text("Nothing has happened yet.");
    Ok(Told::new(answer, text))
}

async fn verify(calls: &Calls) -> Result<Told, Failure> {
    let (mut head, mut seq) = (start(), 0);
    loop {
        let page = calls.read(&format!("/v1/audit?from={}&limit=1000", seq + 1)).await?;
        for shown in list(&page["entries"]) {
            let entry = entry(shown).ok_or_else(|| broken(seq + 1))?;
            if !entry.follows(&head, seq + 1) {
                return Err(broken(seq + 1));
            }
            head = entry.hash;
            seq += 1;
        }
        let length = page["length"].as_u64().unwrap_or(0);
        if page["next"].is_null() {
            // Entries may be added while this reads; none may be missing.
            return if seq < length { Err(broken(seq + 1)) } else { Ok(whole(seq, &head)) };
        }
    }
}

fn whole(seq: u64, head: &str) -> Told {
    let json = json!({ "schema": "wandergate.audit.verify/1", "ok": true, "entries": seq, "head": head });
    Told::new(json, format!("{seq} entries follow from each other; head {head}"))
}

fn broken(seq: u64) -> Failure {
    Failure::refused(Reason::AuditBroken, &format!("Entry {seq} does not follow from the one before it."))
}

fn entry(shown: &Value) -> Option<Entry> {
    let text = |key: &str| shown[key].as_str().map(str::to_owned);
    Some(Entry {
        seq: shown["seq"].as_u64()?,
        act: Act {
            at: UnixTime::from_secs(shown["at_unix"].as_u64()?),
            actor: text("actor")?,
            verb: text("verb")?,
            target: text("target")?,
            why: text("why")?,
        },
        changes: text("changes")?,
        before: text("before")?,
        hash: text("hash")?,
    })
}
