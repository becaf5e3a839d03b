//! `/v1/leases`: bindings, page by page, asked of the workers that own them.
//!
//! A request never makes the server hold more than one page, nor a worker look at more than
//! [`PAGE_MAX`] bindings at a time.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Json;
use lease::Lease;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use wire::steer::shard_of;
use wire::{ClientKey, Duid, SHARDS, ShardId};

use super::ControlState;
use super::answer::ApiError;
use super::changes::LengthQuery;
use crate::config::value::{Identity, Wrong, parse_hex};
use crate::control::command::{
    Command, Filter, ListLeases, OwnedBinding, PAGE_MAX, Page, ShowLease, WorkerHandle,
};
use crate::control::line::Line;
use crate::control::view::{BindingView, LeasePage, parse_lease, parse_link, parse_status};

/// Bindings in a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 500;
/// Most bindings in a page: a megabyte or two of JSON.
const LIMIT_MAX: usize = 5000;
/// Commands sent for one page; enough to pass over every shard once when few bindings match.
const COMMANDS_MAX: usize = 2 * SHARDS;
/// A worker answers between two batches of packets, so in milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The query of `GET /v1/leases`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    link: Option<String>,
    duid: Option<String>,
    address: Option<String>,
    prefix: Option<String>,
    within: Option<String>,
    status: Option<String>,
    #[serde(rename = "remote-id")]
    remote_id: Option<String>,
    #[serde(rename = "interface-id")]
    interface_id: Option<String>,
    #[serde(rename = "subscriber-id")]
    subscriber_id: Option<String>,
    from: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(state): State<Arc<ControlState>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<LeasePage>, ApiError> {
    let Query(query) = query.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    let filter = filter(&query, &state)?;
    let (bindings, next) = match exact(&query)? {
        Some(lease) => {
            let found = find(&state, lease).await?;
            let matching = found.filter(|binding| matches(&filter, binding));
            (matching.into_iter().collect(), None)
        }
        None => page(&state, &query, filter).await?,
    };
    let model = state.model.load();
    let view = |binding| BindingView::new(binding, &model);
    Ok(Json(LeasePage {
        leases: bindings.iter().map(view).collect(),
        next: next.map(|cursor| cursor.to_string()),
    }))
}

pub(super) async fn show(
    State(state): State<Arc<ControlState>>,
    lease: Result<Path<String>, PathRejection>,
    query: Result<Query<LengthQuery>, QueryRejection>,
) -> Result<Json<BindingView>, ApiError> {
    let lease = lease_in_path(lease, query)?;
    match find(&state, lease).await? {
        Some(binding) => Ok(Json(BindingView::new(&binding, &state.model.load()))),
        None => Err(ApiError::NotFound(format!(
            "there is no binding of {lease}"
        ))),
    }
}

/// The lease that a path names, with the length in the path or in the query.
pub(super) fn lease_in_path(
    lease: Result<Path<String>, PathRejection>,
    query: Result<Query<LengthQuery>, QueryRejection>,
) -> Result<Lease, ApiError> {
    let Path(text) = lease.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    let Query(query) = query.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    let text = match query.length {
        Some(length) => format!("{text}/{length}"),
        None => text,
    };
    parse_lease(&text).map_err(ApiError::Bad)
}

fn filter(query: &ListQuery, state: &ControlState) -> Result<Filter, ApiError> {
    let bad = |key: &'static str| move |wrong: String| ApiError::Bad(format!("{key}: {wrong}"));
    let link = |name: &String| {
        let unknown = || ApiError::NotFound(format!("link: there is no link {name:?}"));
        parse_link(name, &state.model.load()).ok_or_else(unknown)
    };
    let duid = |text: &String| {
        let octets = parse_hex(text).filter(|octets| Duid::new(octets).is_some());
        let wrong = || format!("{text:?} is not a DUID; write 3 to 130 octets in hexadecimal");
        octets.map(Vec::into_boxed_slice).ok_or_else(wrong)
    };
    let within = |text: &String| parse_lease(text);
    let status = |text: &str| {
        let unknown = || format!("{text:?} is not a binding-status; write active or abandoned");
        parse_status(text).ok_or_else(unknown)
    };
    Ok(Filter {
        duid: query
            .duid
            .as_ref()
            .map(duid)
            .transpose()
            .map_err(bad("duid"))?,
        link: query.link.as_ref().map(link).transpose()?,
        within: query
            .within
            .as_ref()
            .map(within)
            .transpose()
            .map_err(bad("within"))?,
        status: query
            .status
            .as_deref()
            .map(status)
            .transpose()
            .map_err(bad("status"))?,
        line: line([&query.remote_id, &query.interface_id, &query.subscriber_id])?,
    })
}

