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
/// that it was never more than MCLT beyond the later of what this server had acknowledged and the
/// moment of the promise (§4.4), which may have been just now. So a lease on record is its client's
/// until then, also one that has ended as far as this server knows, and if the partner may have heard
/// of that end it is somebody's, ABANDONED. A partner that remembers would not have believed in the
/// end, or knows who came next; one that does not would believe in it, and the lease would go to yet
/// another.
pub fn owe_all(
    shard: &mut Shard,
    (from, max): (u32, usize),
    everything: &Everything<'_>,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Option<u32> {
    let (next, records) = shard.walk_places(from, max);
    let promised: Vec<(BindingId, BindingState)> = records
        .filter(|(_, record)| (everything.is_partnered)(record.link))
        .filter_map(|(id, record)| {
            let was_sent = shard.was_sent(id);
            Some((id, promised(&record, was_sent, everything)?))
        })
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
fn promised(
    record: &BindingRecord<'_>,
    was_sent: bool,
    everything: &Everything<'_>,
) -> Option<BindingState> {
    let Everything { now, mclt_secs, .. } = *everything;
    let until = record.partner.expiration_time.max(now).plus(mclt_secs);
    // Also what a client declined here: the partner may have given it to that client again.
    let lasts = matches!(
        record.status,
        BindingStatus::Active | BindingStatus::Abandoned
    );
    if lasts && record.expires >= until {
        return None;
    }
    let is_its_clients = match record.status {
        BindingStatus::Active => true,
        BindingStatus::Expired | BindingStatus::Released => !was_sent,
        _ => false,
    };
    Some(BindingState {
        status: match is_its_clients {
            true => BindingStatus::Active,
            false => BindingStatus::Abandoned,
        },
        status_since: if lasts { record.status_since } else { now },
        expires: until,
        partner: PartnerTimes {
            unacked: true,
            ..record.partner
        },
        ..record.state()
    })
}
