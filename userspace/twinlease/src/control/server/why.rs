//! `GET /v1/why`: the last decisions for a client.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Json;
use serde::Deserialize;
use std::sync::Arc;
use wire::Duid;

use super::ControlState;
use super::answer::ApiError;
use super::leases::{ask, find, line};
use crate::config::value::parse_hex;
use crate::control::command::{Command, Decisions, DecisionsOf, KeptDecision};
use crate::control::explain::{self, DecisionView};
use crate::control::view::parse_lease;

/// Decisions shown at most.
const LAST_MAX: usize = 1000;

/// The query of `GET /v1/why`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyQuery {
    whose: Option<String>,
    #[serde(default)]
    dropped: bool,
    last: Option<usize>,
    #[serde(rename = "remote-id")]
    remote_id: Option<String>,
    #[serde(rename = "interface-id")]
    interface_id: Option<String>,
    #[serde(rename = "subscriber-id")]
    subscriber_id: Option<String>,
}

pub(super) async fn why(
    State(state): State<Arc<ControlState>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Result<Json<Vec<DecisionView>>, ApiError> {
    let Query(query) = query.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    let last = query.last.unwrap_or(20).min(LAST_MAX);
    let line = line([&query.remote_id, &query.interface_id, &query.subscriber_id])?;
    let of = match (&query.whose, &line) {
        (Some(_), Some(_)) => return Err(ApiError::Bad("whose and a line: give one".into())),
        // Where these octets stand in a message, and of that what comes from the line.
        (None, Some(line)) => DecisionsOf::Octets(line.id.clone()),
        (whose, None) => self::whose(&state, whose.as_deref()).await?,
    };
    let is_wanted = |kept: &KeptDecision| {
        (!query.dropped || kept.drop.is_some())
            && (line.as_ref()).is_none_or(|line| explain::is_from(kept, line))
    };
    let mut kept: Vec<KeptDecision> = Vec::new();
    for worker in state.workers.all() {
        let mut from = Some(0);
        while let Some(start) = from {
            let order = |reply| {
                Command::Decisions(Decisions {
                    of: of.clone(),
                    from: start,
                    reply,
                })
            };
            let page = ask(worker, order).await?;
            let wanted = page.kept.into_iter();
            kept.extend(wanted.filter(is_wanted));
            from = page.next;
        }
        kept.sort_by_key(|kept| kept.at);
        kept.drain(..kept.len().saturating_sub(last));
    }
    let model = state.model.load();
    let views = kept.iter().map(|kept| DecisionView::new(kept, &model));
    Ok(Json(views.collect()))
}

/// A DUID, or a lease: that of the client who has it or, if nobody does, whoever named it or was
/// told it.
async fn whose(state: &ControlState, text: Option<&str>) -> Result<DecisionsOf, ApiError> {
    let Some(text) = text else {
        return Ok(DecisionsOf::Everybody);
    };
    if let Ok(lease) = parse_lease(text) {
        return Ok(match find(state, lease).await? {
            Some(binding) => DecisionsOf::Client(binding.duid),
            None => DecisionsOf::Octets(lease.ip().octets().into()),
        });
    }
    match parse_hex(text).filter(|octets| Duid::new(octets).is_some()) {
        Some(duid) => Ok(DecisionsOf::Client(duid.into())),
        None => Err(ApiError::Bad(format!(
            "{text:?} is neither a DUID in hexadecimal, nor an address, nor a prefix with its length"
        ))),
    }
}
