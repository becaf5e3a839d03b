//! What a person may ask and order, and a server that cannot do its work.

use super::Endpoint;
use super::connection::Link;
use crate::event::{Effect, Ending};
use crate::note::{Cause, Note};
use crate::record::PartnerRecord;
use crate::state::{Input, Order, ServerState, row};
use crate::time::{Monotonic, Now};
use core::fmt;
use lease::AbsTime;
use thiserror::Error;

/// Why "partner is down" is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Not in this state.
    #[error("in {0} this order means nothing: {reason}", reason = refusal(*.0))]
    Refused(ServerState),
    /// Only with insistence.
    #[error(
        "in {0} this server may lack leases that its partner gave: insist only if the partner \
         will not come back with its disk"
    )]
    InsistOnly(ServerState),
    /// It was heard after the time from which it is said to be down.
    #[error("the partner was heard at {}, after that time", .0.unix_secs())]
    HeardLater(AbsTime),
    /// The time has not come yet.
    #[error("the partner cannot be down since a time that has not come")]
    Future,
    /// This server has stepped aside.
    #[error("this server cannot do its work now, so it cannot stand alone")]
    Aside,
}

fn refusal(state: ServerState) -> &'static str {
    match state {
        ServerState::Startup => "it ends within seconds, try again then",
        ServerState::PartnerDown => "this server stands alone already",
        ServerState::RecoverWait => "it ends by itself, and leases that nobody knows of end in it",
        _ => "the partner is in contact",
    }
}

/// What an operator sees of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This server's state.
    pub state: ServerState,
    /// Since when, seconds since 2000.
    pub since: AbsTime,
    /// In STARTUP: the state before. Else the one before `state`.
    pub previous: Option<ServerState>,
    /// The partner as it last was.
    pub partner: Option<PartnerRecord>,
    /// Whether communications are OK.
    pub communications_ok: bool,
    /// When the partner was last heard.
    pub last_heard: Option<AbsTime>,
    /// MCLT in force, seconds.
    pub mclt_secs: u32,
    /// What it waits for.
    pub waiting: Waiting,
    /// Until when, if it does not wait for somebody, on the monotonic clock.
    pub until: Option<Monotonic>,
}

/// What an endpoint is waiting for; its `Display` says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    Nothing,
    /// To be able to do its work again.
    OwnHealth,
    /// To reach the partner, at most until STARTUP ends.
    Startup,
    /// The partner to connect or to be connected.
    Partner,
    /// The partner, or auto-partner-down.
    PartnerOrTimer,
    /// All updates that were asked for.
    Updates,
    /// All bindings, since this server lost its own.
    AllUpdates,
    /// Leases of which nobody knows to end.
    RecoverWait,
    /// The partner to say that it is in another state.
    PartnersState(ServerState),
    /// The partner's free prefixes to be safe to use.
    PartnersPrefixes,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::OwnHealth => "this server's own interfaces and journal to work again",
            Self::Startup => "the partner to be reached, or the start-up time to pass",
            Self::Partner => "the partner to be reached, or the operator to say that it is down",
            Self::PartnerOrTimer => "the partner to be reached, or auto-partner-down",
            Self::Updates => "the partner to send what this server has missed",
            Self::AllUpdates => "the partner to send all bindings, since this server lost its own",
            Self::RecoverWait => {
                "leases to end that this server may have given before it failed (MCLT)"
            }
            Self::PartnersState(state) => {
                return write!(f, "the partner to go on, it is in {state}");
            }
            Self::PartnersPrefixes => "the partner's free prefixes to be safe to use (MCLT)",
        })
    }
}

