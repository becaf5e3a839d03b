//! A worker's part in failover: what its shards tell the partner, and what the partner tells them
//! (RFC 8156 §7). Every rule is in [`failover::updates`]; here is the order of things.
//!
//! Mail of the control thread is worked off in its order, some of it in a turn. What is to be sent
//! goes through one queue, and from there to the control thread when everything recorded before it
//! is on disk: a BNDREPLY, so that what was acknowledged is not lost, and a BNDUPD, so that the
//! partner gives nothing away that would come back after a crash. A lease that an update frees is
//! drawn again only after its BNDREPLY was handed over.

mod offers;
mod pace;
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
use crate::partner::exchange::{
    FromWorker, PartnerUpdate, Replies, ToControl, ToWorker, UpdateKey,
};
use bytes::Bytes;
use failover::reconcile::Rejection;
use failover::updates::Offer;
use failover::{ConnectionId, Owed, Round};
use journal::Ticket;
use lease::{AbsTime, Lease};
use offers::Owing;
use pace::Pace;
use std::collections::VecDeque;
use std::num::NonZeroU32;
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
    /// BNDREPLYs of this turn, to be sent together.
    replies: Option<Replies>,
    /// To be given back to their pools with them.
    freed: Vec<(ShardId, Lease)>,
    /// Shards that may have something to tell.
    pub(super) unsent: UnsentShards,
    /// The shard whose turn it is to tell something.
    turn: ShardId,
    /// BNDUPDs that may be sent yet, if any, and on which connection.
    credit: Option<(ConnectionId, NonZeroU32)>,
    owing: Option<Owing>,
    /// When to offer.
    pub(super) pace: Pace,
    transit: Transit,
    /// Where a BNDREPLY is written.
    buffer: Vec<u8>,
}

/// Mail, piece by piece.
enum Task {
    Update(PartnerUpdate),
    Answer(Offer, Bytes),
    Yield(PartnerUpdate, Vec<Lease>),
    Credit(ConnectionId, u32),
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
            replies: None,
            freed: Vec::new(),
            unsent,
            turn: ShardId(0),
            credit: None,
            owing: None,
            pace: Pace::default(),
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
            ToWorker::Credit(connection, more) => {
                self.tasks.push_back(Task::Credit(connection, more));
            }
            ToWorker::Owe(round, owed) => self.tasks.push_back(Task::Owe(round, owed)),
            ToWorker::Forget => self.tasks.push_back(Task::Forget),
            ToWorker::RetryRejected => self.tasks.push_back(Task::RetryRejected),
        }
    }

    /// Credit for one connection is none for the next.
    fn take_credit(&mut self, connection: ConnectionId, more: u32) {
        let before = self.credit.filter(|(id, _)| *id == connection);
        let left = before
            .map_or(0, |(_, left)| left.get())
            .saturating_add(more);
        self.credit = NonZeroU32::new(left).map(|left| (connection, left));
    }

    /// Leases of this worker that no binding holds and that are kept from their pools all the same,
    /// and the shards whose bindings have ended.
    pub fn kept(&self, worker: usize) -> Vec<(ShardId, Lease)> {
        let freed = self.out.iter().flat_map(|out| &out.freed);
        let freed = freed.chain(&self.freed).copied();
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

    /// Sends a message behind all others when everything up to `ticket` is on disk.
    fn post(&mut self, ticket: Ticket, message: FromWorker) {
        self.post_replies(ticket);
        self.out.push_back(Outgoing {
            ticket,
            message,
            freed: Vec::new(),
        });
    }

    /// Sends a BNDREPLY with the others of this turn, and frees leases when it is sent: that in
    /// `buffer`, of such a length.
    fn reply(
        &mut self,
        ticket: Ticket,
        to: UpdateKey,
        len: usize,
        rejected: Vec<(Lease, Rejection)>,
        freed: impl Iterator<Item = (ShardId, Lease)>,
    ) {
        let connection = to.connection;
        let begun = self.replies.as_ref();
        if begun.is_some_and(|replies| replies.connection != connection) {
            self.post_replies(ticket);
        }
        let replies = self.replies.get_or_insert_with(|| Replies {
            connection,
            count: 0,
            frames: Vec::new(),
            rejected: Vec::new(),
        });
        replies.count += 1;
        replies.frames.extend_from_slice(&self.buffer[..len]);
        replies.rejected.extend(rejected);
        self.freed.extend(freed);
    }

    fn post_replies(&mut self, ticket: Ticket) {
        if let Some(replies) = self.replies.take() {
            self.out.push_back(Outgoing {
                ticket,
                message: FromWorker::Replies(replies),
                freed: std::mem::take(&mut self.freed),
            });
        }
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
        if self.partner.replies.is_some() {
            self.partner.post_replies(self.appender.ticket());
        }
        done + self.owe(now) + self.offer(now)
    }

    fn work_off(&mut self, task: Task, now: AbsTime) {
        match task {
            Task::Update(update) => self.receive_update(update, now),
            Task::Answer(offer, message) => self.settle(&offer, &message),
            Task::Yield(update, leases) => self.yield_leases(&update, &leases, now),
            Task::Credit(connection, more) => self.partner.take_credit(connection, more),
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
