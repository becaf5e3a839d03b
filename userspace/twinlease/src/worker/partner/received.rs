//! BNDUPDs from the partner: decided in their client's shard, given way to in the others
//! (RFC 8156 §7.5).

use super::Desk;
use super::places::ClientPlaces;
use crate::partner::exchange::{FromWorker, PartnerUpdate};
use engine::Context;
use failover::reconcile::Rejection;
use failover::updates::{self, LeaseUpdate, Places, Premises, Yielded, client_of};
use lease::{AbsTime, Lease, Role};
use wire::ShardId;
use wire::failover::{Body, ClientData, Container, FailoverMessage, TransactionId};

/// What a BNDREPLY may have more than its BNDUPD: a status in each lease, and each lease in an IA
/// of its own.
const GROWTH: usize = 4;

impl Desk {
    pub(super) fn receive_update(&mut self, mut update: PartnerUpdate, now: AbsTime) {
        let Some((transaction_id, data)) = client_data(&update.message) else {
            tracing::error!("a BNDUPD without client data came to a worker");
            return;
        };
        let duid = client_of(&data).ok();
        // One of no client is rejected as a whole, wherever it is.
        let id = updates::shard_of(&data)
            .unwrap_or_else(|_| self.shards.owned().first().copied().unwrap_or(ShardId(0)));
        if self.shards.get(id).is_none() {
            tracing::error!(
                shard = id.0,
                "a BNDUPD came to a worker that has not its shard"
            );
            return;
        }
        let places = ClientPlaces {
            model: &self.model,
            duid,
        };
        // Nobody had it, and it was not free: the record of its end was on its way to the disk.
        update
            .refused
            .retain(|(lease, why)| *why != Rejection::Outdated || places.is_taken(id, *lease));
        let mut buffer = std::mem::take(&mut self.partner.buffer);
        buffer.resize(GROWTH * update.message.len() + 256, 0);
        let leases = data.leases().map(|lease| updates::place(&lease));
        let shard = self.shards.get_mut(id);
        let counted = self.model.counted(shard, leases, &update.yielded);
        let (shards, context, mut recorder) = self.deciding(now);
        let places = ClientPlaces {
            model: context.model,
            duid,
        };
        let received = updates::receive(
            shards.get_mut(id),
            &premises(&context, &places, &update),
            transaction_id,
            &data,
            &mut buffer,
            &mut |delta| recorder.record_unfreed(delta),
        );
        self.partner.buffer = buffer;
        self.model.recount(self.shards.get_mut(id), &counted);
        let mut outcome = match received {
            Ok(outcome) => outcome,
            Err(wire::NoRoom) => {
                tracing::error!(
                    octets = update.message.len(),
                    "the answer to a BNDUPD is longer than a message can be; the partner will send \
                     it again with the next connection"
                );
                return;
            }
        };
        let ticket = self.appender.ticket();
        if !outcome.elsewhere.is_empty() {
            let message = FromWorker::Elsewhere(update, outcome.elsewhere);
            return self.partner.post(ticket, message);
        }
        if !update.yielded.is_empty() {
            self.partner.transit.arrive(update.key);
        }
        // Given up for this update, and not taken after all.
        let shard = self.shards.get(id);
        let untaken = |lease: &&Lease| !shard.is_some_and(|shard| shard.holds(**lease));
        for lease in update.yielded.iter().filter(untaken) {
            if !outcome.freed.contains(lease) {
                outcome.freed.push(*lease);
            }
        }
        let counters = &self.counters.partner;
        counters.updates_received.add(1);
        counters.leases_accepted.add(outcome.accepted as u64);
        for (_, rejection) in &outcome.rejected {
            counters.leases_rejected.of(*rejection as usize).add(1);
        }
        let freed = outcome.freed.into_iter().map(|lease| (id, lease));
        let (len, rejected) = (outcome.reply_len, outcome.rejected);
        self.partner.reply(ticket, update.key, len, rejected, freed);
    }

    /// Gives up leases that an update says another client has, where the rules say so.
    pub(super) fn yield_leases(&mut self, update: &PartnerUpdate, leases: &[Lease], now: AbsTime) {
        let (mut given, mut refused) = (Vec::new(), Vec::new());
        let data = client_data(&update.message).map(|(_, data)| data);
        for lease in data.iter().flat_map(ClientData::leases) {
            let Some(base_time) = data.as_ref().and_then(|data| data.client.base_time) else {
                break;
            };
            let duid = data.as_ref().and_then(|data| client_of(data).ok());
            let read = LeaseUpdate::read(&lease, base_time);
            let Ok(theirs) = read else {
                // Rejected for that wherever it is received.
                continue;
            };
            // What is none of the relationship's is not given up for it.
            let link = self.model.partnered_link_of(theirs.lease, theirs.kind);
            if !leases.contains(&theirs.lease) || link.is_none() {
                continue;
            }
            let own = data.as_ref().and_then(|data| updates::shard_of(data).ok());
            let holder = self.shards.all().find(|shard| shard.holds(theirs.lease));
            let is_asked = |shard| self.shards.get(shard).is_some();
            if holder.is_none() && self.model.keep_from_its_client(theirs.lease, is_asked) {
                let transit = &self.partner.transit;
                transit.give(
                    update.key,
                    self.index,
                    own.unwrap_or(ShardId(0)),
                    theirs.lease,
                );
                given.push(theirs.lease);
                continue;
            }
            let Some(id) = holder.map(lease::Shard::id).filter(|id| Some(*id) != own) else {
                continue;
            };
            let (shards, context, mut recorder) = self.deciding(now);
            let places = ClientPlaces {
                model: context.model,
                duid,
            };
            let held = shards.get_mut(id).by_lease(theirs.lease);
            let is_uncounted = held.is_some_and(|(_, record)| context.model.is_uncounted(&record));
            let premises = premises(&context, &places, update);
            let emit = &mut |delta: &lease::BindingDelta<'_>| recorder.record_unfreed(delta);
            match updates::yield_lease(shards.get_mut(id), &premises, &theirs, emit) {
                Yielded::NotHere => {}
                Yielded::Given => {
                    if is_uncounted {
                        context.model.count(theirs.lease);
                    }
                    let transit = &self.partner.transit;
                    transit.give(update.key, self.index, id, theirs.lease);
                    given.push(theirs.lease);
                }
                Yielded::Refused(rejection) => refused.push((theirs.lease, rejection)),
            }
        }
        let message = FromWorker::Yielded {
            key: update.key,
            given,
            refused,
        };
        self.partner.post(self.appender.ticket(), message);
    }
}

fn premises<'a>(
    context: &Context<'_>,
    places: &'a ClientPlaces<'_>,
    update: &'a PartnerUpdate,
) -> Premises<'a> {
    let relationship = context.model.relationship();
    Premises {
        // A server without relationship takes nothing over anyway.
        role: relationship.map_or(Role::Primary, |relationship| relationship.role),
        now: context.now,
        places,
        yielded: &update.yielded,
        refused: &update.refused,
    }
}

fn client_data(message: &[u8]) -> Option<(TransactionId, ClientData<'_>)> {
    let message = FailoverMessage::parse(message).ok()?;
    match message.body().ok()? {
        Body::Bndupd(Container::Client(data)) => Some((message.transaction_id, data)),
        _ => None,
    }
}
