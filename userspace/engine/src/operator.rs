//! What an operator does to bindings: ends them, and brings them from elsewhere.
//!
//! As with a client's message, a lease that a [`Remove`](BindingDelta::Remove) ends stays taken until
//! the caller passes it to [`Model::release`], when that record is on disk; and where there is a
//! failover partner, it stays on record until the partner has acknowledged the end.

use crate::exchange::Context;
use crate::failover;
use crate::model::Model;
use crate::recovery::is_reserved_for;
use lease::{BindingDelta, BindingId, BindingRecord, BindingStatus, Lease, PartnerTimes, Shard};
use thiserror::Error;
use wire::ShardId;

/// Ends the binding of `lease` if its status is `status`, ACTIVE or ABANDONED; whether there was
/// one.
pub fn end(
    context: &Context<'_>,
    shard: &mut Shard,
    lease: Lease,
    status: BindingStatus,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> bool {
    let Some((id, record)) = shard.by_lease(lease) else {
        return false;
    };
    if record.status != status {
        return false;
    }
    end_binding(context, shard, id, emit);
    true
}

/// RELEASED or RESET until the partner has acknowledged it (RFC 8156 §7.2); gone at once without
/// one.
fn end_binding(
    context: &Context<'_>,
    shard: &mut Shard,
    id: BindingId,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) {
    let Some(record) = shard.get(id) else {
        return;
    };
    if !context.leeway_of(&record).partnered {
        return failover::remove(shard, id, emit);
    }
    let status = match record.status {
        BindingStatus::Active => BindingStatus::Released,
        _ => BindingStatus::Reset,
    };
    let state = failover::ended(&record, status, record.cltt, context.now);
    failover::amend(shard, id, &state, emit);
}

/// What became of a binding that was brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is here now and will be extended.
    Added,
    /// The client's binding was here, from an earlier time.
    Updated,
    /// It is here until it ends, but no pool of its link gives the lease, and it is reserved for
    /// nobody or for somebody else: the client will get another one.
    Outside,
    /// It has ended, and was here.
    Ended,
}

/// Why a binding is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotImported {
    /// Its end has passed, and nothing of it is here.
    #[error("its time is over")]
    Over,
    /// It was given back or ran out, and nothing of it is here.
    #[error("its client no longer has it")]
    GivenBack,
    /// Another client has the lease here.
    #[error("another client has the lease")]
    Taken,
    /// The client talked to this server since.
    #[error("what is here is newer")]
    Newer,
    /// A pool has leases of another length in its place.
    #[error(
        "a pool gives leases of another length there; make the pool's leases as long, or move it"
    )]
    OtherLength,
    /// Others have parts of it reserved.
    #[error(
        "a part of it is reserved for another client; move the reservation, or wait for its end"
    )]
    PartlyReserved,
    /// Statuses that only a failover partner has a use for.
    #[error("its status is none that a client's lease can have")]
    Status,
}

/// Whether the shard that owns `lease` in a sparse pool is another one than its client's: then
/// [`take_for_import`] comes first, with the owner.
pub fn foreign_owner(model: &Model, client: ShardId, lease: Lease) -> Option<ShardId> {
    let owner = model.pool_of(lease)?.pool().owner(lease)?;
    (owner != client).then_some(owner)
}

/// Takes a lease out of `owner`'s part of a sparse pool for a client of another shard; whether it
/// was free. To be followed by [`import`], or by [`Model::release`].
pub fn take_for_import(model: &Model, owner: &Shard, client: ShardId, lease: Lease) -> bool {
    model.pool_of(lease).is_some_and(|served| {
        let pool = served.pool();
        !owner.holds(lease) && !pool.is_reserved(lease) && pool.adopt(client, lease)
    })
}

/// Brings in a binding of this shard's client. `taken`: [`take_for_import`] took its lease.
///
/// # Errors
/// Why it is not taken in; what [`take_for_import`] took stays taken.
pub fn import(
    context: &Context<'_>,
    shard: &mut Shard,
    record: &BindingRecord<'_>,
    taken: bool,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Result<Imported, NotImported> {
    let ended = match record.status {
        BindingStatus::Active | BindingStatus::Abandoned => record.expires <= context.now,
        BindingStatus::Expired | BindingStatus::Released => true,
        _ => return Err(NotImported::Status),
    };
    let here = shard.by_lease(record.lease);
    let known = match here {
        None => false,
        Some((_, here)) if here.ia() != record.ia() => return Err(NotImported::Taken),
        Some((_, here)) if here.cltt > record.cltt => return Err(NotImported::Newer),
        Some(_) => true,
    };
    if ended {
        if let Some((id, _)) = here {
            end_binding(context, shard, id, emit);
            return Ok(Imported::Ended);
        }
        return Err(match record.status {
            BindingStatus::Active | BindingStatus::Abandoned => NotImported::Over,
            _ => NotImported::GivenBack,
        });
    }
    let imported = match known {
        true => Imported::Updated,
        false => place(context.model, shard.id(), record, taken)?,
    };
    let record = BindingRecord {
        partner: match context.leeway_of(record).partnered {
            true => PartnerTimes {
                partner_lifetime: record.expires,
                unacked: true,
                ..PartnerTimes::NONE
            },
            false => PartnerTimes::NONE,
        },
        ..*record
    };
    shard.put(&record);
    emit(&BindingDelta::Put {
        shard: shard.id(),
        record,
    });
    Ok(imported)
}

/// Takes the lease where it is taken from.
fn place(
    model: &Model,
    shard: ShardId,
    record: &BindingRecord<'_>,
    taken: bool,
) -> Result<Imported, NotImported> {
    let lease = record.lease;
    if is_reserved_for(model, record) {
        return match model.is_clear(lease) {
            true => Ok(Imported::Added),
            false => Err(NotImported::Taken),
        };
    }
    let reserved = model.reservations().exact(lease);
    if let Some(reserved) = reserved.filter(|reserved| !reserved.is_one_shards()) {
        return match reserved.claim() {
            true => Ok(Imported::Added),
            false => Err(NotImported::Taken),
        };
    }
    let pool = model.pool_of(lease).map(crate::ServedPool::pool);
    let drawn = pool.is_some_and(|pool| !pool.is_reserved(lease));
    if !drawn {
        if pool.is_some_and(|pool| !pool.fits(lease)) {
            return Err(NotImported::PartlyReserved);
        }
        if pool.is_none() && model.pools_touching(lease).next().is_some() {
            return Err(NotImported::OtherLength);
        }
        model.reservations().hold(lease);
        return Ok(Imported::Outside);
    }
    if taken || pool.is_some_and(|pool| pool.adopt(shard, lease)) {
        return Ok(Imported::Added);
    }
    Err(NotImported::Taken)
}
