//! BNDUPDs to the partner, and what follows from its answers (RFC 8156 §7.4, §7.7).

use super::{Desk, UnsentShards};
use crate::partner::exchange::{FromWorker, Offers};
use engine::Context;
use failover::updates::{self, BNDUPD_LEN_MAX, Everything, KeyOf, Offer, Settled};
use failover::{Owed, Round};
use lease::AbsTime;
use std::num::NonZeroU32;
use std::sync::Arc;
use wire::ShardId;
use wire::failover::{Body, Container, FailoverMessage, TransactionId};

/// BNDUPDs written in one turn: as many as clients' messages are answered.
const OFFERS: u32 = 64;

/// Bindings looked at in one turn for a partner that asks for everything: no more than the journal
/// has room for.
const OWED_SLICE: usize = 64;

/// A round of having leases acknowledged.
pub(super) struct Owing {
    round: Round,
    owed: Owed,
    /// How many of the owned shards have been told.
    told: usize,
    /// How many of them, from the first on, owe nothing any more.
    through: usize,
    /// How far the look at the next shard's bindings has come.
    cursor: u32,
    /// Shards of which nothing may be sent yet: the partner asked for everything, and a lease that
    /// has ended here may be one that it promised; see [`updates::owe_all`].
    untold: UnsentShards,
}

impl Desk {
    /// Writes the next BNDUPDs, if the partner is to have any; how many.
    pub(super) fn offer(&mut self, now: AbsTime) -> usize {
        let partner = &mut self.partner;
        let untold = partner.owing.as_ref().map(|owing| owing.untold);
        let untold = untold.unwrap_or_default();
        let is_nothing = partner.unsent.without(&untold).is_empty();
        if is_nothing || partner.out.len() >= super::OUT_MAX {
            return 0;
        }
        let Some((connection, credit)) = partner.credit else {
            return 0;
        };
        let leeway = self.model.relationship();
        let leeway = leeway.and_then(|own| self.leeways.get(usize::from(own.index)));
        // What the partner asks for it gets in every state (RFC 8156 §7.6), also where nothing is
        // sent unasked.
        let is_asked = partner.owing.is_some();
        if !is_asked && !leeway.is_some_and(|leeway| leeway.replicate) {
            return 0;
        }
        if !is_asked && partner.pace.is_to_wait() {
            return 0;
        }
        let most = credit.get().min(OFFERS);
        let mut offers = Offers::new(connection);
        let mut frame = [0; BNDUPD_LEN_MAX];
        let model = Arc::clone(&self.model);
        let key_of: KeyOf<'_> = &|duid| model.reconfigure_key(duid);
        while offers.len() < most as usize
            && let Some(id) = partner.unsent.without(&untold).next(partner.turn)
        {
            // Those of a shard lie together: as many of them as come before the turn is over.
            partner.turn = id;
            let shard = self.shards.get_mut(id);
            match updates::offer(shard, TransactionId::new(0), now, key_of, &mut frame) {
                Ok(Some((len, offer))) => offers.push(offer, &frame[..len]),
                Ok(None) => partner.unsent.remove(id),
                // In flight, and unsent again with the connection.
                Err(wire::NoRoom) => {
                    tracing::error!(shard = id.0, "a binding is too long for a BNDUPD");
                }
            }
        }
        partner.turn = ShardId(partner.turn.0.wrapping_add(1));
        if partner.unsent.is_empty() {
            partner.pace.all_is_told();
        }
        let written = offers.len();
        let left = NonZeroU32::new(credit.get() - written as u32);
        partner.credit = left.map(|left| (connection, left));
        if written > 0 {
            let ticket = self.appender.ticket();
            partner.post(ticket, FromWorker::Offers(offers));
        }
        written
    }

    /// The partner's BNDREPLY to an offer.
    pub(super) fn settle(&mut self, offer: &Offer, message: &[u8]) {
        let body = FailoverMessage::parse(message).and_then(|message| message.body());
        let Ok(Body::Bndreply(Container::Client(reply))) = body else {
            tracing::error!(lease = %offer.lease, "a BNDREPLY without client data came to a worker");
            return;
        };
        if self.shards.get(offer.shard).is_none() {
            return;
        }
        let (shards, mut recorder) = self.recorder();
        let shard = shards.get_mut(offer.shard);
        let settled = updates::settle(shard, offer, &reply, &mut |delta| recorder.record(delta));
        match settled {
            Settled::Acknowledged | Settled::Available(_) => {
                self.counters.partner.updates_acknowledged.add(1);
            }
            Settled::ChangedSince => self.partner.unsent.insert(offer.shard),
            Settled::Rejected(status) => {
                self.counters.partner.updates_refused.add(1);
                tracing::debug!(lease = %offer.lease, ?status, "the partner rejects a lease");
            }
            Settled::Stale => {}
        }
    }

