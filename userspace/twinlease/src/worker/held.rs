//! What waits for a commit: replies that tell of a change, and positions whose binding has ended.

use datapath::Reply;
use journal::Ticket;
use lease::{AbsTime, Lease};
use std::collections::VecDeque;
use wire::{MessageType, ShardId};

/// A reply that is written and waits for its records to be durable.
pub struct HeldReply {
    /// Committed up to here, it may go.
    pub ticket: Ticket,
    /// The frame or buffer it stands in.
    pub reply: Reply,
    /// Octets of payload.
    pub len: usize,
    /// When it was decided.
    pub decided: AbsTime,
    /// For the counters.
    pub msg_type: MessageType,
}

/// Replies and positions in the order of their tickets, which only grow.
#[derive(Default)]
pub struct Held {
    replies: VecDeque<HeldReply>,
    positions: VecDeque<(Ticket, ShardId, Lease)>,
    answers: VecDeque<(Ticket, Box<dyn FnOnce() + Send>)>,
}

impl Held {
    /// Holds a reply until `reply.ticket` is committed.
    pub fn hold(&mut self, reply: HeldReply) {
        self.replies.push_back(reply);
    }

    /// Keeps a position from its pool until `ticket` is committed.
    pub fn keep_from_pool(&mut self, ticket: Ticket, shard: ShardId, lease: Lease) {
        self.positions.push_back((ticket, shard, lease));
    }

    /// All positions kept from their pools, and the shards whose bindings have ended.
    pub fn positions(&self) -> impl Iterator<Item = (ShardId, Lease)> {
        self.positions
            .iter()
            .map(|(_, shard, lease)| (*shard, *lease))
    }

    /// The next reply that may go, if any.
    pub fn next_reply(&mut self, committed: Ticket) -> Option<HeldReply> {
        self.replies.pop_front_if(|held| held.ticket <= committed)
    }

    /// The next position that may go back to its pool, if any, and the shard it was bound in.
    pub fn next_position(&mut self, committed: Ticket) -> Option<(ShardId, Lease)> {
        self.positions
            .pop_front_if(|(ticket, ..)| *ticket <= committed)
            .map(|(_, shard, lease)| (shard, lease))
    }

    /// Calls `answer` when `ticket` is committed, after the positions of then are free again.
    pub fn answer_at(&mut self, ticket: Ticket, answer: Box<dyn FnOnce() + Send>) {
        self.answers.push_back((ticket, answer));
    }

    /// The next answer to the control socket that may go, if any.
    pub fn next_answer(&mut self, committed: Ticket) -> Option<Box<dyn FnOnce() + Send>> {
        let next = self
            .answers
            .pop_front_if(|(ticket, _)| *ticket <= committed);
        next.map(|(_, answer)| answer)
    }

    /// Whether anything may go.
    pub fn is_due(&self, committed: Ticket) -> bool {
        self.replies
            .front()
            .is_some_and(|held| held.ticket <= committed)
            || self
                .positions
                .front()
                .is_some_and(|(ticket, ..)| *ticket <= committed)
            || self
                .answers
                .front()
                .is_some_and(|(ticket, _)| *ticket <= committed)
    }

    /// Replies held.
    pub fn replies(&self) -> usize {
        self.replies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(addr: u128) -> Lease {
        Lease { addr, len: 128 }
    }

    #[test]
    fn a_position_is_kept_until_its_record_is_committed() {
        let mut held = Held::default();
        held.keep_from_pool(Ticket(3), ShardId(0), lease(1));
        held.keep_from_pool(Ticket(5), ShardId(0), lease(2));
        assert!(!held.is_due(Ticket(2)));
        assert_eq!(held.next_position(Ticket(2)), None);
        assert!(held.is_due(Ticket(4)));
        assert_eq!(held.next_position(Ticket(4)), Some((ShardId(0), lease(1))));
        assert_eq!(held.next_position(Ticket(4)), None);
        assert_eq!(held.next_position(Ticket(5)), Some((ShardId(0), lease(2))));
        assert!(!held.is_due(Ticket(u64::MAX)));
    }
}
