//! Delegable prefixes that change sides, in blocks (RFC 8156 §4.2.2): nothing is told to the partner
//! before it is on disk. What the partner says of a block is taken over when it is read, and what is
//! said to it is looked at once more when it is written: so both see gifts and returns in the one
//! order of the connection ([`failover::balance`]).

use super::flow::Flow;
use crate::control_lane::Records;
use crate::partner::exchange::UpdateKey;
use engine::Model;
use failover::balance::{self, BLOCK_FRAME_LEN_MAX, PrefixShare, Transfer, Verdict};
use failover::reconcile::Rejection;
use failover::{Owed, Round};
use journal::Ticket;
use lease::{Lease, Pool, Role, Sides};
use std::collections::{BTreeSet, VecDeque};
use wire::IaKind;
use wire::failover::{Body, Container, FailoverMessage, PrefixData};

#[cfg(test)]
mod tests;

/// Blocks that one look at the balance moves in a pool, at most; the next look goes on.
const BLOCKS_MAX: usize = 256;

/// An answer to a block of the partner, which waits for the disk.
struct Answer {
    ticket: Ticket,
    key: UpdateKey,
    frame: Vec<u8>,
}

/// See the module.
pub struct Blocks {
    /// The relationship's place in the configuration.
    index: u16,
    role: Role,
    share: PrefixShare,
    /// What has changed sides and is not in the journal yet, which had no room for it.
    unrecorded: VecDeque<Transfer>,
    /// To be told when the ticket is committed.
    tellings: VecDeque<(Ticket, Transfer)>,
    /// Asked back and not answered yet.
    asked: BTreeSet<(u128, u8)>,
    /// Told and not answered yet.
    unanswered: u32,
    /// Given, and not wholly taken over by the partner: to be told again at the next look.
    again: Vec<Transfer>,
    /// The round that ends when nothing is to be told and answered any more.
    round: Option<Round>,
    answers: VecDeque<Answer>,
}

impl Blocks {
    /// Of the relationship at `index` in the configuration.
    pub fn new(index: u16, role: Role, share: PrefixShare) -> Self {
        Self {
            index,
            role,
            share,
            unrecorded: VecDeque::new(),
            tellings: VecDeque::new(),
            asked: BTreeSet::new(),
            unanswered: 0,
            again: Vec::new(),
            round: None,
            answers: VecDeque::new(),
        }
    }

