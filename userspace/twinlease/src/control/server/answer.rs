//! Errors of the control socket as HTTP.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};

use crate::control::command::Busy;

/// Why a request is not answered with what it asks for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ApiError {
    /// The request is wrong; says how.
    #[error("{0}")]
    Bad(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The thing is not in the state that the request supposes.
    #[error("{0}")]
    Conflict(String),
    /// The path is served for another method.
    #[error("this method is not served here")]
    NotAllowed,
    /// A worker's inbox is full.
    #[error("a worker is overloaded; try again")]
    Busy,
    /// A worker took the command and did not answer it.
    #[error("a worker does not answer; the server's log says why")]
    WorkerSilent,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// Nothing can be acknowledged.
    #[error("journal: {0}")]
    Unhealthy(String),
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy | Self::WorkerSilent | Self::Stopping | Self::Unhealthy(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let body = serde_json::json!({ "error": self.to_string() });
        (code, Json(body)).into_response()
    }
}
