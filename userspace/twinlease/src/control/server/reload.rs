//! `POST /v1/reload`: reads the config file again, and answers with what that came to;
//! `POST /v1/reload/reservations`: the reservations file alone.

use axum::extract::State;
use axum::response::Json;
use std::sync::Arc;

use super::ControlState;
use super::answer::ApiError;
use crate::control::status::ReloadReport;
use crate::reload::What;

pub(super) async fn config(
    State(state): State<Arc<ControlState>>,
) -> Result<Json<ReloadReport>, ApiError> {
    reload(&state, What::Config).await
}

pub(super) async fn reservations(
    State(state): State<Arc<ControlState>>,
) -> Result<Json<ReloadReport>, ApiError> {
    reload(&state, What::Reservations).await
}

async fn reload(state: &ControlState, what: What) -> Result<Json<ReloadReport>, ApiError> {
    let report = state.reload.reload(what).await;
    report.map(Json).ok_or(ApiError::Stopping)
}
