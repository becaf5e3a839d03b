//! What an operator orders.

use super::Relationship;
use failover::{OrderError, ServerState};
use lease::AbsTime;

/// Why an order is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// The endpoint does not obey.
    #[error(transparent)]
    Endpoint(#[from] OrderError),
}

impl Relationship {
    /// The partner is down, at `since` or from now on; `forced` even where RFC 8156 gives no way to
    /// it. The state then.
    ///
    /// # Errors
    /// [`OrderRefused`]; nothing changes then.
    pub(crate) fn partner_down(
        &mut self,
        since: Option<AbsTime>,
        forced: bool,
    ) -> Result<ServerState, OrderRefused> {
        let now = self.now();
        let effects = self.endpoint.partner_down(since, forced, now)?;
        self.effects.extend(effects);
        self.follow();
        self.settle();
        Ok(self.endpoint.state())
    }
}
