//! A worker's part in failover: what its shards tell the partner, and what the partner tells them
//! (RFC 8156 §7). Every rule is in [`failover::updates`]; here is the order of things.
//!
//! Mail of the control thread is worked off in its order, some of it in a turn. What is to be sent
//! goes through one queue, and from there to the control thread when everything recorded before it
//! is on disk: a BNDREPLY, so that what was acknowledged is not lost, and a BNDUPD, so that the
//! partner gives nothing away that would come back after a crash. A lease that an update frees is
//! drawn again only after its BNDREPLY was handed over.

mod offers;
mod places;
mod received;
#[cfg(test)]
mod tests;
mod transit;
mod unsent;

pub use transit::Transit;
pub use unsent::UnsentShards;

use super::desk::Desk;
use crate::counters::WorkerCounters;
use crate::partner::exchange::{FromWorker, PartnerUpdate, ToControl, ToWorker};
use failover::updates::Offer;
use failover::{Owed, Round};
use journal::Ticket;
use lease::{AbsTime, Lease};
use offers::Owing;
use std::collections::VecDeque;
use tokio::sync::mpsc::error::TrySendError;
use wire::ShardId;

/// Updates and answers worked off in one turn: some tens of microseconds.
const TASKS: usize = 32;
/// Messages that wait for the journal or the control thread, beyond which none is added.
const OUT_MAX: usize = 256;

/// What a worker needs to keep in touch with the partner.
pub struct Partner {
    to_control: ToControl,
    tasks: VecDeque<Task>,
    out: VecDeque<Outgoing>,
    /// Shards that may have something to tell.
    pub(super) unsent: UnsentShards,
    /// The shard whose turn it is to tell something.
    turn: ShardId,
    /// BNDUPDs that may be sent yet.
    credit: u32,
    owing: Option<Owing>,
    transit: Transit,
    /// Where a BNDREPLY is written.
    buffer: Vec<u8>,
}

/// Mail, piece by piece.
enum Task {
    Update(PartnerUpdate),
    Answer(Offer, Box<[u8]>),
    Yield(PartnerUpdate, Vec<Lease>),
    Credit(u32),
    Owe(Round, Owed),
    Forget,
    RetryRejected,
}

/// Something to be sent when everything up to `ticket` is on disk.
struct Outgoing {
    ticket: Ticket,
    message: FromWorker,
    /// To be given back to their pools then.
    freed: Vec<(ShardId, Lease)>,
}

impl Partner {
    /// For a worker that owns `shards`; `transit` is the same for all workers.
    pub fn new(shards: &[ShardId], to_control: ToControl, transit: Transit) -> Self {
        let mut unsent = UnsentShards::default();
        shards.iter().for_each(|shard| unsent.insert(*shard));
        Self {
            to_control,
            tasks: VecDeque::new(),
            out: VecDeque::new(),
            unsent,
            turn: ShardId(0),
            credit: 0,
            owing: None,
            transit,
            buffer: Vec::new(),
        }
    }

    /// Takes mail of the control thread.
    pub fn take(&mut self, mail: ToWorker) {
        match mail {
            ToWorker::Updates(updates) => {
                self.tasks.extend(updates.into_iter().map(Task::Update));
            }
            ToWorker::Answers(answers) => {
                let answers = answers.into_iter();
                let answers = answers.map(|(offer, message)| Task::Answer(offer, message));
                self.tasks.extend(answers);
            }
            ToWorker::Yield(update, leases) => self.tasks.push_back(Task::Yield(update, leases)),
            ToWorker::Credit(more) => self.tasks.push_back(Task::Credit(more)),
            ToWorker::Owe(round, owed) => self.tasks.push_back(Task::Owe(round, owed)),
            ToWorker::Forget => self.tasks.push_back(Task::Forget),
            ToWorker::RetryRejected => self.tasks.push_back(Task::RetryRejected),
        }
    }

    /// Leases of this worker that no binding holds and that are kept from their pools all the same,
    /// and the shards whose bindings have ended.
    pub fn kept(&self, worker: usize) -> Vec<(ShardId, Lease)> {
        let freed = self.out.iter().flat_map(|out| &out.freed).copied();
        freed.chain(self.transit.given_by(worker)).collect()
    }

    /// Whether something can be handed over now.
    pub fn is_due(&self, committed: Ticket) -> bool {
        let front = self.out.front();
        front.is_some_and(|out| out.ticket <= committed) && self.to_control.capacity() > 0
    }

    /// Whether something waits for the control thread, which wakes nobody when it has room.
    pub fn is_blocked(&self) -> bool {
        !self.out.is_empty() && self.to_control.capacity() == 0
    }

    fn post(&mut self, ticket: Ticket, message: FromWorker) {
        self.post_and_free(ticket, message, Vec::new());
    }

    fn post_and_free(&mut self, ticket: Ticket, message: FromWorker, freed: Vec<(ShardId, Lease)>) {
        self.out.push_back(Outgoing {
            ticket,
            message,
            freed,
        });
    }
}

impl Desk {
    /// Does what the control thread and the partner ask for and tells what there is to tell, some
    /// of it; how much.
    pub fn correspond(&mut self, now: AbsTime) -> usize {
        let mut done = 0;
        while done < TASKS
            && self.partner.out.len() < OUT_MAX
            && self.appender.has_room()
            && let Some(task) = self.partner.tasks.pop_front()
        {
            done += 1;
            self.work_off(task, now);
        }
        done + self.owe(now) + self.offer(now)
    }

    fn work_off(&mut self, task: Task, now: AbsTime) {
        match task {
            Task::Update(update) => self.receive_update(update, now),
            Task::Answer(offer, message) => self.settle(&offer, &message),
            Task::Yield(update, leases) => self.yield_leases(&update, &leases, now),
            Task::Credit(more) => {
                self.partner.credit = self.partner.credit.saturating_add(more);
            }
            Task::Owe(round, owed) => self.begin_owing(round, owed),
            Task::Forget => self.forget_connection(),
            Task::RetryRejected => self.retry_rejected(),
        }
    }

    /// Hands over what is durable and frees what was waiting for that; how many messages.
    pub fn hand_over_to_control(&mut self) -> usize {
        let committed = self.appender.committed();
        let mut sent = 0;
        while let Some(out) = self.partner.out.pop_front_if(|out| out.ticket <= committed) {
            let Outgoing {
                ticket,
                message,
                freed,
            } = out;
            let count = match &message {
                FromWorker::Offers(offers) => offers.len() as u64,
                _ => 0,
            };
            if let Err(TrySendError::Full((_, message))) =
                self.partner.to_control.try_send((self.index, message))
            {
                let out = Outgoing {
                    ticket,
                    message,
                    freed,
                };
                self.partner.out.push_front(out);
                break;
            }
            self.counters.partner.updates_sent.add(count);
            for (_, lease) in freed {
                if let Some(handover) = &mut self.handover {
                    handover.release(lease);
                }
                self.model.release(lease);
            }
            sent += 1;
        }
        sent
    }

    /// Publishes how many bindings the partner has not acknowledged.
    pub fn count_unacked(&self) {
        if self.model.relationship().is_none() {
            return;
        }
        let counts = self.shards.all().map(lease::Shard::unacked);
        let unacked = counts.map(|counts| counts.unsent + counts.in_flight + counts.rejected);
        let counters: &WorkerCounters = &self.counters;
        counters.partner.unacked.set(unacked.sum::<usize>() as u64);
    }
}
