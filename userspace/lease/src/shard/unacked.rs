//! What the failover partner has not acknowledged, as sets of bindings and not as queues: changing
//! a lease twice before it is sent costs one update, and the backlog of an outage no memory.
//!
//! ```text
//!            changed                 sent               accepted
//!   clean ────────────▶ unsent ────────────▶ in flight ──────────▶ clean
//!                         ▲ ▲                 │  │ changed           (unsent, if changed
//!                         │ └─ connection lost┘  ▼                    meanwhile)
//!                         │                 in flight, and again unsent
//!                         └── retry ── rejected ◀── rejected by the partner
//! ```
//!
//! A binding is *owed* while it is part of the answer to an UPDREQ or UPDREQALL; a reply of either
//! kind settles it (RFC 8156 §7.7, §8.5.2).
//!
//! Invariant: a binding whose record says `unacked` is in one of these sets, and no other is.

use super::slot_set::SlotSet;
use super::{BindingId, Shard};
use crate::{AbsTime, BindingRecord, BindingStatus, LinkKey};

/// The partner's answer to an update about one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has taken it.
    Accepted {
        /// Its new acked-partner-lifetime: the partner-lifetime of the update, as it was echoed.
        acked_partner_lifetime: AbsTime,
    },
    /// It has not.
    Rejected,
}

/// What became of an update that the partner has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Nothing was in flight for this binding: the answer is to an update of an earlier one.
    Unasked,
    /// The partner has all there is, or what it said of the lease itself was taken over meanwhile.
    Clean,
    /// The lease has changed since it was sent; it is still unsent.
    ChangedSince,
    /// The partner did not take it. It stays unacknowledged, and is sent again when it changes or
    /// when [`Shard::retry_rejected`] is called.
    Rejected,
}

/// How much is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnackedCounts {
    /// Bindings to be sent now, so without those in flight that changed meanwhile.
    pub unsent: usize,
    /// Bindings sent and not answered.
    pub in_flight: usize,
    /// Bindings that the partner rejected.
    pub rejected: usize,
    /// Bindings of the answer to an UPDREQ or UPDREQALL that the partner has not answered.
    pub owed: usize,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Unacked {
    unsent: SlotSet,
    in_flight: SlotSet,
    /// Those whose present state was ever sent; one in flight that is not here changed meanwhile.
    sent: SlotSet,
    /// Those in flight that need no answer any more: the record has become clean meanwhile.
    moot: SlotSet,
    rejected: SlotSet,
    owed: SlotSet,
    /// Where the search for the next to send goes on, so that all get their turn.
    cursor: u32,
}

impl Unacked {
    /// The lease has changed, and the partner is to hear of it.
    pub(super) fn note_changed(&mut self, slot: u32) {
        self.sent.remove(slot);
        self.want(slot);
    }

    /// The partner is to be told once more.
    fn want(&mut self, slot: u32) {
        self.moot.remove(slot);
        if !self.in_flight.contains(slot) {
            self.rejected.remove(slot);
            self.unsent.insert(slot);
        }
    }

    /// The lease is as the partner knows it.
    pub(super) fn note_clean(&mut self, slot: u32) {
        self.unsent.remove(slot);
        self.rejected.remove(slot);
        if self.in_flight.contains(slot) {
            self.sent.insert(slot);
            self.moot.insert(slot);
        } else {
            self.sent.remove(slot);
            self.owed.remove(slot);
        }
    }

    /// The binding is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        for set in [
            &mut self.unsent,
            &mut self.in_flight,
            &mut self.sent,
            &mut self.moot,
            &mut self.rejected,
            &mut self.owed,
        ] {
            set.remove(slot);
        }
    }

    fn take(&mut self) -> Option<u32> {
        let slot = self
            .unsent
            .next(self.cursor)
            .or_else(|| self.unsent.next(0))?;
        self.unsent.remove(slot);
        self.in_flight.insert(slot);
        self.sent.insert(slot);
        self.cursor = slot + 1;
        Some(slot)
    }

    /// What follows from an answer for the slot.
    fn answer(&mut self, slot: u32, accepted: bool) -> Answered {
        if !self.in_flight.remove(slot) {
            return Answered::Unasked;
        }
        self.owed.remove(slot);
        if !self.sent.contains(slot) {
            self.unsent.insert(slot);
            return Answered::ChangedSince;
        }
        if self.moot.remove(slot) || accepted {
            self.sent.remove(slot);
            return Answered::Clean;
        }
        self.rejected.insert(slot);
        Answered::Rejected
    }

    fn lose_connection(&mut self) {
        self.in_flight.subtract(&self.moot);
        self.sent.subtract(&self.moot);
        self.moot.clear();
        self.unsent.absorb(&self.in_flight);
        self.in_flight.clear();
        self.owed.clear();
        self.retry_rejected();
    }

    fn retry_rejected(&mut self) {
        self.unsent.absorb(&self.rejected);
        self.rejected.clear();
    }

    fn owe_unacked(&mut self) {
        self.retry_rejected();
        self.owed.absorb(&self.unsent);
        self.owed.absorb(&self.in_flight);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.unsent.memory_bytes()
            + self.in_flight.memory_bytes()
            + self.sent.memory_bytes()
            + self.moot.memory_bytes()
            + self.rejected.memory_bytes()
            + self.owed.memory_bytes()
    }
}

