//! STARTUP and the changes of state (RFC 8156 §8).

use super::Endpoint;
use crate::event::Effect;
use crate::keepalive::SKEW_MAX_SECS;
use crate::message::Message;
use crate::note::{Cause, Note};
use crate::record::PartnerRecord;
use crate::state::{Input, Next, ServerState, next, row};
use crate::time::{Monotonic, Now};
use crate::violation::Violation;
use lease::AbsTime;
use wire::failover::{ServerFlags, State};

/// STARTUP: what follows it, and when.
#[derive(Debug)]
pub(super) struct Startup {
    /// PREVIOUS-STATE after step 2 of §8.3.2: the recorded state as it is without communications.
    pub(super) previous: ServerState,
    pub(super) until: Monotonic,
}

impl Endpoint {
    /// Steps 1 to 3 of §8.3.2.
    pub(super) fn begin_startup(&mut self, now: Now) {
        let recorded = self.record.state;
        self.startup = Some(Startup {
            previous: match row(recorded).failed {
                Next::Go(state) => state,
                Next::Stay | Next::Request | Next::Interrupted => recorded,
            },
            until: now.mono.plus_secs(self.config.startup_secs),
        });
        self.state_timer = None;
        self.partners_pool_at = None;
    }

    /// Step 6: the partner could not be reached. A server that would wait for a partner that it
    /// has never been in contact with may be configured to serve.
    pub(super) fn startup_over(&mut self, previous: ServerState, now: Now) {
        let alone = previous == ServerState::Recover && !self.record.communicated;
        if alone && self.config.serve_without_partner {
            self.enter(ServerState::PartnerDown, Cause::WithoutPartner, now);
        } else {
            self.enter(previous, Cause::StartupOver, now);
        }
    }

    /// Step 5: the partner is reached. Whether it entered PARTNER-DOWN after this server last
    /// operated decides between a server that was down and one that may have served beside it; in
    /// doubt, the latter.
    fn startup_reached(&mut self, previous: ServerState, partner: &PartnerRecord, now: Now) {
        let since = partner.since;
        let operated_until = self.record.operating_until;
        let (state, cause) = if partner.state != ServerState::PartnerDown {
            (previous, Cause::PartnerReached)
        } else if operated_until.is_none_or(|until| since > until.plus(SKEW_MAX_SECS)) {
            (ServerState::Recover, Cause::PartnerDownLater { since })
        } else {
            let cause = Cause::PartnerDownEarlier { since };
            (ServerState::PotentialConflict, cause)
        };
        self.enter(state, cause, now);
    }

    /// The partner's STATE (§6.4).
    pub(super) fn on_state(&mut self, state: &State, now: Now) {
        use wire::OptionCode as Code;
        let partner = match (state.server_state, state.flags, state.start_time_of_state) {
            (Some(ServerState::Startup), ..) => {
                return self.violated(Violation::StateIsStartup, now);
            }
            (None, ..) => return self.incomplete(Code::F_SERVER_STATE, now),
            (_, None, _) => return self.incomplete(Code::F_SERVER_FLAGS, now),
            (.., None) => return self.incomplete(Code::F_START_TIME_OF_STATE, now),
            (Some(server_state), Some(flags), Some(since)) => PartnerRecord {
                state: server_state,
                since: AbsTime(since),
                flags,
                partner_down_time: state
                    .partner_down_time
                    .filter(|_| server_state == ServerState::PartnerDown)
                    .map(AbsTime),
            },
        };
        let is_first = !self.link.is_up();
        self.communications_ok();
        if self.record.partner != Some(partner) {
            self.record.partner = Some(partner);
            self.note(Note::Partner {
                state: partner.state,
                startup: partner.flags.contains(ServerFlags::STARTUP),
            });
            self.store();
        }
        if is_first {
            self.partner_communicated = partner.flags.contains(ServerFlags::COMMUNICATED);
            if let Some(startup) = &self.startup {
                self.startup_reached(startup.previous, &partner, now);
            }
            self.judge_storage(now);
            self.arm(now);
        }
        self.settle(now);
    }

    /// A server that knows of no contact although its partner does has lost its bindings (§8.5.2).
    /// Judged by what both knew before this connection.
    fn judge_storage(&mut self, now: Now) {
        let lost = self.record.state == ServerState::Recover
            && !self.record.communicated
            && self.partner_communicated;
        if lost && !self.record.needs_all {
            self.record.needs_all = true;
            self.record.lost_promises = true;
            self.store();
            self.arm_lost_promises(now);
            self.note(Note::StorageLost);
        }
    }

    /// Does what the state does on this input.
    pub(super) fn step(&mut self, input: Input, cause: Cause, now: Now) {
        if self.startup.is_some() {
            return;
        }
        match next(self.config.role, self.record.state, input) {
            Next::Stay => {}
            Next::Request => self.request_updates(now),
            Next::Go(state) => self.enter(state, cause, now),
            Next::Interrupted => {
                self.enter(ServerState::CommunicationsInterrupted, cause, now);
            }
        }
        if input != Input::CommunicationsFailed {
            self.settle(now);
        }
    }