    /// Has leases acknowledged by the partner; a round under way becomes part of this one.
    pub(super) fn begin_owing(&mut self, round: Round, owed: Owed) {
        let before = self.partner.owing.take();
        let is_half_done =
            |before: &Owing| before.owed == Owed::All && before.told < self.shards.owned().len();
        let owed = match before.as_ref().is_some_and(is_half_done) {
            true => Owed::All,
            false => owed,
        };
        let mut untold = UnsentShards::default();
        if owed == Owed::All {
            let owned = self.shards.owned().iter();
            owned.for_each(|shard| untold.insert(*shard));
        }
        self.partner.owing = Some(Owing {
            round,
            owed,
            told: 0,
            through: 0,
            cursor: 0,
            untold,
        });
    }

    /// Tells the next shard of a round, or looks whether it is through; the work it was.
    pub(super) fn owe(&mut self, now: AbsTime) -> usize {
        let Some(owing) = &mut self.partner.owing else {
            return 0;
        };
        if let Some(id) = self.shards.owned().get(owing.told).copied() {
            if !self.appender.has_room() {
                return 0;
            }
            let slice = (owing.cursor, OWED_SLICE);
            let next = match owing.owed {
                Owed::Unacked => {
                    self.shards.get_mut(id).owe_unacked();
                    None
                }
                Owed::All => self.owe_slice(id, slice, now),
            };
            if let Some(owing) = &mut self.partner.owing {
                owing.told += usize::from(next.is_none());
                owing.cursor = next.unwrap_or(0);
                if next.is_none() {
                    owing.untold.remove(id);
                }
            }
            self.partner.unsent.insert(id);
            return 1;
        }
        let owned = self.shards.owned();
        // Once told a shard only comes to owe less.
        let owes = |id: &ShardId| {
            self.shards
                .get(*id)
                .is_some_and(|shard| shard.unacked().owed > 0)
        };
        let rest = &owned[owing.through..];
        owing.through += rest.iter().take_while(|id| !owes(id)).count();
        if owing.through < owned.len() {
            return 0;
        }
        let round = owing.round;
        self.partner.owing = None;
        self.partner
            .post(self.appender.ticket(), FromWorker::Answered(round));
        1
    }

    fn owe_slice(&mut self, id: ShardId, slice: (u32, usize), now: AbsTime) -> Option<u32> {
        let (shards, Context { model, leeways, .. }, mut recorder) = self.deciding(now);
        let own = model.relationship();
        let leeway = own.and_then(|own| leeways.get(usize::from(own.index)));
        let everything = Everything {
            now,
            mclt_secs: leeway.map_or(0, |leeway| leeway.mclt_secs),
            is_partnered: &|link| model.is_partnered(link),
        };
        updates::owe_all(shards.get_mut(id), slice, &everything, &mut |delta| {
            recorder.record(delta)
        })
    }

    /// The partner will answer nothing any more.
    pub(super) fn forget_connection(&mut self) {
        let partner = &mut self.partner;
        partner.credit = None;
        partner.owing = None;
        partner
            .out
            .retain(|out| !matches!(out.message, FromWorker::Offers(_) | FromWorker::Answered(_)));
        self.each_shard(lease::Shard::connection_lost);
    }

    /// What the partner rejected is offered again.
    pub(super) fn retry_rejected(&mut self) {
        self.each_shard(|shard| {
            if shard.unacked().rejected > 0 {
                shard.retry_rejected();
            }
        });
    }

    fn each_shard(&mut self, change: impl Fn(&mut lease::Shard)) {
        for at in 0..self.shards.owned().len() {
            let id = self.shards.owned()[at];
            let shard = self.shards.get_mut(id);
            change(shard);
            if shard.unacked().unsent > 0 {
                self.partner.unsent.insert(id);
            }
        }
    }
}
