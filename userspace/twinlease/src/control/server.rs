//! The control socket: HTTP/1.1 with JSON for operators, and the metrics endpoint for Prometheus.
//!
//! Runs on the control thread. Status is gathered from counters; bindings are asked of the workers
//! that own them, in bounded pieces. Every error is `{"error": "…"}` with a fitting status code.

mod answer;
mod changes;
mod failover;
mod leases;
mod reconfigure;
mod reload;
mod socket;
#[cfg(test)]
mod tests;
mod why;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use engine::Model;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, oneshot};

use super::command::Workers;
use super::limited::Limited;
use super::status::{StatusReport, StatusSource};
use crate::partner::relationship::task::Handle;
use crate::reload::ReloadHandle;
use answer::ApiError;
pub use reconfigure::Routes;
pub use socket::{ControlListener, SocketError};

/// How long requests under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// What requests are answered from.
pub struct ControlState {
    /// Names of links and pools.
    pub model: Arc<ArcSwap<Model>>,
    /// Held while the model changes, and while something is done that must see one model only.
    pub changing: Arc<Mutex<()>>,
    /// Where a new config is asked for.
    pub reload: ReloadHandle,
    /// The failover relationships.
    pub failover: Vec<Handle>,
    /// Who owns the bindings.
    pub workers: Workers,
    /// By which interfaces relays are reached.
    pub routes: Arc<dyn Routes>,
    /// Held while clients are reconfigured: one order at a time.
    pub reconfiguring: Arc<Mutex<()>>,
    /// Everything else.
    pub status: Arc<dyn StatusSource>,
}

/// Serves the control socket until `stop` is ready, then removes it.
///
/// # Errors
/// The socket cannot be served; once it is, errors of a connection concern that one only.
pub async fn serve(
    listener: ControlListener,
    state: Arc<ControlState>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (listener, path) = listener.into_parts();
    let listener = UnixListener::from_std(listener)?;
    let common = common_routes(Arc::clone(&state.status));
    let routes = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/why", get(why::why))
        .route("/v1/reconfigure", post(reconfigure::reconfigure))
        .route("/v1/reload", post(reload::config))
        .route("/v1/reload/reservations", post(reload::reservations))
        .route("/v1/failover", get(failover::list))
        .route(
            "/v1/failover/{name}/partner-down",
            post(failover::partner_down),
        )
        .route("/v1/leases", get(leases::list))
        .route("/v1/leases/import", post(changes::import))
        .route("/v1/leases/{lease}", get(leases::show))
        .route("/v1/leases/{lease}/release", post(changes::release))
        .route("/v1/leases/{lease}/reset", post(changes::reset))
        .with_state(state)
        .merge(common);
    let served = serve_routes(listener, routes, stop).await;
    // The next server replaces the file if it stays.
    let _ = fs::remove_file(path);
    served
}

/// Serves `/metrics` and `/healthz` over TCP until `stop` is ready.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_metrics(
    addr: SocketAddr,
    status: Arc<dyn StatusSource>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).await.map_err(|error| {
        anyhow::anyhow!("metrics: cannot listen on {addr}: {error}; change control.metrics")
    })?;
    serve_routes(listener, common_routes(status), stop).await
}

/// What both listeners have.
fn common_routes(status: Arc<dyn StatusSource>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .with_state(status)
        .fallback(no_such_path)
        .method_not_allowed_fallback(not_allowed)
}

async fn serve_routes<L>(
    listener: L,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(Limited::new(listener), routes).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    let grace = async {
        match stopped.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = server.into_future() => Ok(served?),
        () = grace => Ok(()),
    }
}

async fn status(State(state): State<Arc<ControlState>>) -> Json<StatusReport> {
    Json(state.status.status())
}

async fn health(State(status): State<Arc<dyn StatusSource>>) -> Response {
    match status.status().journal.failing {
        None => "ok\n".into_response(),
        Some(reason) => ApiError::Unhealthy(reason).into_response(),
    }
}

async fn metrics(State(status): State<Arc<dyn StatusSource>>) -> impl IntoResponse {
    let text = crate::metrics::encode(&status.status());
    ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text)
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is no {}", uri.path()))
}

async fn not_allowed() -> ApiError {
    ApiError::NotAllowed
}