    /// The prefix pools that both servers share, by their ranges.
    pub fn pools<'m>(&self, model: &'m Model) -> impl Iterator<Item = &'m Pool> + use<'m> {
        let index = self.index;
        let served = model.pools().iter().filter(move |served| {
            let link = &model.links()[served.link().index()];
            let relationship = link.relationship();
            served.pool().spec().kind == IaKind::Pd
                && relationship.is_some_and(|relationship| relationship.index == index)
        });
        served.map(engine::ServedPool::pool)
    }

    fn pool_of<'m>(&self, model: &'m Model, block: Lease) -> Option<&'m Pool> {
        let is_inside = |pool: &&Pool| {
            let len = pool.spec().unit_len;
            len >= block.len && pool.contains(Lease { len, ..block })
        };
        self.pools(model).find(is_inside)
    }

    /// Free prefixes by side over all pools.
    pub fn sides(&self, model: &Model) -> Sides {
        let sides = self.pools(model).filter_map(Pool::sides);
        sides.fold(Sides::default(), |sum, sides| Sides {
            primary: sum.primary.saturating_add(sides.primary),
            secondary: sum.secondary.saturating_add(sides.secondary),
        })
    }

    /// The connection is gone: what was not told is told again on entering NORMAL.
    pub fn forget(&mut self) {
        self.tellings.clear();
        self.asked.clear();
        self.again.clear();
        self.unanswered = 0;
        self.round = None;
    }

    /// The partner asks for everything. A primary that has lost its disk does not know what it gave,
    /// and is told; a secondary that has is told on entering NORMAL, because until then the primary
    /// may use all prefixes itself.
    pub fn owe(&mut self, round: Round, owed: Owed, model: &Model, records: &mut dyn Records) {
        if owed == Owed::All && self.role == Role::Secondary {
            self.announce(model, records);
        }
        self.round = Some(round);
    }

    /// The round that has just ended, if one has.
    pub fn take_answered(&mut self) -> Option<Round> {
        let is_done = self.tellings.is_empty() && self.unanswered == 0;
        self.round.take_if(|_| is_done)
    }

    /// A primary that enters NORMAL says what the secondary has, and a secondary that is asked for
    /// everything.
    pub fn announce(&mut self, model: &Model, records: &mut dyn Records) {
        let on_disk = records.committed();
        for pool in self.pools(model) {
            let all = balance::announcements(pool);
            self.tellings
                .extend(all.map(|transfer| (on_disk, transfer)));
        }
    }

    /// A secondary whose prefixes the primary may have used gives up the free ones, until it is told
    /// again which are its own.
    pub fn renounce(&mut self, model: &Model, records: &mut dyn Records) {
        let given = self.pools(model).flat_map(balance::renounce);
        self.unrecorded.extend(given.collect::<Vec<_>>());
        self.record(records);
    }

    /// Takes down what has changed sides, as far as the journal has room; whether that was all.
    pub fn record(&mut self, records: &mut dyn Records) -> bool {
        while !self.unrecorded.is_empty() && records.has_room() {
            if let Some(transfer) = self.unrecorded.pop_front() {
                records.ownership(transfer);
            }
        }
        let is_all = self.is_recorded();
        if !is_all {
            // What is handed over comes back as room.
            records.committed();
        }
        is_all
    }

    /// Whether all that has changed sides is in the journal, or on its way.
    pub fn is_recorded(&self) -> bool {
        self.unrecorded.is_empty()
    }

    /// Whether a secondary has fewer prefixes than it should have, in any pool.
    pub fn is_short(&self, model: &Model) -> bool {
        let sides = self.pools(model).filter_map(Pool::sides);
        let mut due = sides.filter_map(|sides| balance::due(sides, self.share));
        self.role == Role::Secondary && due.any(|(_, to)| to == Role::Secondary)
    }

    /// Gives and asks back what the shares lack. On a primary only.
    pub fn rebalance(&mut self, model: &Model, records: &mut dyn Records) {
        if !self.record(records) {
            return;
        }
        let on_disk = records.committed();
        let again = self.again.drain(..).map(|transfer| (on_disk, transfer));
        self.tellings.extend(again);
        for pool in self.pools(model) {
            let due = pool
                .sides()
                .and_then(|sides| balance::due(sides, self.share));
            let Some((mut count, to)) = due else { continue };
            for _ in 0..BLOCKS_MAX {
                if count == 0 || !records.has_room() {
                    break;
                }
                let Some(transfer) = balance::next_transfer(pool, count, to) else {
                    break;
                };
                let Lease { addr, len } = transfer.block;
                let ticket = match to {
                    Role::Secondary => records.ownership(transfer),
                    // Nothing changes until the secondary agrees, and it is asked once.
                    Role::Primary if !self.asked.insert((addr, len)) => break,
                    Role::Primary => records.committed(),
                };
                self.tellings.push_back((ticket, transfer));
                count = count.saturating_sub(1 << (pool.spec().unit_len - len).min(63));
            }
        }
    }

    /// The partner has answered; what it did not agree to is told.
    pub fn answered(
        &mut self,
        transfer: Transfer,
        reply: &PrefixData<'_>,
        model: Option<&Model>,
        records: &mut dyn Records,
    ) {
        self.asked
            .remove(&(transfer.block.addr, transfer.block.len));
        self.unanswered = self.unanswered.saturating_sub(1);
        let block = transfer.block;
        if let Some(status) = reply.options.rejection() {
            let (to, status) = (transfer.to, status.code);
            tracing::info!(%block, ?to, %status, "partner does not take over a block of prefixes");
            let is_gift = self.role == Role::Primary && to == Role::Secondary;
            self.again.extend(is_gift.then_some(transfer));
            return;
        }
        // Without a model the block is nobody's until it is asked back once more.
        let pool = model.and_then(|model| self.pool_of(model, block));
        if pool.is_some_and(|pool| balance::agreed(pool, transfer)) {
            self.unrecorded.push_back(transfer);
            self.record(records);
        }
    }

    /// Sends what is on disk.
    pub fn settle(
        &mut self,
        flow: Option<&mut Flow>,
        now: failover::Now,
        model: &Model,
        records: &mut dyn Records,
    ) {
        let committed = records.committed();
        let Some(flow) = flow else {
            self.answers.clear();
            return;
        };
        while flow.has_room()
            && let Some((ticket, transfer)) = self.tellings.pop_front_if(|(t, _)| *t <= committed)
        {
            let pool = self.pool_of(model, transfer.block);
            let parts = pool.map_or_else(Vec::new, |pool| balance::still_given(pool, transfer));
            let mut parts = parts.into_iter();
            if let Some(part) = parts.next() {
                self.unanswered += u32::from(flow.send_block(part, now));
            }
            for part in parts.rev() {
                self.tellings.push_front((ticket, part));
            }
        }
        while let Some(answer) = self.answers.front()
            && answer.ticket <= committed
        {
            if answer.key.connection == flow.connection {
                flow.reply(1, &answer.frame);
            }
            self.answers.pop_front();
        }
    }

    /// Whether something waits for the disk.
    pub fn waits(&self) -> bool {
        !(self.is_recorded() && self.tellings.is_empty() && self.answers.is_empty())
    }

    /// A BNDUPD of the partner about a block. While the journal has no room or the model changes it
    /// is rejected: the primary tells again what it has given.
    pub fn receive(
        &mut self,
        key: UpdateKey,
        message: &[u8],
        model: Option<&Model>,
        records: &mut dyn Records,
    ) {
        let Ok(message) = FailoverMessage::parse(message) else {
            return;
        };
        let Ok(Body::Bndupd(Container::Prefix(prefix))) = message.body() else {
            return;
        };
        let block = balance::block_of(&prefix);
        let has_room = self.record(records) && records.has_room();
        let verdict = match model.filter(|_| has_room) {
            Some(model) => balance::receive(self.role, self.pool_of(model, block), &prefix),
            None => Verdict::rejected(Rejection::Outdated),
        };
        let ticket = match verdict.record {
            Some(transfer) => records.ownership(transfer),
            None => records.committed(),
        };
        let rejection = verdict.rejection;
        if let Some(why) = rejection.filter(|why| *why != Rejection::Outdated) {
            tracing::warn!(%block, reason = why.text(), "a block of the partner rejected");
        }
        // Of what the partner sent only OPTION_VSS is echoed at length.
        let mut frame = vec![0; BLOCK_FRAME_LEN_MAX + prefix.options.vss.map_or(0, <[u8]>::len)];
        if let Ok(len) =
            balance::write_bndreply(&prefix, rejection, message.transaction_id, &mut frame)
        {
            frame.truncate(len);
            self.answers.push_back(Answer { ticket, key, frame });
        }
    }
}