/// The line that is named by its Remote-Id, its Interface-Id or its Subscriber-Id.
pub(super) fn line(named: [&Option<String>; 3]) -> Result<Option<Line>, ApiError> {
    let by = [
        ClientKey::RemoteId,
        ClientKey::InterfaceId,
        ClientKey::SubscriberId,
    ];
    let named = by.into_iter().zip(named);
    let mut given = named.filter_map(|(by, text)| Some((by, text.as_ref()?)));
    let Some((by, text)) = given.next() else {
        return Ok(None);
    };
    if let Some((other, _)) = given.next() {
        let (one, other) = (by.as_str(), other.as_str());
        return Err(ApiError::Bad(format!("{one} and {other}: give one")));
    }
    let wrong = |wrong: Wrong| {
        ApiError::Bad(format!(
            "{}: {}; {}",
            by.as_str(),
            wrong.problem,
            wrong.remedy
        ))
    };
    let id = Identity::parse(text).map_err(wrong)?.0;
    Ok(Some(Line { by, id }))
}

/// The one lease that the query asks for, if it does: that is found without a walk.
fn exact(query: &ListQuery) -> Result<Option<Lease>, ApiError> {
    let bad = |key: &str, wrong: String| ApiError::Bad(format!("{key}: {wrong}"));
    let (key, text) = match (&query.address, &query.prefix) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(ApiError::Bad("address and prefix: give one".into())),
        (Some(text), None) => ("address", text),
        (None, Some(text)) => ("prefix", text),
    };
    let lease = parse_lease(text).map_err(|wrong| bad(key, wrong))?;
    if (key == "address") != (lease.len == 128) {
        return Err(bad(key, format!("{lease} is none")));
    }
    Ok(Some(lease))
}

/// Where a list goes on: `SHARD.CURSOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    shard: ShardId,
    at: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard.0, self.at)
    }
}

impl FromStr for Cursor {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parse = || {
            let (shard, at) = text.split_once('.')?;
            Some(Self {
                shard: ShardId(shard.parse().ok()?),
                at: at.parse().ok()?,
            })
        };
        parse().ok_or_else(|| ApiError::Bad(format!("from: {text:?} is no `next` of a page")))
    }
}

async fn page(
    state: &ControlState,
    query: &ListQuery,
    filter: Filter,
) -> Result<(Vec<OwnedBinding>, Option<Cursor>), ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::Bad(format!("limit: write 1 to {LIMIT_MAX}")));
    }
    // All bindings of a client are in one shard, but for those that are its subscriber's.
    let only = match filter.duid.as_deref() {
        Some(duid) if !has_subscribers(state) => Some(shard_of(duid)),
        _ => None,
    };
    let start = Cursor {
        shard: only.unwrap_or(ShardId(0)),
        at: 0,
    };
    let mut cursor = match &query.from {
        Some(from) => from.parse()?,
        None => start,
    };
    if only.is_some_and(|shard| shard != cursor.shard) {
        return Err(ApiError::Bad("from: not of a list of this client".into()));
    }
    let mut bindings = Vec::new();
    for _ in 0..COMMANDS_MAX {
        let room = limit - bindings.len();
        if room == 0 {
            break;
        }
        let list = |reply| {
            Command::ListLeases(ListLeases {
                shard: cursor.shard,
                from: cursor.at,
                filter: filter.clone(),
                max: room.min(PAGE_MAX),
                reply,
            })
        };
        let found: Page = ask(state.workers.of(cursor.shard), list).await?;
        bindings.extend(found.bindings);
        let following = cursor.shard.0.checked_add(1).filter(|_| only.is_none());
        cursor = match (found.next, following) {
            (Some(at), _) => Cursor { at, ..cursor },
            (None, Some(shard)) => Cursor {
                shard: ShardId(shard),
                at: 0,
            },
            (None, None) => return Ok((bindings, None)),
        };
    }
    Ok((bindings, Some(cursor)))
}

/// Whether any binding is keyed by a subscriber.
fn has_subscribers(state: &ControlState) -> bool {
    let workers = state.status.status().workers;
    let mut levels = workers
        .iter()
        .map(|worker| worker.counters.subscriber_bindings);
    levels.any(|level| level > 0)
}

/// Who holds `lease`: only its client's DUID says in which shard that is, so all are asked.
pub(super) async fn find(
    state: &ControlState,
    lease: Lease,
) -> Result<Option<OwnedBinding>, ApiError> {
    for worker in state.workers.all() {
        let show = |reply| Command::ShowLease(ShowLease { lease, reply });
        if let Some(binding) = ask(worker, show).await? {
            return Ok(Some(binding));
        }
    }
    Ok(None)
}

pub(super) async fn ask<T>(
    worker: &dyn WorkerHandle,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, ApiError> {
    let (reply, answer) = oneshot::channel();
    worker.send(command(reply))?;
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(ApiError::WorkerSilent),
    }
}

fn matches(filter: &Filter, binding: &OwnedBinding) -> bool {
    binding
        .record()
        .is_some_and(|record| filter.matches(&record))
}
