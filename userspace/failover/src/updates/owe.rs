//! Everything for a partner that asks for everything (RFC 8156 §5.3.6, UPDREQALL).

use lease::{AbsTime, BindingDelta, BindingId, BindingRecord, BindingState, BindingStatus};
use lease::{LinkKey, PartnerTimes, Shard};

/// What owing everything needs beside the shard.
#[derive(Clone, Copy)]
pub struct Everything<'a> {
    /// The time.
    pub now: AbsTime,
    /// [`lease::Leeway::mclt_secs`].
    pub mclt_secs: u32,
    /// Whether a link is of the relationship.
    pub is_partnered: &'a dyn Fn(LinkKey) -> bool,
}

/// Owes every lease of a shard to a partner that may have lost what it knew, after a look at those
/// at the `max` places from `from` on; where to go on, or `None` when all are owed. Begin with 0.
///
/// What the partner promised its clients it no longer knows, and this server never did exactly: only
/// that it was never more than MCLT beyond what this server had acknowledged (§4.4). So a lease for
/// which that lies ahead is the client's until then, also one that has ended as far as this server
/// knows. A partner that remembers would not have believed in that end; one that does not would, and
/// give the lease to another.
pub fn owe_all(
    shard: &mut Shard,
    (from, max): (u32, usize),
    everything: &Everything<'_>,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Option<u32> {
    let (next, records) = shard.walk_places(from, max);
    let promised: Vec<(BindingId, BindingState)> = records
        .filter(|(_, record)| (everything.is_partnered)(record.link))
        .filter_map(|(id, record)| Some((id, promised(&record, everything)?)))
        .collect();
    for (id, state) in promised {
        shard.amend(id, &state);
        if let Some(record) = shard.get(id) {
            emit(&BindingDelta::Put {
                shard: shard.id(),
                record,
            });
        }
    }
    if next.is_none() {
        shard.owe_all(everything.is_partnered);
    }
    next
}

/// The state of a lease that the partner may have promised beyond what this server knows of.
fn promised(record: &BindingRecord<'_>, everything: &Everything<'_>) -> Option<BindingState> {
    let Everything { now, mclt_secs, .. } = *everything;
    let acknowledged = record.partner.expiration_time;
    let until = acknowledged.plus(mclt_secs);
    let is_active = record.status == BindingStatus::Active;
    let ends_before =
        record.status != BindingStatus::Abandoned && (!is_active || record.expires < until);
    if acknowledged == AbsTime(0) || until <= now || !ends_before {
        return None;
    }
    Some(BindingState {
        status: BindingStatus::Active,
        status_since: if is_active { record.status_since } else { now },
        expires: until,
        partner: PartnerTimes {
            unacked: true,
            ..record.partner
        },
        ..record.state()
    })
}
