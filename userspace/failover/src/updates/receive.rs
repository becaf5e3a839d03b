//! BNDUPD from the partner: decided, applied, answered (RFC 8156 §7.5, §7.6).

use super::answer::Reply;
use super::{LeaseUpdate, place};
use crate::reconcile::{Mine, Rejection, decide};
use crate::vendor;
use lease::{
    AbsTime, BindingDelta, BindingId, BindingRecord, BindingState, BindingStatus, Lease, LinkKey,
    PartnerTimes, Role, Shard,
};
use wire::failover::{Client, ClientData, TransactionId};
use wire::{Duid, IaKey, IaKind, NoRoom, ShardId};

/// Where the relationship's leases are: its links and pools, as all shards share them.
pub trait Places {
    /// The link of the relationship that a lease is on; `None`: it is none of the relationship's.
    fn link_of(&self, lease: Lease, kind: IaKind) -> Option<LinkKey>;

    /// Takes a lease in its pool for a binding of this shard, as [`lease::Pool::adopt`]; `false`:
    /// somebody has it. A lease outside of all pools is everybody's to take.
    fn take(&self, shard: ShardId, lease: Lease) -> bool;

    /// Whether somebody may have a lease in its pool, as seen from this shard, which has not.
    fn is_taken(&self, shard: ShardId, lease: Lease) -> bool;

    /// The key by which the client would check this server's Reconfigure messages; `None` if this
    /// server sends none.
    fn reconfigure_key(&self, duid: Duid<'_>) -> Option<[u8; 16]>;

    /// Whether a lease is a prefix that is drawn from a pool split between the two servers, so that
    /// it is the primary's when it comes back (§4.2.2).
    fn comes_back_to_the_primary(&self, lease: Lease) -> bool;
}

/// What deciding about updates needs beside the shard.
#[derive(Clone, Copy)]
pub struct Premises<'a> {
    /// This server's role.
    pub role: Role,
    /// The time.
    pub now: AbsTime,
    /// The relationship's leases.
    pub places: &'a dyn Places,
    /// Leases that another shard was asked for and has given up since: they are taken in their
    /// pools, and for this update.
    pub yielded: &'a [Lease],
    /// Leases that another shard refuses to give up, and why.
    pub refused: &'a [(Lease, Rejection)],
}

/// What became of a BNDUPD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Length of the BNDREPLY in the buffer; it may be sent when the deltas are durable.
    pub reply_len: usize,
    /// Leases that nobody holds any more: to be given back to their pools when the BNDREPLY is
    /// sent.
    pub freed: Vec<Lease>,
    /// How many leases were taken over.
    pub accepted: usize,
    /// The others.
    pub rejected: Vec<(Lease, Rejection)>,
    /// Somebody in another shard holds these. Nothing was done: ask all other shards with
    /// [`yield_lease`], and receive the update once more with what they said.
    pub elsewhere: Vec<Lease>,
}

/// The client of a BNDUPD: who has the lease.
///
/// # Errors
/// [`Rejection::Missing`] without client identifier; the whole container is then rejected by
/// [`receive`] in any shard.
pub fn client_of<'a>(data: &ClientData<'a>) -> Result<Duid<'a>, Rejection> {
    data.client.client_id.ok_or(Rejection::Missing)
}

/// The shard that a BNDUPD is for: that of its subscriber, if it names one, or else its client's.
///
/// # Errors
/// As [`client_of`].
pub fn shard_of(data: &ClientData<'_>) -> Result<ShardId, Rejection> {
    let client = client_of(data)?;
    let subscriber = data.client.subscriber;
    Ok(subscriber.map_or(client, |ia| ia.key).shard())
}

/// Decides about a BNDUPD with OPTION_CLIENT_DATA, applies what is accepted and writes the
/// BNDREPLY at the start of `buffer`, which must hold as many octets as the BNDUPD and 64 for each
/// of its leases.
///
/// # Errors
/// [`NoRoom`]: the buffer is too small. What was accepted is applied; sent again it is accepted
/// again.
pub fn receive(
    shard: &mut Shard,
    premises: &Premises<'_>,
    transaction_id: TransactionId,
    data: &ClientData<'_>,
    buffer: &mut [u8],
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Result<Outcome, NoRoom> {
    let mut outcome = Outcome::default();
    let head = read_head(data);
    if head.is_ok() {
        outcome.elsewhere = elsewhere(shard, premises, data);
        if !outcome.elsewhere.is_empty() {
            return Ok(outcome);
        }
    }
    let mut reply = Reply::begin(buffer, transaction_id, data, head.err())?;
    for lease in data.leases() {
        let verdict = match head {
            Err(rejection) => Err(rejection),
            Ok((duid, base_time)) => LeaseUpdate::read(&lease, base_time).and_then(|update| {
                let client = &data.client;
                apply(shard, premises, duid, client, &update, &mut outcome, emit)
            }),
        };
        match verdict {
            Ok(()) => outcome.accepted += 1,
            Err(rejection) => outcome.rejected.push((place(&lease), rejection)),
        }
        reply.lease(&lease, head.and(verdict).err().filter(|_| head.is_ok()))?;
    }
    outcome.reply_len = reply.finish()?;
    Ok(outcome)
}

/// What a shard says when it is asked for a lease that the partner says another client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yielded {
    /// It has no such lease.
    NotHere,
    /// It has given it up; the lease stays taken in its pool, for the one who asked. To be told
    /// when the delta is durable.
    Given,
    /// It keeps it.
    Refused(Rejection),
}

