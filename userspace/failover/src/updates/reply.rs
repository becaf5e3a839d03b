//! BNDREPLY from the partner (RFC 8156 §7.7).

use super::{Offer, place};
use lease::{AbsTime, Answer, Answered, BindingDelta, BindingStatus, Lease, Shard};
use wire::StatusCode;
use wire::failover::{BindingLease, ClientData};

/// What a BNDREPLY comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The partner has taken the lease as it is.
    Acknowledged,
    /// It has taken the lease's end: nobody holds it any more. To be given back to its pool when
    /// the delta is durable.
    Available(Lease),
    /// It has taken something older; the present state is still to be sent.
    ChangedSince,
    /// It has not taken it, and why. Retried by [`Shard::retry_rejected`].
    Rejected(StatusCode),
    /// It answers an update of a binding that is gone, or says nothing of the lease.
    Stale,
}

/// Applies the partner's answer to an update that was offered.
pub fn settle(
    shard: &mut Shard,
    offer: &Offer,
    reply: &ClientData<'_>,
    emit: &mut dyn FnMut(&BindingDelta<'_>),
) -> Settled {
    let Some(record) = shard.get(offer.id) else {
        return Settled::Stale;
    };
    // A place is used again, even by the same client for the same lease.
    let is_same = record.status == offer.status
        && record.status_since == offer.status_since
        && record.partner.partner_lifetime == offer.partner_lifetime;
    let is_reused = record.partner.unacked && shard.was_sent(offer.id) && !is_same;
    if record.lease != offer.lease || is_reused {
        return Settled::Stale;
    }
    let is_same_client = reply.client.client_id == Some(record.duid);
    let has_ended = matches!(
        record.status,
        BindingStatus::Expired | BindingStatus::Released | BindingStatus::Reset
    );
    let acked_before = record.partner.acked_partner_lifetime;
    let lease = reply.leases().find(|lease| place(lease) == offer.lease);
    let rejection = reply
        .rejection()
        .or_else(|| lease.as_ref().and_then(BindingLease::rejection));
    let answer = match (&rejection, &lease) {
        (None, Some(lease)) => Answer::Accepted {
            // Echoed only if it was sent: an ended lease has none. What was acknowledged for
            // another client counts for nobody.
            acked_partner_lifetime: lease
                .options
                .partner_lifetime_sent
                .filter(|_| is_same_client)
                .map_or(acked_before, AbsTime),
        },
        _ => Answer::Rejected,
    };
    let status = rejection.map_or(StatusCode::UNSPEC_FAIL, |status| status.code);
    match (shard.answered(offer.id, answer), answer) {
        (Answered::Unasked, _) => Settled::Stale,
        (Answered::Rejected, _) => Settled::Rejected(status),
        (Answered::ChangedSince, _) => Settled::ChangedSince,
        // Rejected, but what the partner said of the lease meanwhile has been taken over.
        (Answered::Clean, Answer::Rejected) => Settled::Stale,
        (Answered::Clean, Answer::Accepted { .. }) if has_ended => {
            shard.remove(offer.id);
            emit(&BindingDelta::Remove {
                shard: shard.id(),
                lease: offer.lease,
            });
            Settled::Available(offer.lease)
        }
        (
            Answered::Clean,
            Answer::Accepted {
                acked_partner_lifetime,
            },
        ) => {
            emit(&BindingDelta::Acked {
                shard: shard.id(),
                lease: offer.lease,
                acked_partner_lifetime,
            });
            Settled::Acknowledged
        }
    }
}
