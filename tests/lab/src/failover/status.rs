use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::server::Server;
use crate::wait::wait_until;

/// One server's endpoint of the relationship, as `twinlease failover status --json` tells of it.
#[derive(Debug, Clone)]
pub struct Endpoint(pub Value);

impl Endpoint {
    /// Asks `server`.
    ///
    /// # Errors
    /// It does not answer, or does not have exactly one relationship.
    pub fn of(server: &Server) -> Result<Endpoint> {
        let text = server.operate(&["failover", "status", "--json"])?;
        let told: Value =
            serde_json::from_str(&text).context("failover status --json printed no JSON")?;
        match told.as_array().map(Vec::as_slice) {
            Some([one]) => Ok(Endpoint(one.clone())),
            _ => bail!("not one relationship: {told}"),
        }
    }

    /// Waits until `server` is in `state`, written as RFC 8156 §8 writes it.
    ///
    /// # Errors
    /// Not within `limit`; with what it said last.
    pub fn wait_for(server: &Server, state: &str, limit: Duration) -> Result<Endpoint> {
        let mut last = None;
        let what = format!("the server to be in {state}");
        let waited = wait_until(&what, limit, || {
            let endpoint = Endpoint::of(server)?;
            let is_there = endpoint.state()? == state;
            last = Some(endpoint.clone());
            Ok(is_there.then_some(endpoint))
        });
        waited.with_context(|| format!("last it said {last:?}"))
    }

    /// The state.
    ///
    /// # Errors
    /// There is none in what was told.
    pub fn state(&self) -> Result<&str> {
        self.0["state"]
            .as_str()
            .with_context(|| format!("no state in {}", self.0))
    }

    /// Whether the connection to the partner is protected by TLS.
    ///
    /// # Errors
    /// It does not say.
    pub fn is_tls(&self) -> Result<bool> {
        self.0["tls"]
            .as_bool()
            .with_context(|| format!("no tls in {}", self.0))
    }
}