    /// Goes on for as long as the partner's state makes it: a state entered because of it may have
    /// something to do about it at once. A partner in STARTUP will say what it has become.
    fn settle(&mut self, now: Now) {
        // No chain is longer: each of the ten states is passed once at most.
        for _ in 0..ServerState::ALL.len() {
            let Some(partner) = self.record.partner else {
                return;
            };
            let acted_upon = self.link.is_up() && self.startup.is_none();
            if !acted_upon || self.is_partner_starting() {
                return;
            }
            let cause = Cause::Partner(partner.state);
            let input = Input::Partner(partner.state);
            match next(self.config.role, self.record.state, input) {
                Next::Stay => return,
                Next::Request => return self.request_updates(now),
                Next::Go(ServerState::Normal) if self.takes_back(partner.state) => {
                    return self.tell_all_before_normal();
                }
                Next::Go(state) => self.enter(state, cause, now),
                Next::Interrupted => {
                    self.enter(ServerState::CommunicationsInterrupted, cause, now);
                }
            }
        }
    }

    /// Whether this server has served without a partner that is in this state now, and is back.
    fn takes_back(&self, partner: ServerState) -> bool {
        self.served_alone() && partner == ServerState::RecoverDone
    }

    pub(super) fn served_alone(&self) -> bool {
        use ServerState::{CommunicationsInterrupted, PartnerDown};
        let state = self.record.state;
        self.startup.is_none() && matches!(state, PartnerDown | CommunicationsInterrupted)
    }

    /// To NORMAL goes a server whose partner has heard of all that was done without it since it asked:
    /// prefixes of the partner's that were delegated, or that it does not know to be this server's
    /// because it lost its disk, and leases that others have now. RFC 8156 §8.4.2 and §8.9.2 have it
    /// go at once; the partner would then give what it does not know to be given.
    fn tell_all_before_normal(&mut self) {
        if self.settling.is_none() {
            self.begin_settling();
        }
    }

    /// The partner has heard of it all.
    pub(super) fn told_all(&mut self, now: Now) {
        let partner = self.record.partner.map(|partner| partner.state);
        if partner == Some(ServerState::RecoverDone) && !self.is_partner_starting() {
            self.enter(
                ServerState::Normal,
                Cause::Partner(ServerState::RecoverDone),
                now,
            );
        }
    }

    /// Becomes `state`: recorded, and told to the partner when that is durable (§8.1).
    pub(super) fn enter(&mut self, state: ServerState, cause: Cause, now: Now) {
        let from = self.state();
        self.startup = None;
        let record = &mut self.record;
        if record.state != state {
            record.previous = Some(record.state);
            record.state = state;
            record.since = now.wall;
            record.partner_down_since = match cause {
                _ if state != ServerState::PartnerDown => None,
                Cause::Operator { since } => Some(since),
                _ => Some(now.wall),
            };
        }
        record.communicated |= state == ServerState::Normal;
        // What was asked for in another state was asked for another reason.
        self.request = None;
        self.settling = None;
        let may_have_lost = matches!(state, ServerState::Recover | ServerState::PotentialConflict);
        if may_have_lost && !self.is_primary() {
            self.out.push(Effect::Renounce);
        }
        self.store();
        self.note(Note::State {
            from,
            to: state,
            cause,
        });
        self.send_state(now);
        self.arm(now);
        match state {
            ServerState::Normal => self.entered_normal(),
            ServerState::RecoverWait => self.entered_recover_wait(now),
            _ => {}
        }
    }

    /// Leases that this server may have given before it failed, unknown to the partner, are waited
    /// out; there are none if neither server ever ran failover, which only the partner can tell
    /// (§8.6.2).
    fn entered_recover_wait(&mut self, now: Now) {
        let record = &self.record;
        let never_ran = !record.communicated && record.operating_until.is_none();
        if never_ran && self.link.is_up() && !self.partner_communicated {
            self.step(Input::Timer, Cause::NeverRan, now);
        }
    }

    /// STATE, once the connection is set up (§6.3).
    pub(super) fn send_state(&mut self, now: Now) {
        if self.link.peer().is_none() {
            return;
        }
        let record = &self.record;
        let flags = ServerFlags::default()
            .with(ServerFlags::COMMUNICATED, record.communicated)
            .with(ServerFlags::STARTUP, self.startup.is_some())
            .with(ServerFlags::ACK_STARTUP, self.is_partner_starting());
        let is_down = record.state == ServerState::PartnerDown;
        let state = State {
            server_state: Some(record.state),
            flags: Some(flags),
            start_time_of_state: Some(record.since.0),
            partner_down_time: is_down.then_some(record.since.0),
        };
        let id = self.control_id();
        self.send(id, Message::State(state), now);
    }

    fn incomplete(&mut self, missing: wire::OptionCode, now: Now) {
        self.violated(Violation::StateIncomplete(missing), now);
    }

    fn entered_normal(&mut self) {
        self.begin_settling();
        if core::mem::take(&mut self.partner_wants_pools) {
            self.out.push(Effect::Rebalance);
        }
    }
}
