//! `/v1/failover`: how the relationships are, and the operator's order that a partner is down.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Json;
use lease::AbsTime;
use serde::Deserialize;
use std::sync::Arc;

use super::ControlState;
use super::answer::ApiError;
use crate::partner::relationship::report::FailoverReport;
use crate::partner::relationship::task::Handle;

/// The query of `POST /v1/failover/{name}/partner-down`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderQuery {
    /// Since when, seconds since 1970.
    since: Option<u64>,
    #[serde(default)]
    force: bool,
}

pub(super) async fn list(State(state): State<Arc<ControlState>>) -> Json<Vec<FailoverReport>> {
    Json(state.failover.iter().map(Handle::report).collect())
}

pub(super) async fn partner_down(
    State(state): State<Arc<ControlState>>,
    Path(name): Path<String>,
    query: Result<Query<OrderQuery>, QueryRejection>,
) -> Result<Json<FailoverReport>, ApiError> {
    let Query(query) = query.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    let relationship = state.failover.iter().find(|handle| handle.name() == name);
    let relationship = relationship.ok_or_else(|| {
        let names: Vec<String> = state.failover.iter().map(Handle::name).collect();
        let known = match names.is_empty() {
            true => "there is none".to_owned(),
            false => format!("choose from: {}", names.join(", ")),
        };
        ApiError::NotFound(format!("no relationship \"{name}\"; {known}"))
    })?;
    let since = query.since.map(AbsTime::from_unix_secs);
    let ordered = relationship.partner_down(since, query.force);
    ordered.map_err(|error| ApiError::Conflict(error.to_string()))?;
    Ok(Json(relationship.report()))
}