/// Gives up a lease to what the partner says, if the rules say so (§7.5.4).
pub fn yield_lease(
    shard: &mut Shard,
    premises: &Premises<'_>,
    update: &LeaseUpdate,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Yielded {
    let Some((id, record)) = shard.by_lease(update.lease) else {
        return Yielded::NotHere;
    };
    let mine = Mine::of(&record, true);
    let verdict = match update.has_ended() && shard.is_told_as_held(id) {
        true => Err(Rejection::Outdated),
        false => decide(premises.role, Some(&mine), &update.theirs, premises.now),
    };
    match verdict {
        Ok(()) => {
            shard.remove(id);
            emit(&BindingDelta::Remove {
                shard: shard.id(),
                lease: update.lease,
            });
            Yielded::Given
        }
        Err(rejection) => {
            must_update(shard, id, rejection, emit);
            Yielded::Refused(rejection)
        }
    }
}

fn read_head<'a>(data: &ClientData<'a>) -> Result<(Duid<'a>, u32), Rejection> {
    // No VPN is configured here, so none can be the one meant (§7.5.4).
    if data.client.vss.is_some() {
        return Err(Rejection::NotOfRelationship);
    }
    let duid = client_of(data)?;
    let base_time = data.client.base_time.ok_or(Rejection::Missing)?;
    // Temporary addresses are obsolete and not served (RFC 9915 Appendix A).
    if data.leases().next().is_none() {
        return Err(match data.has_ia_ta {
            true => Rejection::NotOfRelationship,
            false => Rejection::Missing,
        });
    }
    Ok((duid, base_time))
}

/// The leases of an update that this shard does not hold and somebody does.
fn elsewhere(shard: &Shard, premises: &Premises<'_>, data: &ClientData<'_>) -> Vec<Lease> {
    let leases = data.leases().map(|lease| place(&lease));
    leases
        .filter(|lease| {
            !shard.holds(*lease)
                && premises.places.is_taken(shard.id(), *lease)
                && !premises.yielded.contains(lease)
                && !premises.refused.iter().any(|(refused, _)| refused == lease)
        })
        .collect()
}

