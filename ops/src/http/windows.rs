//! `/v1/windows` and `/v1/connections`

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use defense::Reason;
use rotator::{GrantNo, Lease, UnixTime};
use serde::Deserialize;
use state::txn::Record;
use state::{Card, Name, Records, Refusal, Txn};
use utoipa::IntoParams;

use super::App;
use super::change::change;
use super::extract::{Ask, Nothing, name};
use super::guard::Credential;
use super::problem::Problem;
use crate::acts::schedule::class_word;
use crate::acts::{Order, service, user};
use crate::bounds::{PAGE_DEFAULT, PAGE_MAX};
use crate::views::{ConnectionList, GrantConnections, Owner, WindowList, WindowView, rfc3339};

/// Which windows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    user: Option<String>,
    service: Option<String>,
    /// Show addresses and private names. Needs a user or a service, and is audited.
    #[serde(default)]
    reveal: bool,
    /// Of the page before, as it says in `next`.
    after: Option<u32>,
    /// Grants, 1 to 1000.
    limit: Option<usize>,
}

/// Windows that stand now, tombstones included. Addresses are redacted unless revealed.
#[utoipa::path(get, path = "/v1/windows", tag = "windows", params(Which), responses(
    (status = 200, body = WindowList), (status = 404, description = "unknown_user, unknown_service"),
    (status = 422, description = "body_invalid")))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Credential>,
    Ask(which): Ask<Which>,
) -> Result<Answer<WindowList>, Problem> {
    let user = which.user.as_deref().map(|t| name(t, Reason::UnknownUser)).transpose()?;
    let service = which.service.as_deref().map(|t| name(t, Reason::UnknownService)).transpose()?;
    if which.reveal {
        let order = app.order(who, "")?;
        note_reveal(&app, order, user.clone(), service.clone()).await?;
    }
    let limit = which.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let (cards, next) = cards(&app.store.read(), user.as_ref(), service.as_ref(), which.after, limit)?;
    let now = app.now();
    let mut windows = Vec::new();
    for card in &cards {
        let names = if which.reveal { app.eyes.names_of(card.grant) } else { Vec::new() };
        let leases = app.eyes.addresses_of(card.grant);
        windows.extend(leases.into_iter().map(|held| view(card, held, now, which.reveal, &names)));
    }
    Ok(Answer(WindowList {
        schema: "wandergate.window.list/1",
        now: rfc3339(now),
        revealed: which.reveal,
        windows,
        next,
    }))
}

/// Grants with open connections, the busiest first.
#[utoipa::path(get, path = "/v1/connections", tag = "windows", responses(
    (status = 200, body = ConnectionList), (status = 422, description = "body_invalid")))]
pub(super) async fn connections(
    State(app): State<Arc<App>>,
    Ask(Nothing {}): Ask<Nothing>,
) -> Answer<ConnectionList> {
    let numbers: Vec<GrantNo> = app.store.read().grants().map(|(no, _)| no).collect();
    let counts = numbers.into_iter().map(|no| (app.eyes.connections_of(no), no));
    let mut busy: Vec<(usize, GrantNo)> = counts.filter(|(open, _)| *open > 0).collect();
    busy.sort_by_key(|(open, no)| (std::cmp::Reverse(*open), *no));
    let open = busy.iter().map(|(open, _)| open).sum();
    let records = app.store.read();
    let shown = busy.into_iter().filter_map(|(open, no)| {
        let view = records.grant_view(no)?;
        Some(GrantConnections { owner: owner(&view.card), open })
    });
    let connections = shown.take(PAGE_MAX).collect();
    Answer(ConnectionList { schema: "wandergate.connection.list/1", open, connections })
}

/// The audit keeps who looked at whose addresses. An entry stands for a transaction that writes something, so the
/// record in question is written again as it is.
async fn note_reveal(
    app: &App,
    order: Order,
    user: Option<Name>,
    service: Option<Name>,
) -> Result<(), Problem> {
    let decide = move |records: &Records| {
        let txn = |target: String| Txn::new(order.act("window.reveal", &target));
        match (&user, &service) {
            (Some(name), _) => {
                let known = user::named(records, name)?.clone();
                Ok((txn(format!("user/{name}")).put(Record::User(known)), ()))
            }
            (None, Some(name)) => {
                let known = service::named(records, name)?.clone();
                Ok((txn(format!("service/{name}")).put(Record::Service(known)), ()))
            }
            (None, None) => Err(Refusal::new(Reason::BodyInvalid, "reveal: name a user or a service.")),
        }
    };
    change(app, false, decide, |()| ()).await.map(|_| ())
}

fn cards(
    records: &Records,
    user: Option<&Name>,
    service: Option<&Name>,
    after: Option<GrantNo>,
    limit: usize,
) -> Result<(Vec<Arc<Card>>, Option<GrantNo>), Refusal> {
    let mut numbers: Vec<GrantNo> = match (user, service) {
        (Some(name), _) => user::grants_of(records, user::named(records, name)?),
        (None, Some(name)) => records.grants_for(&service::named(records, name)?.name).collect(),
        (None, None) => records.grants().map(|(no, _)| no).collect(),
    };
    if let Some(name) = service {
        service::named(records, name)?;
        numbers.retain(|no| records.grant(*no).is_some_and(|g| g.service == *name));
    }
    numbers.retain(|no| after.is_none_or(|after| *no > after));
    numbers.sort_unstable();
    let more = numbers.len() > limit;
    numbers.truncate(limit);
    let next = more.then(|| numbers.last().copied()).flatten();
    Ok((numbers.into_iter().filter_map(|no| Some(records.grant_view(no)?.card)).collect(), next))
}

fn view(
    card: &Card,
    (address, lease): (IpAddr, Lease),
    now: UnixTime,
    reveal: bool,
    names: &[String],
) -> WindowView {
    WindowView {
        grant: card.grant,
        owner: owner(card),
        class: class_word(card.class),
        window: lease.window,
        state: lease.life(now).name(),
        port: card.listen.main_port(),
        opens_at: rfc3339(lease.opens()),
        starts_at: rfc3339(lease.start),
        ends_at: rfc3339(lease.ends()),
        closes_at: rfc3339(lease.closes()),
        closes_in_s: lease.closes().since(now),
        address: reveal.then(|| address.to_string()),
        names: names.to_vec(),
    }
}

fn owner(card: &Card) -> Owner {
    Owner { user: card.user.to_string(), device: card.device.to_string(), service: card.service.to_string() }
}
