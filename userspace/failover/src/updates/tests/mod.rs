//! Two servers' shards and pools, and updates that go between them as frames.

mod conflict;
mod converge;
mod life;
mod subscriber;
mod wire;

use super::*;
use crate::reconcile::Rejection;
use ::wire::failover::{Body, ClientData, Container, FailoverMessage, TransactionId, stamp};
use ::wire::{Duid, ShardId};
use lease::{
    AllocationKey, BindingDelta, BindingId, BindingRecord, BindingStatus, LinkKey, PartnerTimes,
    Pool, PoolSpec, Role, Shard,
};

pub(super) const NOW: AbsTime = AbsTime(800_000_000);
pub(super) const LINK: LinkKey = LinkKey(7);
pub(super) const FIRST: u128 = 0x2001_0db8_0001_0000_0000_0000_0000_1000;
pub(super) const SHARDS: usize = 2;

pub(super) struct Side {
    pub(super) role: Role,
    pub(super) shards: Vec<Shard>,
    pub(super) pool: Pool,
    pub(super) now: AbsTime,
    pub(super) secret: u8,
}

/// A pool, and what the clients' reconfigure keys are made of.
pub(super) struct InPool<'a>(pub(super) &'a Pool, pub(super) u8);

impl Places for InPool<'_> {
    fn link_of(&self, lease: Lease, kind: IaKind) -> Option<LinkKey> {
        (self.0.contains(lease) && kind == IaKind::Na).then_some(LINK)
    }

    fn take(&self, shard: ShardId, lease: Lease) -> bool {
        self.0.adopt(shard, lease)
    }

    fn reconfigure_key(&self, _: Duid<'_>) -> Option<[u8; 16]> {
        Some([self.1; 16])
    }

    fn is_taken(&self, shard: ShardId, lease: Lease) -> bool {
        let free = self.0.adopt(shard, lease);
        if free {
            self.0.release(lease);
        }
        !free
    }

    fn comes_back_to_the_primary(&self, _: Lease) -> bool {
        false
    }
}

pub(super) fn client(number: u8) -> [u8; 7] {
    [0, 3, 0, 1, 0xaa, 0xbb, number]
}

pub(super) fn shard_of(duid: Duid<'_>) -> usize {
    usize::from(*duid.octets().last().unwrap()) % SHARDS
}

pub(super) fn address(number: u128) -> Lease {
    Lease {
        addr: FIRST + number,
        len: 128,
    }
}

pub(super) fn active<'a>(
    duid: &'a [u8],
    lease: Lease,
    now: AbsTime,
    valid_secs: u32,
) -> BindingRecord<'a> {
    BindingRecord {
        duid: Duid::new(duid).unwrap(),
        kind: IaKind::Na,
        iaid: Iaid(1),
        subscriber: None,
        lease,
        link: LINK,
        status: BindingStatus::Active,
        preferred_secs: valid_secs,
        valid_secs,
        cltt: now,
        status_since: now,
        expires: now.plus(valid_secs),
        partner: PartnerTimes {
            partner_lifetime: now.plus(valid_secs / 2).plus(259_200),
            unacked: true,
            ..PartnerTimes::NONE
        },
        accepts_reconfigure: false,
        via: &[],
    }
}

pub(super) fn frame_body(frame: &[u8]) -> (TransactionId, Body<'_>) {
    let message = FailoverMessage::parse(&frame[2..]).unwrap();
    (message.transaction_id, message.body().unwrap())
}

pub(super) fn client_data(frame: &[u8]) -> ClientData<'_> {
    match frame_body(frame).1 {
        Body::Bndupd(Container::Client(data)) | Body::Bndreply(Container::Client(data)) => data,
        other => panic!("client data: {other:?}"),
    }
}

impl Side {
    pub(super) fn new(role: Role) -> Self {
        let last = (FIRST + 0xff).into();
        let spec = PoolSpec::addresses(FIRST.into(), last).unwrap();
        let key = AllocationKey::new([3; 16]);
        Self {
            role,
            shards: (0..SHARDS)
                .map(|id| Shard::new(ShardId(id as _), 0))
                .collect(),
            pool: Pool::new(spec, &key, 1).unwrap(),
            now: NOW,
            secret: 7,
        }
    }

    pub(super) fn put(&mut self, record: &BindingRecord<'_>) -> BindingId {
        let shard = &mut self.shards[shard_of(record.ia().duid)];
        if !shard.holds(record.lease) {
            assert!(self.pool.adopt(shard.id(), record.lease), "free");
        }
        shard.put(record)
    }

