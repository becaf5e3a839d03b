//! What is due when.

use super::Endpoint;
use super::connection::Link;
use super::requests::UPDATES_IDLE_SECS;
use crate::event::{Effect, Ending};
use crate::message::Message;
use crate::note::Cause;
use crate::state::{Input, ServerState};
use crate::time::{Monotonic, Now};
use lease::AbsTime;

impl Endpoint {
    /// When [`Event::Tick`](crate::Event::Tick) is due; `None`: nothing happens by itself.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let link = match &self.link {
            Link::Down => self.dials().then_some(self.dial_at),
            Link::Dialing => None,
            Link::AwaitReply { until, .. } | Link::AwaitState { until, .. } => Some(*until),
            Link::Up(peer) => Some(peer.keepalive.contact_at().min(peer.keepalive.dead_at())),
        };
        let deadlines = [
            link,
            self.startup
                .as_ref()
                .filter(|_| !self.aside)
                .map(|startup| startup.until),
            self.request().map(|request| request.idle_until),
            self.state_timer.filter(|_| !self.aside),
            self.partners_pool_at,
            self.heartbeat_at(),
            self.promises_until,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Now) {
        self.expire_link(now);
        if self.request().is_some_and(|r| r.idle_until <= now.mono) {
            self.end(Ending::UpdatesStalled(UPDATES_IDLE_SECS), now);
        }
        self.partners_pool_at.take_if(|at| *at <= now.mono);
        self.promises_until.take_if(|at| *at <= now.mono);
        if self.aside {
            return;
        }
        if let Some(startup) = self.startup.as_ref().filter(|s| s.until <= now.mono) {
            self.startup_over(startup.previous, now);
        }
        if self.state_timer.take_if(|at| *at <= now.mono).is_some() {
            let cause = match self.config.auto_partner_down_secs {
                Some(secs) if self.record.state == ServerState::CommunicationsInterrupted => {
                    Cause::AutoPartnerDown(secs)
                }
                _ => Cause::WaitOver,
            };
            self.step(Input::Timer, cause, now);
        }
    }

    /// Sets the timers of the state: RECOVER-WAIT (§8.6.2), auto-partner-down (§8.9.2), which runs
    /// while there are no communications, and the wait for the partner's prefixes (§8.4.1).
    pub(super) fn arm(&mut self, now: Now) {
        if self.startup.is_some() {
            return;
        }
        let is_up = self.link.is_up();
        self.state_timer = match self.record.state {
            ServerState::RecoverWait => {
                let failed = self.record.operating_until.unwrap_or(self.started);
                Some(self.mclt_after(failed, now))
            }
            ServerState::CommunicationsInterrupted if !is_up => self
                .config
                .auto_partner_down_secs
                .map(|secs| self.state_timer.unwrap_or(now.mono.plus_secs(secs))),
            _ => None,
        };
        self.partners_pool_at = self
            .record
            .partner_down_since
            .map(|since| self.mclt_after(since, now))
            .filter(|at| *at > now.mono);
    }

    /// What was promised before the bindings were lost may hold until MCLT has passed from the start.
    pub(super) fn arm_lost_promises(&mut self, now: Now) {
        let lost = self.record.lost_promises;
        self.promises_until = lost.then(|| self.mclt_after(self.started, now));
    }

    /// When MCLT has passed since `since`, never more than MCLT from now: a clock that was set back
    /// does not make the wait longer than it can have to be.
    fn mclt_after(&self, since: AbsTime, now: Now) -> Monotonic {
        let mclt_secs = self.wait_secs(now.wall);
        let left_secs = now.wall.secs_until(since.plus(mclt_secs)).min(mclt_secs);
        now.mono.plus_secs(left_secs)
    }

    fn expire_link(&mut self, now: Now) {
        match &self.link {
            Link::Down if self.dials() && self.dial_at <= now.mono => {
                self.link = Link::Dialing;
                self.out.push(Effect::Dial);
            }
            Link::AwaitReply { until, .. } if *until <= now.mono => {
                self.end(Ending::SetupTimeout("CONNECTREPLY"), now);
            }
            Link::AwaitState { until, .. } if *until <= now.mono => {
                self.end(Ending::SetupTimeout("STATE"), now);
            }
            Link::Up(peer) if peer.keepalive.dead_at() <= now.mono => {
                self.end(Ending::Silent(self.config.keepalive_secs), now);
            }
            Link::Up(peer) if peer.keepalive.contact_at() <= now.mono => {
                let id = self.control_id();
                self.send(id, Message::Contact, now);
            }
            _ => {}
        }
    }

    /// Only a primary connects, and not while it has stepped aside.
    fn dials(&self) -> bool {
        self.is_primary() && !self.aside
    }
}