impl Endpoint {
    /// The operator says that the partner is down (RFC 8156 §8.4), at `since` or from now on.
    /// `forced`: even where the RFC gives no way to it.
    ///
    /// # Errors
    /// [`OrderError`]; nothing changes then.
    pub fn partner_down(
        &mut self,
        since: Option<AbsTime>,
        forced: bool,
        now: Now,
    ) -> Result<Vec<Effect>, OrderError> {
        let state = self.state();
        let since = since.unwrap_or(now.wall);
        match row(state).order {
            _ if self.aside => return Err(OrderError::Aside),
            Order::Refused => return Err(OrderError::Refused(state)),
            Order::Forced if !forced => return Err(OrderError::InsistOnly(state)),
            // A conflict leads past the states that are for that.
            _ if self.lacks_bindings() && !forced => return Err(OrderError::InsistOnly(state)),
            Order::Obeyed | Order::Forced => {}
        }
        if since > now.wall {
            return Err(OrderError::Future);
        }
        if let Some(heard) = self.record.last_heard.filter(|&heard| heard > since) {
            return Err(OrderError::HeardLater(heard));
        }
        let cause = Cause::Operator { since };
        self.step(Input::PartnerDown { forced }, cause, now);
        self.publish(now);
        Ok(core::mem::take(&mut self.out))
    }

    /// What an operator is shown.
    pub fn status(&self, now: Now) -> Status {
        let (waiting, until) = self.waiting();
        Status {
            state: self.state(),
            since: self.record.since,
            previous: match self.startup {
                Some(_) => Some(self.record.state),
                None => self.record.previous,
            },
            partner: self.record.partner,
            communications_ok: self.link.is_up(),
            last_heard: self.record.last_heard,
            mclt_secs: self.wait_secs(now.wall),
            waiting,
            until,
        }
    }

    /// This server cannot do its work: it lets the partner have the clients (RFC 7031 §4.7). The
    /// workers hear of it before anything that might take long.
    pub(super) fn step_aside(&mut self, why: &str, now: Now) {
        if self.aside {
            return;
        }
        self.aside = true;
        self.publish(now);
        match self.link {
            Link::Down => self.note(Note::Ended(Ending::Aside(why.into()))),
            Link::Dialing => {
                self.link = Link::Down;
                self.note(Note::Ended(Ending::Aside(why.into())));
            }
            _ => self.end(Ending::Aside(why.into()), now),
        }
    }

    /// It can again, and begins as after a restart: meanwhile it was as good as down.
    pub(super) fn take_part(&mut self, now: Now) {
        if !self.aside {
            return;
        }
        self.aside = false;
        self.dial_at = now.mono;
        self.note(Note::HealthyAgain);
        self.begin_startup(now);
    }

    /// This server stops: the partner is told, and how long it served is recorded exactly.
    pub(super) fn shut_down(&mut self, now: Now) {
        self.aside = true;
        self.publish(now);
        self.end(Ending::Shutdown, now);
        self.store();
    }

    fn waiting(&self) -> (Waiting, Option<Monotonic>) {
        let is_up = self.link.is_up();
        let partner = self.record.partner.map(|partner| partner.state);
        match self.state() {
            _ if self.aside => (Waiting::OwnHealth, None),
            ServerState::Startup => (Waiting::Startup, self.startup.as_ref().map(|s| s.until)),
            ServerState::RecoverWait => (Waiting::RecoverWait, self.state_timer),
            ServerState::CommunicationsInterrupted if !is_up => match self.state_timer {
                Some(at) => (Waiting::PartnerOrTimer, Some(at)),
                None => (Waiting::Partner, None),
            },
            ServerState::PartnerDown if self.partners_pool_at.is_some() => {
                (Waiting::PartnersPrefixes, self.partners_pool_at)
            }
            ServerState::Normal => (Waiting::Nothing, None),
            _ if !is_up => (Waiting::Partner, None),
            _ => match (&self.request, partner) {
                (Some(_), _) if self.record.needs_all => (Waiting::AllUpdates, None),
                (Some(_), _) => (Waiting::Updates, None),
                (None, Some(state)) => (Waiting::PartnersState(state), None),
                (None, None) => (Waiting::Partner, None),
            },
        }
    }
}
