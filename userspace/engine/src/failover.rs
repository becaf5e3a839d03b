//! What a failover partner changes in the decisions (RFC 8156): who is answered, for how long a
//! lease is promised, and what becomes of one that ends.

use crate::drop_reason::DropReason;
use crate::exchange::Context;
use crate::lifetime::Lifetimes;
use lease::{
    AbsTime, Answers, BindingDelta, BindingId, BindingRecord, BindingState, BindingStatus, Leeway,
    PartnerTimes, Shard,
};
use wire::{MessageIndex, MessageType};

/// How much later than its end a binding expires where there is a partner: its clock may be behind
/// by 5 s, and it would not believe in an end that it sees ahead (RFC 8156 §7.1, §7.5.4).
pub const EXPIRY_GRACE_SECS: u32 = 10;

/// How long an answer that tells of a lease may wait for the disk, seconds. A client counts its
/// lifetimes from when it hears of them, the servers from when they decided; so an answer that is
/// late is not sent, and the client asks again. With the way to the client and back it stays within
/// [`EXPIRY_GRACE_SECS`], clocks that differ by 5 s included.
pub const REPLY_HELD_SECS_MAX: u32 = 3;

/// Whether the state of the relationship lets this server answer a message.
pub(crate) fn check_answers(
    answers: Answers,
    msg_type: MessageType,
    index: &MessageIndex<'_>,
) -> Result<(), DropReason> {
    match answers {
        Answers::All => Ok(()),
        Answers::Nothing => Err(DropReason::FailoverNotServing),
        // One that names another server is dropped as everywhere.
        Answers::OwnServerIdOnly if index.server_id.is_some() => Ok(()),
        Answers::OwnServerIdOnly => Err(DropReason::FailoverPartnerAnswers),
        Answers::RenewOnly => match msg_type {
            MessageType::RENEW | MessageType::RELEASE | MessageType::DECLINE => Ok(()),
            _ => Err(DropReason::FailoverRenewOnly),
        },
    }
}

/// What of the configured lifetimes may be promised now for a lease with this record, if it has
/// one that counts (RFC 8156 §4.4).
pub(crate) fn promise(
    leeway: &Leeway,
    desired: Lifetimes,
    now: AbsTime,
    record: Option<&BindingRecord<'_>>,
) -> Lifetimes {
    let acked = record.map_or(AbsTime(0), |record| record.partner.acked_partner_lifetime);
    desired.capped(leeway.cap, now.secs_until(acked))
}

/// The times of a lease that is granted now, and when it ends for this server; `old` is its record
/// until now if it was the same client's.
///
/// Partner-lifetime is the desired lifetime and the time until the client renews, as in the
/// example of RFC 8156 §4.4: at its renewal the whole desired lifetime is acknowledged. What the
/// partner was told is never taken back, and a lease is not taken from a client that missed the
/// Reply with a shorter lifetime than it had.
pub(crate) fn granted(
    leeway: &Leeway,
    now: AbsTime,
    desired_secs: u32,
    valid_secs: u32,
    old: Option<&BindingRecord<'_>>,
) -> (PartnerTimes, AbsTime) {
    let ends = now.plus(valid_secs);
    if !leeway.partnered {
        return (PartnerTimes::NONE, ends);
    }
    let known = old.map_or(PartnerTimes::NONE, |old| old.partner);
    let renews = now.plus(valid_secs / 2);
    let told = PartnerTimes {
        partner_lifetime: known.partner_lifetime.max(renews.plus(desired_secs)),
        unacked: true,
        ..known
    };
    let before = old.filter(|old| old.status == BindingStatus::Active);
    (told, before.map_or(ends, |old| ends.max(old.expires)))
}

