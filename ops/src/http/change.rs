//! A change on its way: decided, made durable, and served by everybody before it is answered.

use defense::Reason;
use rotator::GrantNo;
use state::store::commit;
use state::{Records, Refusal, Txn};

use super::App;
use super::problem::Problem;
use crate::bounds::SETTLE_WAIT;
use crate::views::{AckView, Told};

/// Commits a decision, or only takes it in a dry run. `then` runs as soon as it is durable, before everybody serves it.
pub(super) async fn change<T: Send + 'static>(
    app: &App,
    dry_run: bool,
    mut decide: impl FnMut(&Records) -> Result<(Txn, T), Refusal> + Send + 'static,
    then: impl FnOnce(&T) + Send,
) -> Result<(T, Told), Problem> {
    if dry_run {
        let (txn, value) = decide(&app.store.read())?;
        let changed = !txn.changes.is_empty();
        return Ok((value, Told { changed, dry_run, revision: None, acks: Vec::new(), undo: Vec::new() }));
    }
    let noted = move |records: &Records| {
        let (txn, value) = decide(records)?;
        let changed = !txn.changes.is_empty();
        Ok((txn, (value, changed)))
    };
    let (revision, (value, changed)) = commit(&*app.store, noted).await?;
    then(&value);
    let acks = app.store.followers().settled(revision, SETTLE_WAIT).await;
    let acks = acks.into_iter().map(|ack| AckView { name: ack.name, ack_ms: ack.ack_ms }).collect();
    Ok((value, Told { changed, dry_run, revision: Some(revision), acks, undo: Vec::new() }))
}

/// Connections of these grants.
pub(super) fn open(app: &App, grants: &[GrantNo]) -> usize {
    grants.iter().map(|no| app.eyes.connections_of(*no)).sum()
}

/// Closes them; the edge closes what it finds first by itself, so the larger figure is the true one.
pub(super) fn close(app: &App, grants: &[GrantNo], before: usize, reason: Reason) -> usize {
    app.eyes.close_grants(grants, reason).max(before)
}

pub(super) fn undo(words: &[&str]) -> Vec<String> {
    std::iter::once("wandergate").chain(words.iter().copied()).map(str::to_owned).collect()
}
