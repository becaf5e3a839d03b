//! `POST /v1/reload`: reads the config file again, and answers with what that came to.

use axum::extract::State;
use axum::response::Json;
use std::sync::Arc;

use super::ControlState;
use super::answer::ApiError;
use crate::control::status::ReloadReport;

pub(super) async fn reload(
    State(state): State<Arc<ControlState>>,
) -> Result<Json<ReloadReport>, ApiError> {
    let report = state.reload.reload().await;
    report.map(Json).ok_or(ApiError::Stopping)
}
