//! Bindings that end by themselves, and bindings that come back after a restart.
//!
//! Recovery has three steps. Every delta of the journal goes through [`restore`], which touches the
//! shard alone, so that shards recover side by side. When all are through, every shard is given to
//! [`adopt`] for [`Adopting::Foreign`], and when all are through that, for [`Adopting::Own`]: the
//! pools then know what is taken. Doing so at the end, and not record by record, matters: a lease
//! that went from a client of one shard to a client of another would otherwise be claimed and
//! released in an order that the journal does not have across shards.

use crate::exchange::Context;
use crate::failover;
use crate::model::{Model, ServedPool};
use arrayvec::ArrayVec;
use lease::{Ahead, Answers, BindingDelta, BindingRecord, BindingStatus, Lease, Shard};

/// Bindings looked at in one step of [`adopt`].
const ADOPT_STEP: usize = 64;

/// Deltas whose cache misses [`restore_batch`] asks for together.
const RESTORE_STEP: usize = 32;

/// Ends bindings whose time is up, quarantines among them; looks at no more than `budget`. Returns
/// how many there were.
///
/// One without a partner is removed, with a [`Remove`](BindingDelta::Remove): the caller passes
/// the lease to [`Model::release`] when that is on disk. Where there is a partner the binding is
/// EXPIRED, or RESET after a quarantine, until the partner has acknowledged that (RFC 8156 §7.2);
/// after a grace ([`Context::expires_until`]). That the clock has gone on is no news of the lease,
/// so what the partner has heard of a client must not be older than that: a RESET keeps the time of
/// its ABANDONED, and an EXPIRED lease is compared by when its client was heard. What ends
/// while nobody is answered is taken for told ([`Shard::presume_sent`]): the partner may be alone
/// and have given it away.
pub fn expire(
    context: &Context<'_>,
    shard: &mut Shard,
    budget: usize,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> usize {
    let id = shard.id();
    let now = context.now;
    let mut is_idle = false;
    let ended = shard.expire(context.expires_until(), budget, &mut |record| {
        let status = match record.status {
            BindingStatus::Active => BindingStatus::Expired,
            _ => BindingStatus::Reset,
        };
        let leeway = context.leeway_of(record);
        is_idle |= leeway.partnered && leeway.answers == Answers::Nothing;
        let state = leeway
            .partnered
            .then(|| failover::ended(record, status, record.cltt, now));
        emit(&match &state {
            Some(state) => BindingDelta::Put {
                shard: id,
                record: record.with(state),
            },
            None => BindingDelta::Remove {
                shard: id,
                lease: record.lease,
            },
        });
        state
    });
    if is_idle {
        shard.presume_sent();
    }
    ended
}

/// Applies a delta of the journal to its shard. A later record of a lease replaces an earlier
/// one. In two shards one lease cannot be at the same time: it goes back to its pool only when the
/// record that ended it is on disk, so that record comes before the next client's.
pub fn restore(shard: &mut Shard, delta: &BindingDelta<'_>) {
    restore_ahead(shard, delta, None);
}

/// [`restore`] for deltas in the journal's order, each in its shard of `shards`, which are by
/// their ids; those of other shards are left out. A replay into millions of bindings is mostly cache
/// misses, so those of some deltas are asked for before the first is applied.
pub fn restore_batch(shards: &mut [Option<Shard>], deltas: &[BindingDelta<'_>]) {
    for step in deltas.chunks(RESTORE_STEP) {
        let mut seen = ArrayVec::<Option<Ahead>, RESTORE_STEP>::new();
        for delta in step {
            seen.push(match (delta, own(shards, delta)) {
                (BindingDelta::Put { record, .. }, Some(shard)) => {
                    Some(shard.look_ahead(&record.ia(), Some(record.lease)))
                }
                _ => None,
            });
        }
        for (delta, ahead) in step.iter().zip(&mut seen) {
            if let (Some(ahead), Some(shard)) = (ahead, own(shards, delta)) {
                shard.look_at_bindings(ahead);
            }
        }
        for (delta, ahead) in step.iter().zip(&seen) {
            if let Some(shard) = own(shards, delta) {
                restore_ahead(shard, delta, ahead.as_ref());
            }
        }
    }
}

fn own<'s>(shards: &'s mut [Option<Shard>], delta: &BindingDelta<'_>) -> Option<&'s mut Shard> {
    shards.get_mut(usize::from(delta.shard().0))?.as_mut()
}

fn restore_ahead(shard: &mut Shard, delta: &BindingDelta<'_>, ahead: Option<&Ahead>) {
    match delta {
        BindingDelta::Put { record, .. } => {
            match ahead {
                Some(ahead) => shard.put_ahead(record, ahead),
                None => shard.put(record),
            };
        }
        BindingDelta::Remove { lease, .. } => {
            if let Some(id) = shard.by_lease(*lease).map(|(id, _)| id) {
                shard.remove(id);
            }
        }
        BindingDelta::Acked {
            lease,
            acked_partner_lifetime,
            ..
        } => {
            if let Some(id) = shard.by_lease(*lease).map(|(id, _)| id) {
                shard.restore_acknowledged(id, *acked_partner_lifetime);
            }
        }
    }
}

/// Which bindings of a shard [`adopt`] looks at: see [`Pool::adopt`](lease::Pool::adopt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopting {
    /// Those in another shard's part of a sparse pool. First, in all shards.
    Foreign,
    /// All others. Then.
    Own,
}

/// What [`adopt`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Bindings whose lease is taken in its pool, or reserved for their client.
    pub claimed: u64,
    /// Bindings of no pool, or reserved for somebody else: kept until they end, never extended.
    pub outside: u64,
    /// Bindings removed because another one has their lease: never, if the journal is whole.
    pub conflicting: u64,
}

