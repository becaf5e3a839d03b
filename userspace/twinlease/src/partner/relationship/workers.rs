//! What the workers say, and what goes to the partner for them.

use super::Relationship;
use super::report::Rejected;
use crate::partner::exchange::FromWorker;
use failover::reconcile::Rejection;
use failover::{Event, Round};
use lease::Lease;

/// Octets queued for the partner beyond which no credit is given: it takes them slowly.
const QUEUED_MAX: usize = 4 << 20;
/// Rejected leases kept for the operator.
const REJECTED_MAX: usize = 100;

impl Relationship {
    /// A worker says something.
    pub(crate) fn worker_said(&mut self, worker: usize, said: FromWorker) {
        match said {
            FromWorker::Offers(offers) => {
                // Those of another connection are from before a Forget, which takes them back.
                let flow = self.flow.as_mut();
                if let Some(flow) = flow.filter(|flow| flow.connection == offers.connection) {
                    self.counters.updates_sent += offers.len() as u64;
                    flow.offer(worker, offers);
                }
            }
            FromWorker::Replies(replies) => {
                self.list_rejected(replies.rejected);
                let flow = self.flow.as_mut();
                if let Some(flow) = flow.filter(|flow| flow.connection == replies.connection) {
                    self.counters.replies_sent += u64::from(replies.count);
                    flow.reply(replies.count, &replies.frames);
                }
            }
            FromWorker::Elsewhere(update, leases) => {
                self.elsewhere.ask(worker, update, leases, &mut self.mail);
            }
            FromWorker::Yielded {
                key,
                given,
                refused,
            } => self.elsewhere.answer(key, given, refused, &mut self.mail),
            FromWorker::Answered(round) => self.answered(worker, round),
        }
    }

    /// A worker, or what stands behind the workers for the blocks of prefixes, has had everything
    /// of a round answered.
    pub(super) fn answered(&mut self, who: usize, round: Round) {
        let before = self.rounds.iter().min().copied();
        if let Some(reached) = self.rounds.get_mut(who) {
            *reached = round.max(*reached);
        }
        match self.rounds.iter().min().copied() {
            Some(round) if Some(round) > before => self.tell(Event::Answered(round)),
            _ => {}
        }
    }

    /// Sends bindings, when nothing of the endpoint's stands before them, and gives credit.
    pub(super) fn exchange(&mut self) {
        let now = self.now();
        let model = self.model.load_full();
        let is_clear = self.storing.is_none() && self.effects.is_empty();
        if !is_clear {
            return;
        }
        self.blocks
            .settle(self.flow.as_mut(), now, &model, &mut *self.records);
        let Some(flow) = &mut self.flow else { return };
        let (connection, frames) = (flow.connection, flow.take_frames(now.mono));
        let queued = self.connections.get(&connection);
        let queued = queued.map_or(0, |open| open.sender.queued());
        if queued < QUEUED_MAX {
            for (worker, credit) in flow.credit() {
                self.mail.send(worker, credit);
            }
        }
        if !frames.is_empty() && self.write(connection, frames) {
            self.tell(Event::Sent(connection));
            self.carry_out();
        }
    }

    fn list_rejected(&mut self, rejected: Vec<(Lease, Rejection)>) {
        for (lease, rejection) in rejected {
            self.counters.updates_rejected += 1;
            if rejection != Rejection::Outdated {
                let (relationship, reason) = (self.name(), rejection.text());
                tracing::warn!(%relationship, %lease, reason, "failover: partner's binding rejected");
            }
            if self.rejected.len() == REJECTED_MAX {
                self.rejected.pop_front();
            }
            let at = (self.wall)();
            self.rejected.push_back(Rejected {
                lease,
                rejection,
                at,
            });
        }
    }
}