    pub(super) fn get(&self, lease: Lease) -> Option<BindingRecord<'_>> {
        let mut held = self.shards.iter().filter_map(|shard| shard.by_lease(lease));
        let one = held.next().map(|(_, record)| record);
        assert!(held.next().is_none(), "a lease in two shards");
        one
    }

    pub(super) fn amend(&mut self, lease: Lease, change: impl FnOnce(&mut BindingRecord<'_>)) {
        for shard in &mut self.shards {
            let Some((_, record)) = shard.by_lease(lease) else {
                continue;
            };
            assert_eq!(record.subscriber, None, "not kept here");
            let duid = record.duid.octets().to_vec();
            let mut record = BindingRecord {
                duid: Duid::new(&duid).unwrap(),
                subscriber: None,
                via: &[],
                ..record
            };
            change(&mut record);
            record.partner.unacked = true;
            shard.put(&record);
            return;
        }
    }

    pub(super) fn end(&mut self, lease: Lease, status: BindingStatus) {
        let now = self.now;
        self.amend(lease, |record| {
            record.status = status;
            record.status_since = now;
            record.expires = AbsTime::NEVER;
            if status == BindingStatus::Released {
                record.cltt = now;
            }
        });
    }

    pub(super) fn offers(&mut self) -> Vec<(Vec<u8>, Offer)> {
        let mut offers = Vec::new();
        let key_of = |_: Duid<'_>| Some([self.secret; 16]);
        for shard in &mut self.shards {
            loop {
                let id = TransactionId::new(0x1_0000 + offers.len() as u32);
                let mut frame = vec![0; BNDUPD_LEN_MAX];
                let Some((len, sent)) = offer(shard, id, self.now, &key_of, &mut frame).unwrap()
                else {
                    break;
                };
                frame.truncate(len);
                stamp(&mut frame, self.now.0);
                offers.push((frame, sent));
            }
        }
        offers
    }

    /// Receives a BNDUPD as session and workers would; the BNDREPLY.
    pub(super) fn receive(&mut self, frame: &[u8]) -> (Vec<u8>, Outcome) {
        let (id, _) = frame_body(frame);
        let data = client_data(frame);
        let subscriber = data.client.subscriber.map(|ia| ia.key);
        let client = subscriber.or(client_of(&data).ok());
        let shard = client.map_or(0, shard_of);
        let (mut yielded, mut refused) = (Vec::new(), Vec::new());
        let mut reply = vec![0; 2 * frame.len() + 64];
        for _ in 0..2 {
            let places = InPool(&self.pool, self.secret);
            let premises = Premises {
                role: self.role,
                now: self.now,
                places: &places,
                yielded: &yielded,
                refused: &refused,
            };
            let shard_of_client = &mut self.shards[shard];
            let outcome = super::receive(
                shard_of_client,
                &premises,
                id,
                &data,
                &mut reply,
                &mut |_| {},
            )
            .unwrap();
            if outcome.elsewhere.is_empty() {
                reply.truncate(outcome.reply_len);
                for lease in &outcome.freed {
                    self.pool.release(*lease);
                }
                return (reply, outcome);
            }
            let base = data.client.base_time.unwrap();
            let (mut given, mut kept) = (Vec::new(), Vec::new());
            for lease in data.leases() {
                let update = LeaseUpdate::read(&lease, base).unwrap();
                let answers: Vec<_> = (0..SHARDS)
                    .filter(|other| *other != shard)
                    .map(|other| {
                        yield_lease(&mut self.shards[other], &premises, &update, &mut |_| {})
                    })
                    .collect();
                match answers[..] {
                    [Yielded::Given] => given.push(update.lease),
                    [Yielded::Refused(why)] => kept.push((update.lease, why)),
                    _ => kept.push((update.lease, Rejection::Outdated)),
                }
            }
            (yielded, refused) = (given, kept);
        }
        panic!("it was asked for and is still elsewhere");
    }

    pub(super) fn settle(&mut self, sent: &Offer, frame: &[u8]) -> Settled {
        let data = client_data(frame);
        let shard = self
            .shards
            .iter_mut()
            .find(|shard| shard.id() == sent.shard);
        let settled = settle(shard.unwrap(), sent, &data, &mut |_| {});
        if let Settled::Available(lease) = settled {
            self.pool.release(lease);
        }
        settled
    }

    pub(super) fn lose_connection(&mut self) {
        for shard in &mut self.shards {
            shard.connection_lost();
        }
    }
}

/// Everything that `from` has to say goes to `to` and is answered.
pub(super) fn exchange(from: &mut Side, to: &mut Side) -> Vec<Settled> {
    let offers = from.offers();
    offers
        .into_iter()
        .map(|(frame, sent)| {
            let (reply, _) = to.receive(&frame);
            from.settle(&sent, &reply)
        })
        .collect()
}

pub(super) fn pair() -> (Side, Side) {
    (Side::new(Role::Primary), Side::new(Role::Secondary))
}