fn apply(
    shard: &mut Shard,
    premises: &Premises<'_>,
    duid: Duid<'_>,
    client: &Client<'_>,
    update: &LeaseUpdate,
    outcome: &mut Outcome,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Result<(), Rejection> {
    let lease = update.lease;
    let link = premises.places.link_of(lease, update.kind);
    let link = link.ok_or(Rejection::NotOfRelationship)?;
    if let Some((_, refused)) = premises.refused.iter().find(|(other, _)| *other == lease) {
        return Err(*refused);
    }
    let (key, number) = match client.subscriber {
        Some(subscriber) => (subscriber.key, subscriber.number),
        None => (duid, update.iaid),
    };
    let ia = IaKey {
        duid: key,
        kind: update.kind,
        iaid: number,
    };
    let found = shard.by_lease(lease).map(|(id, record)| {
        let same = record.ia() == ia;
        (id, Mine::of(&record, !same), same.then_some(record))
    });
    let (id, mine) = match &found {
        Some((id, mine, _)) => (Some(*id), Some(mine)),
        None => (None, None),
    };
    if let Err(rejection) = decide(premises.role, mine, &update.theirs, premises.now) {
        if let Some(id) = id {
            must_update(shard, id, rejection, emit);
        }
        return Err(rejection);
    }
    let was_yielded = premises.yielded.contains(&lease);
    if update.has_ended() {
        if let Some(id) = id.filter(|id| shard.is_told_as_held(*id)) {
            end_later(shard, id, update, emit);
            return Ok(());
        }
        if let Some(id) = id {
            shard.remove(id);
            emit(&BindingDelta::Remove {
                shard: shard.id(),
                lease,
            });
        }
        // The partner had it without a word of that until now, and gives it back all the same: here
        // too it is the primary's from now on, as any that comes back.
        let comes_back =
            id.is_none() && !was_yielded && premises.places.comes_back_to_the_primary(lease);
        if comes_back {
            if !premises.places.take(shard.id(), lease) {
                return Err(Rejection::Outdated);
            }
            emit(&BindingDelta::Remove {
                shard: shard.id(),
                lease,
            });
        }
        if id.is_some() || was_yielded || comes_back {
            outcome.freed.push(lease);
        }
        return Ok(());
    }
    let is_held = id.is_some() || was_yielded;
    if !is_held && !premises.places.take(shard.id(), lease) {
        // Taken between the look and the grasp: whoever did is about to say so.
        return Err(Rejection::Outdated);
    }
    // What was agreed on for another client counts for nobody (see `PartnerTimes`).
    let before = found.and_then(|(.., before)| before);
    let known = before.map_or(PartnerTimes::NONE, |before| before.partner);
    let cltt = before.map_or(AbsTime(0), |before| before.cltt);
    // What this server promised the client stands, and the partner is to hear of it.
    let ends = update.ends.unwrap_or(AbsTime::NEVER);
    let promised = before
        .filter(|before| before.status == BindingStatus::Active)
        .map_or(AbsTime(0), |before| before.expires);
    let outlasts = update.theirs.status == BindingStatus::Active && promised > ends;
    let never = AbsTime(0);
    // With a key that this server would not use the client would discard what it sends.
    let given = client.reconfigure_data.map(|data| data.key);
    let own = given.and_then(|_| premises.places.reconfigure_key(duid));
    let accepts = own.is_some_and(|own| given == Some(&own));
    let direct = client.vendor_opts.and_then(vendor::read_direct_address);
    let direct = direct.map(|address| &address[..]).filter(|_| accepts);
    let record = BindingRecord {
        duid,
        kind: update.kind,
        iaid: update.iaid,
        subscriber: client.subscriber,
        lease,
        link,
        status: update.theirs.status,
        preferred_secs: update.preferred_secs,
        valid_secs: update.valid_secs,
        cltt: cltt.max(update.partner_raw_cltt.unwrap_or(never)),
        status_since: update.theirs.status_since,
        expires: if outlasts { promised } else { ends },
        partner: PartnerTimes {
            partner_lifetime: known
                .partner_lifetime
                .max(update.expiration_time.unwrap_or(never)),
            acked_partner_lifetime: known.acked_partner_lifetime,
            expiration_time: update.partner_lifetime.unwrap_or(never),
            partner_raw_cltt: update.theirs.cltt.unwrap_or(never),
            unacked: outlasts,
        },
        accepts_reconfigure: accepts,
        via: client.relay_data.or(direct).unwrap_or_default(),
    };
    shard.put(&record);
    emit(&BindingDelta::Put {
        shard: shard.id(),
        record,
    });
    Ok(())
}

/// Takes over that a lease has ended while the partner is about to hear from this server that it is
/// held. Free it is when the partner has heard of its end after that: if it were at once, the partner
/// would hold what this server gives to others.
fn end_later(
    shard: &mut Shard,
    id: BindingId,
    update: &LeaseUpdate,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) {
    let Some(record) = shard.get(id) else {
        return;
    };
    let state = BindingState {
        status: update.theirs.status,
        preferred_secs: 0,
        valid_secs: 0,
        cltt: record.cltt,
        status_since: update.theirs.status_since,
        expires: AbsTime::NEVER,
        partner: PartnerTimes {
            partner_raw_cltt: (record.partner.partner_raw_cltt)
                .max(update.theirs.cltt.unwrap_or(AbsTime(0))),
            unacked: true,
            ..record.partner
        },
    };
    amend(shard, id, &state, emit);
}

fn amend(
    shard: &mut Shard,
    id: BindingId,
    state: &BindingState,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) {
    shard.amend(id, state);
    if let Some(record) = shard.get(id) {
        emit(&BindingDelta::Put {
            shard: shard.id(),
            record,
        });
    }
}

/// After a rejection as outdated the partner must be told what is newer here (§7.5.4): once. A
/// lease that waits to be sent already is left alone, so that two servers that cannot agree do not
/// storm each other.
fn must_update(
    shard: &mut Shard,
    id: BindingId,
    rejection: Rejection,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) {
    let Some(record) = shard.get(id) else {
        return;
    };
    if rejection != Rejection::Outdated || record.partner.unacked {
        return;
    }
    let state = BindingState {
        partner: PartnerTimes {
            unacked: true,
            ..record.partner
        },
        ..record.state()
    };
    amend(shard, id, &state, emit);
}