impl Shard {
    /// The next binding to tell the partner of: from now on in flight. Each gets its turn however
    /// often others change.
    pub fn take_unsent(&mut self) -> Option<BindingId> {
        self.unacked.take().map(BindingId)
    }

    /// The partner has answered the update about this binding. If it has accepted it and nothing
    /// changed meanwhile, the record is no longer `unacked`.
    ///
    /// The caller makes sure that the answer is to the binding at this place: a place is used
    /// again after a binding was removed.
    pub fn answered(&mut self, id: BindingId, answer: Answer) -> Answered {
        let accepted = answer != Answer::Rejected;
        let answered = self.unacked.answer(id.0, accepted);
        if answered == Answered::Unasked {
            return answered;
        }
        if let Answer::Accepted {
            acked_partner_lifetime,
        } = answer
        {
            let clean = answered == Answered::Clean;
            self.bindings[id.0].acknowledge(acked_partner_lifetime, clean);
        }
        answered
    }

    /// What [`answered`](Self::answered) left in the journal, applied to a recovered binding: the
    /// partner has acknowledged the record as it is.
    pub fn restore_acknowledged(&mut self, id: BindingId, acked_partner_lifetime: AbsTime) {
        if self.get(id).is_some() {
            self.bindings[id.0].acknowledge(acked_partner_lifetime, true);
            self.unacked.note_clean(id.0);
        }
    }

    /// The connection is gone: what was in flight is unsent, what was owed is no longer asked for.
    pub fn connection_lost(&mut self) {
        self.unacked.lose_connection();
    }

    /// What the partner rejected is sent again; called seldom (RFC 8156 leaves it to "periodic").
    pub fn retry_rejected(&mut self) {
        self.unacked.retry_rejected();
    }

    /// The partner sent an UPDREQ: every unacknowledged binding is owed.
    pub fn owe_unacked(&mut self) {
        self.unacked.owe_unacked();
    }

    /// The partner sent an UPDREQALL: every binding of a link that `is_partnered` is
    /// unacknowledged and owed. Looks at every slot once. `failover::updates::owe_all` calls it, after
    /// it has seen to what the partner may have promised.
    pub fn owe_all(&mut self, is_partnered: &dyn Fn(LinkKey) -> bool) {
        for slot in 0..self.bindings.reached() {
            let stored = &mut self.bindings[slot];
            if stored.is_live() && is_partnered(stored.link()) {
                stored.set_unacked(true);
                self.unacked.want(slot);
            }
        }
        self.unacked.owe_unacked();
    }

    /// How much the partner has not acknowledged.
    pub fn unacked(&self) -> UnackedCounts {
        UnackedCounts {
            unsent: self.unacked.unsent.len(),
            in_flight: self.unacked.in_flight.len(),
            rejected: self.unacked.rejected.len(),
            owed: self.unacked.owed.len(),
        }
    }

    /// Whether the partner may know already of the state that the record has. Until then an ended
    /// lease may go back to the same client (RFC 8156 §8.8.1).
    pub fn was_sent(&self, id: BindingId) -> bool {
        self.unacked.sent.contains(id.0)
    }

    /// Whether the partner is about to hear that the lease is somebody's: an update on its way says
    /// so, or may. What the partner said meanwhile it said without that.
    pub fn is_told_as_held(&self, id: BindingId) -> bool {
        let ended = |record: BindingRecord<'_>| {
            use BindingStatus as S;
            matches!(record.status, S::Expired | S::Released | S::Reset)
        };
        let told_end = self.unacked.sent.contains(id.0) && self.get(id).is_some_and(ended);
        self.unacked.in_flight.contains(id.0) && !told_end
    }

    /// After recovery, which does not know, and while the partner may stand alone, which needs not
    /// to be told: whatever is unacknowledged may have been sent.
    pub fn presume_sent(&mut self) {
        self.unacked.sent.absorb(&self.unacked.unsent);
    }

    /// Follows what a record that was put, or amended, says of itself.
    pub(super) fn note_put(&mut self, slot: u32, unacked: bool) {
        if unacked {
            self.unacked.note_changed(slot);
        } else {
            self.unacked.note_clean(slot);
        }
    }
}