/// Whether a lease on record may be given back to the client that had it: it ended while this
/// server served, and the partner has not heard of that yet (RFC 8156 §8.8.1). A partner that stood
/// alone needs to hear nothing (§8.4.1), so what ended before this server came back is not given
/// back.
pub(crate) fn may_return(
    leeway: &Leeway,
    shard: &Shard,
    id: BindingId,
    record: &BindingRecord<'_>,
) -> bool {
    leeway.partnered
        && leeway.may_allocate
        && has_ended(record.status)
        && record.status_since > leeway.serving_since
        && record.partner.unacked
        && !shard.was_sent(id)
}

/// Whether the client is no longer entitled to the lease, which is not yet free.
pub(crate) fn has_ended(status: BindingStatus) -> bool {
    matches!(
        status,
        BindingStatus::Expired | BindingStatus::Released | BindingStatus::Reset
    )
}

/// The state of a lease that has ended so: until the partner has acknowledged that (RFC 8156 §7.2).
/// Nothing ends that state by itself.
///
/// RESET keeps the time of the ABANDONED that it ends: whoever the partner has heard with the lease
/// since is its client, however late this server's quarantine is over.
pub(crate) fn ended(
    record: &BindingRecord<'_>,
    status: BindingStatus,
    cltt: AbsTime,
    now: AbsTime,
) -> BindingState {
    BindingState {
        status,
        preferred_secs: 0,
        valid_secs: 0,
        cltt,
        status_since: match status {
            BindingStatus::Reset => record.status_since,
            _ => now,
        },
        expires: AbsTime::NEVER,
        partner: PartnerTimes {
            unacked: true,
            ..record.partner
        },
    }
}

/// Gives a binding another state, and says so.
pub(crate) fn amend(
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

/// Frees leases that have ended and that no partner has to hear of any more, among the bindings at
/// `max` places from `from` on; where to go on, or `None` at the end of the shard. A
/// [`Remove`](BindingDelta::Remove) is emitted for each, as by [`expire`](crate::expire).
///
/// These are the leases whose end the partner has acknowledged; those of links that have no partner
/// any more; and in PARTNER-DOWN those that nobody can believe in any longer: MCLT after the
/// latest of its beginning and whatever either server told the other (RFC 8156 §4.2.2.1, §7.2), and
/// the grace by which clocks and answers on their way may be off.
pub fn reclaim(
    context: &Context<'_>,
    shard: &mut Shard,
    (from, max): (u32, usize),
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Option<u32> {
    const STEP: usize = 64;
    let mut free = arrayvec::ArrayVec::<BindingId, STEP>::new();
    let (next, records) = shard.walk_places(from, max.min(STEP));
    for (id, record) in records {
        let is_free = |leeway| is_free(leeway, &record, context);
        if has_ended(record.status) && is_free(context.leeway_of(&record)) {
            free.push(id);
        }
    }
    for id in free {
        remove(shard, id, emit);
    }
    next
}

/// Whether a lease that has ended is available (RFC 8156 §8.4.1).
fn is_free(leeway: &Leeway, record: &BindingRecord<'_>, context: &Context<'_>) -> bool {
    if !leeway.partnered || !record.partner.unacked {
        return true;
    }
    let Some(since) = leeway.partner_down_since else {
        return false;
    };
    let partner = &record.partner;
    let ended = match record.status {
        // Its quarantine was over then at the latest; see `ended`.
        BindingStatus::Reset => record.status_since.plus(context.model.quarantine_secs),
        _ => record.status_since,
    };
    let believed = [
        ended,
        partner.partner_lifetime,
        partner.acked_partner_lifetime,
        partner.expiration_time,
    ];
    let latest = believed.into_iter().fold(since, AbsTime::max);
    context.now > latest.plus(leeway.mclt_secs).plus(EXPIRY_GRACE_SECS)
}

/// Removes a binding, and says so.
pub(crate) fn remove(shard: &mut Shard, id: BindingId, emit: &mut dyn FnMut(&BindingDelta<'_>)) {
    let Some(lease) = shard.get(id).map(|record| record.lease) else {
        return;
    };
    shard.remove(id);
    emit(&BindingDelta::Remove {
        shard: shard.id(),
        lease,
    });
}
