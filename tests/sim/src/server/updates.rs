//! Binding updates: sent out of the shards' marks, received strictly one after the other.

use super::places::InModel;
use super::{Held, Out, Running, Sent, Server, record};
use crate::disk::Ticket;
use crate::mutation::Mutation;
use failover::reconcile::Rejection;
use failover::updates::{
    BNDUPD_LEN_MAX, LeaseUpdate, Premises, Settled, Yielded, client_of, offer, place, receive,
    settle, shard_of, yield_lease,
};
use failover::{ConnectionId, Now};
use lease::{BindingDelta, Lease};
use wire::ShardId;
use wire::failover::{Body, ClientData, Container, FailoverMessage, TransactionId};

/// The update in front waits for leases that other shards have given up for it.
pub struct Yielding {
    until: Ticket,
    yielded: Vec<Lease>,
    refused: Vec<(Lease, Rejection)>,
}

impl Server {
    /// Sends what the partner has not acknowledged, as far as the window goes. An update leaves when
    /// what it tells is on disk: a crash must not take back what the partner has built on.
    pub(super) fn send_updates(&mut self, now: Now) {
        loop {
            if self.send_block(now) {
                continue;
            }
            let Some((connection, shard, frame)) = self.next_update(now) else {
                return;
            };
            let update = Held::Update(connection, frame);
            self.hold(self.worker_of(shard), update, now);
        }
    }

    fn next_update(&mut self, now: Now) -> Option<(ConnectionId, ShardId, Vec<u8>)> {
        let running = self.running.as_mut()?;
        let (connection, window) = running.window.as_mut().filter(|(_, w)| w.room() > 0)?;
        let connection = *connection;
        let may = running.leeway.replicate;
        let mut buffer = [0; BNDUPD_LEN_MAX];
        let mut shards = running.shards.iter_mut();
        let (len, offer) = shards.find_map(|shard| {
            let wants = may || shard.unacked().owed > 0;
            // The id is known when the window has the update.
            let none = TransactionId::new(0);
            wants.then(|| offer(shard, none, now.wall, &|_| None, &mut buffer).expect("room"))?
        })?;
        let id = window.send(Sent::Lease(offer), now.mono).ok()?;
        let mut frame = buffer[..len].to_vec();
        frame[3..6].copy_from_slice(&id.octets());
        self.say(|| format!("BNDUPD {} {:?}", offer.lease, offer.status));
        Some((connection, offer.shard, frame))
    }

    /// Takes the partner's updates and answers as they came.
    pub(super) fn work_inbound(&mut self, now: Now) {
        while let Some(running) = &mut self.running {
            let waits = running.yielding.as_ref();
            if waits.is_some_and(|y| y.until > self.disk.durable()) {
                return;
            }
            let Some((connection, frame)) = running.inbound.pop_front() else {
                return;
            };
            if !self.work_frame(connection, &frame, now) {
                if let Some(running) = &mut self.running {
                    running.inbound.push_front((connection, frame));
                }
                return;
            }
        }
    }

    /// Whether the frame is done with.
    fn work_frame(&mut self, connection: ConnectionId, frame: &[u8], now: Now) -> bool {
        let message = FailoverMessage::parse(frame).expect("read before");
        let id = message.transaction_id;
        match message.body().expect("read before") {
            Body::Bndupd(Container::Client(data)) => {
                return self.work_update(connection, id, &data, frame.len(), now);
            }
            Body::Bndupd(Container::Prefix(prefix)) => {
                self.work_block(connection, id, &prefix, now);
            }
            Body::Bndreply(container) => self.work_reply(connection, id, &container, now),
            _ => {}
        }
        true
    }