impl Adopted {
    /// Adds what another shard or step found.
    pub fn add(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.outside += other.outside;
        self.conflicting += other.conflicting;
    }
}

/// Takes in the model's pools what the shard's bindings hold. A binding whose lease another one
/// has is removed, with a [`Remove`](BindingDelta::Remove) for the journal whose lease must *not*
/// be passed to [`Model::release`]: it is still the other one's.
pub fn adopt(
    model: &Model,
    shard: &mut Shard,
    which: Adopting,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Adopted {
    let mut adopted = Adopted::default();
    if which == Adopting::Foreign && !model.pools().iter().any(|served| served.pool.has_owners()) {
        return adopted;
    }
    let mut from = Some(0);
    while let Some(start) = from {
        let mut conflicting = ArrayVec::<Lease, ADOPT_STEP>::new();
        let mut step = ArrayVec::<Adoptee<'_>, ADOPT_STEP>::new();
        let (next, records) = shard.walk(start, ADOPT_STEP);
        for record in records {
            let served = model.pool_of(record.lease);
            if let Some(served) = served {
                served.pool.look_ahead(&record.ia(), Some(record.lease));
            }
            step.push(Adoptee { record, served });
        }
        for Adoptee { record, served } in &step {
            match adopt_one(model, shard, which, record, *served) {
                None => {}
                Some(Place::Claimed) => adopted.claimed += 1,
                Some(Place::Outside) => adopted.outside += 1,
                Some(Place::Taken) => conflicting.push(record.lease),
            }
        }
        drop(step);
        from = next;
        adopted.conflicting += conflicting.len() as u64;
        for lease in conflicting {
            let delta = BindingDelta::Remove {
                shard: shard.id(),
                lease,
            };
            restore(shard, &delta);
            emit(&delta);
        }
    }
    adopted
}

/// A binding and the pool of its lease.
struct Adoptee<'a> {
    record: BindingRecord<'a>,
    served: Option<&'a ServedPool>,
}

enum Place {
    Claimed,
    Outside,
    Taken,
}

/// Takes the lease of one binding; `None` if this is not its turn.
fn adopt_one(
    model: &Model,
    shard: &Shard,
    which: Adopting,
    record: &BindingRecord<'_>,
    served: Option<&ServedPool>,
) -> Option<Place> {
    let lease = record.lease;
    let owner = served.and_then(|served| served.pool.owner(lease));
    let turn = match owner {
        Some(owner) if owner != shard.id() => Adopting::Foreign,
        _ => Adopting::Own,
    };
    if turn != which {
        return None;
    }
    if is_reserved_for(model, record) {
        return Some(Place::Claimed);
    }
    model.reservations().hold(lease);
    // It is drawn from no pool, and whose it is will show when the client asks for it again.
    let reserved = model.reservations().exact(lease);
    if reserved.is_some_and(|reserved| !reserved.is_one_shards()) {
        return Some(Place::Claimed);
    }
    Some(match served {
        Some(served) if !served.pool.is_reserved(lease) => {
            if served.pool.adopt(shard.id(), lease) {
                Place::Claimed
            } else {
                Place::Taken
            }
        }
        _ => {
            for other in model.pools_touching(lease) {
                other.pool.block(lease);
            }
            Place::Outside
        }
    })
}

/// Whether the lease is reserved by the DUID of the client that holds it, and held in the one shard
/// that gives it.
pub(crate) fn is_reserved_for(model: &Model, record: &BindingRecord<'_>) -> bool {
    if model.reservations().is_empty() {
        return false;
    }
    let reserved = model.reservations().exact(record.lease);
    let reserved =
        reserved.filter(|reserved| reserved.is_of(record.duid, record.ia().duid.shard()));
    reserved.is_some_and(|reserved| {
        let link = model.link_by_key(record.link);
        link.is_some_and(|link| link.shares_network(reserved.link))
    })
}
