//! The endpoint's states and the way from one to another (RFC 8156 §8), as data.
//!
//! Each state has a file with its [`Row`]: where it goes on what, and what it lets the server do.
//! [`next`] only looks a row up. The endpoint adds the STARTUP procedure (§8.3.2), the timers and
//! the messages. Where Figure 6 and the text of the RFC differ, the text counts (§8.1); where both
//! are silent, the row says what is done and why.

mod communications_interrupted;
mod conflict_done;
mod normal;
mod partner_down;
mod potential_conflict;
mod recover;
mod recover_done;
mod recover_wait;
mod resolution_interrupted;
mod startup;
#[cfg(test)]
mod tests;

use lease::{Answers, Role};
pub use wire::failover::ServerState;

/// What a state does when something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Stays as it is.
    Stay,
    /// Stays, and asks the partner for its updates, unless that has been asked already: UPDREQ, or
    /// UPDREQALL if this server lost its bindings (§8.5.2).
    Request,
    /// Becomes this state.
    Go(ServerState),
    /// Becomes COMMUNICATIONS-INTERRUPTED and goes on from there (§8.8.2).
    Interrupted,
}

/// Something that differs between the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByRole<T> {
    /// For the primary.
    pub primary: T,
    /// For the secondary.
    pub secondary: T,
}

impl<T: Copy> ByRole<T> {
    /// The same for both.
    pub const fn both(value: T) -> Self {
        Self {
            primary: value,
            secondary: value,
        }
    }

    /// What holds for this role.
    pub fn of(&self, role: Role) -> T {
        match role {
            Role::Primary => self.primary,
            Role::Secondary => self.secondary,
        }
    }
}

/// What happens with communications OK, by the state that the partner says it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is the partner's state of that name"
)]
pub struct OnPartner {
    pub normal: Next,
    pub communications_interrupted: Next,
    pub partner_down: Next,
    pub potential_conflict: Next,
    pub recover: Next,
    pub recover_wait: Next,
    pub recover_done: Next,
    pub resolution_interrupted: Next,
    pub conflict_done: Next,
}

impl OnPartner {
    /// The same whatever the partner's state is.
    const fn always(next: Next) -> Self {
        Self {
            normal: next,
            communications_interrupted: next,
            partner_down: next,
            potential_conflict: next,
            recover: next,
            recover_wait: next,
            recover_done: next,
            resolution_interrupted: next,
            conflict_done: next,
        }
    }

    /// The cell of this partner's state. A partner in STARTUP is not acted upon.
    fn of(&self, partner: ServerState) -> Next {
        match partner {
            ServerState::Startup => Next::Stay,
            ServerState::Normal => self.normal,
            ServerState::CommunicationsInterrupted => self.communications_interrupted,
            ServerState::PartnerDown => self.partner_down,
            ServerState::PotentialConflict => self.potential_conflict,
            ServerState::Recover => self.recover,
            ServerState::RecoverWait => self.recover_wait,
            ServerState::RecoverDone => self.recover_done,
            ServerState::ResolutionInterrupted => self.resolution_interrupted,
            ServerState::ConflictDone => self.conflict_done,
        }
    }
}

/// Whether the operator may say "the partner is down" in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The state becomes PARTNER-DOWN.
    Obeyed,
    /// The RFC gives no such way out. Only if the operator insists: this server may lack bindings,
    /// or lets leases pass that it does not know of.
    Forced,
    /// It means nothing here.
    Refused,
}

/// Everything there is to know of one state.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// With communications OK, by role.
    pub partner: ByRole<OnPartner>,
    /// When communications fail.
    pub failed: Next,
    /// When the operator says that the partner is down.
    pub order: Order,
    /// When the state's own timer expires; `None`: it has none.
    pub timer: Option<ServerState>,
    /// When the partner's UPDDONE arrives.
    pub update_done: ByRole<Next>,
    /// Which clients' messages are answered.
    pub answers: ByRole<Answers>,
    /// Whether leases may be given that are on no record.
    pub may_allocate: bool,
    /// Whether what clients are promised is bounded by MCLT (§4.4).
    pub capped: bool,
    /// Whether changes are sent to a partner as they come, not only when it asks.
    pub replicates: bool,
}

/// What can change a state (RFC 8156 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Communications are OK and the partner says, without its STARTUP flag, that it is in this
    /// state.
    Partner(ServerState),
    /// Communications are not OK any more.
    CommunicationsFailed,
    /// The operator says that the partner is down, or insists on it.
    PartnerDown {
        /// Whether the operator insists where the RFC gives no way.
        forced: bool,
    },
    /// The state's own timer expired: auto-partner-down, or the end of RECOVER-WAIT.
    Timer,
    /// UPDDONE for this server's UPDREQ or UPDREQALL.
    UpdateDone,
}

/// The row of a state.
pub fn row(state: ServerState) -> &'static Row {
    match state {
        ServerState::Startup => &startup::ROW,
        ServerState::Normal => &normal::ROW,
        ServerState::CommunicationsInterrupted => &communications_interrupted::ROW,
        ServerState::PartnerDown => &partner_down::ROW,
        ServerState::PotentialConflict => &potential_conflict::ROW,
        ServerState::Recover => &recover::ROW,
        ServerState::RecoverWait => &recover_wait::ROW,
        ServerState::RecoverDone => &recover_done::ROW,
        ServerState::ResolutionInterrupted => &resolution_interrupted::ROW,
        ServerState::ConflictDone => &conflict_done::ROW,
    }
}

/// What an endpoint of this role does in this state on this input.
pub fn next(role: Role, state: ServerState, input: Input) -> Next {
    let row = row(state);
    match input {
        Input::Partner(partner) => row.partner.of(role).of(partner),
        Input::CommunicationsFailed => row.failed,
        Input::PartnerDown { forced } => match row.order {
            Order::Obeyed => Next::Go(ServerState::PartnerDown),
            Order::Forced if forced => Next::Go(ServerState::PartnerDown),
            Order::Forced | Order::Refused => Next::Stay,
        },
        Input::Timer => row.timer.map_or(Next::Stay, Next::Go),
        Input::UpdateDone => row.update_done.of(role),
    }
}