    fn work_update(
        &mut self,
        connection: ConnectionId,
        id: TransactionId,
        data: &ClientData<'_>,
        len: usize,
        now: Now,
    ) -> bool {
        let role = self.role;
        let Some(running) = &mut self.running else {
            return true;
        };
        let Running {
            model,
            shards,
            yielding,
            ..
        } = running;
        let (yielded, refused) = match yielding.take() {
            Some(waited) => (waited.yielded, waited.refused),
            None => (Vec::new(), Vec::new()),
        };
        let duid = client_of(data).expect("the partner names the client");
        let places = InModel { model, duid };
        let premises = Premises {
            role,
            now: now.wall,
            places: &places,
            yielded: &yielded,
            refused: &refused,
        };
        let id_of = shard_of(data).expect("the partner names the client");
        let of = shards
            .iter()
            .position(|shard| shard.id() == id_of)
            .unwrap_or(0);
        let mut buffer = vec![0; len + 256];
        let disk = &mut self.disk;
        let mut emit = |delta: &BindingDelta<'_>| record(disk, model, delta);
        let leases = || data.leases().map(|lease| place(&lease));
        let counted = model.counted(&shards[of], leases(), &yielded);
        let mut outcome = receive(&mut shards[of], &premises, id, data, &mut buffer, &mut emit)
            .expect("room for an answer");
        if !outcome.elsewhere.is_empty() {
            let (mut yielded, mut refused) = (yielded.clone(), refused.clone());
            for lease in data.leases() {
                let base_time = data.client.base_time.unwrap_or(0);
                let Ok(update) = LeaseUpdate::read(&lease, base_time) else {
                    continue;
                };
                if !outcome.elsewhere.contains(&update.lease) {
                    continue;
                }
                for shard in shards.iter_mut() {
                    let holder = shard.by_lease(update.lease);
                    let is_uncounted = holder.is_some_and(|(_, r)| model.is_uncounted(&r));
                    match yield_lease(shard, &premises, &update, &mut emit) {
                        Yielded::NotHere => {}
                        Yielded::Given => {
                            if is_uncounted {
                                model.count(update.lease);
                            }
                            yielded.push(update.lease);
                        }
                        Yielded::Refused(why) => refused.push((update.lease, why)),
                    }
                }
            }
            for lease in &outcome.elsewhere {
                let is_known =
                    yielded.contains(lease) || refused.iter().any(|(known, _)| known == lease);
                let is_held = shards.iter().any(|shard| shard.holds(*lease));
                if !is_known && !is_held && model.keep_from_its_client(*lease, |_| true) {
                    yielded.push(*lease);
                }
            }
            // A lease that no shard has is on its way back to its pool: it is there when its worker
            // looks after the next commit.
            let comes_back = outcome.elsewhere.iter().any(|l| running.comes_back(*l));
            let until = self.disk.ticket();
            let is_still = until <= self.disk.durable() && yielded.is_empty() && refused.is_empty();
            if is_still && !comes_back {
                let leases = &outcome.elsewhere;
                let what = format!("{leases:?} taken in their pools and held by nobody");
                self.out.push(Out::Broken(what));
                return true;
            }
            running.yielding = Some(Yielding {
                until,
                yielded,
                refused,
            });
            return !comes_back
                && until <= self.disk.durable()
                && self.work_update(connection, id, data, len, now);
        }
        model.recount(&shards[of], &counted);
        // Given up for this update, and not taken after all.
        let untaken = |lease: &Lease| !shards[of].holds(*lease) && !outcome.freed.contains(lease);
        let untaken: Vec<Lease> = yielded.iter().copied().filter(untaken).collect();
        outcome.freed.extend(untaken);
        buffer.truncate(outcome.reply_len);
        if self.params.story > 0 {
            for lease in data.leases() {
                let status = lease.options.binding_status;
                self.say(|| {
                    format!(
                        "took BNDUPD {:?} status {status:?}: {:?}",
                        lease.leased, outcome.rejected
                    )
                });
            }
        }
        let worker = self.worker_of(id_of);
        self.hold(worker, Held::Answer(connection, buffer), now);
        for lease in outcome.freed {
            self.forget(worker, lease, now);
        }
        true
    }

    fn work_reply(
        &mut self,
        connection: ConnectionId,
        id: TransactionId,
        container: &Container<'_>,
        now: Now,
    ) {
        let Some(running) = &mut self.running else {
            return;
        };
        let window = running.window.as_mut().filter(|(c, _)| *c == connection);
        match (window.and_then(|(_, w)| w.answer(id)), container) {
            (Some(Sent::Lease(offer)), Container::Client(data)) => {
                let shard = super::shard_mut(&mut running.shards, offer.shard);
                let before = shard.by_lease(offer.lease).map(|(_, record)| record);
                let kept = before.map(|record| record.partner.acked_partner_lifetime);
                // A BNDREPLY names the device; the lease may be its line's.
                let client = data.client.client_id;
                let holder = match &before {
                    Some(record) if Some(record.duid) == client => Some(record.ia().duid),
                    _ => client,
                };
                let holder = holder.map(|holder| holder.octets().to_vec());
                let disk = &mut self.disk;
                let settled = settle(shard, &offer, data, &mut |delta| {
                    record(disk, &running.model, delta);
                });
                for lease in data.leases().filter(|lease| lease.rejection().is_none()) {
                    let until = lease.options.partner_lifetime_sent;
                    if let (Some(until), Some(holder), None) = (until, &holder, data.rejection()) {
                        self.out.push(Out::Acknowledged(
                            offer.lease,
                            holder.clone(),
                            lease::AbsTime(until),
                        ));
                    }
                }
                if let Settled::Available(lease) = settled {
                    if let Some(kept) = kept
                        && self.params.mutation == Some(Mutation::SkipReset)
                    {
                        running.kept.insert(lease, kept);
                    }
                    self.forget(self.worker_of(offer.shard), lease, now);
                }
                self.say(|| format!("BNDREPLY {} {settled:?}", offer.lease));
            }
            (Some(Sent::Block(transfer)), Container::Prefix(prefix)) => {
                self.block_answered(transfer, prefix, now);
            }
            _ => {}
        }
    }
}
