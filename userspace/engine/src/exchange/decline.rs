//! Decline (RFC 9915 §16.8, §18.3.8): the client found addresses in use on its link. They stay taken
//! as ABANDONED for the configured time, so that nobody gets them. Prefixes cannot be declined: an
//! IA_PD in a Decline is ignored.

use super::{Exchange, Outcome, return_leases};
use crate::drop_reason::DropReason;
use lease::{BindingDelta, BindingId, BindingRecord, BindingStatus, PartnerTimes};
use wire::IaKind;

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    return_leases::answer(exchange, &[IaKind::Na], abandon)
}

fn abandon(exchange: &mut Exchange<'_>, id: BindingId) {
    let now = exchange.context.now;
    // The client of the binding is the sender: its own DUID outlives the change to the shard.
    let Some((client, old)) = exchange.parsed.client_id().zip(exchange.shard.get(id)) else {
        return;
    };
    let record = BindingRecord {
        duid: client,
        kind: old.kind,
        iaid: old.iaid,
        lease: old.lease,
        link: old.link,
        status: BindingStatus::Abandoned,
        preferred_secs: 0,
        valid_secs: 0,
        cltt: now,
        status_since: now,
        expires: now.plus(exchange.context.model.quarantine_secs),
        partner: PartnerTimes {
            unacked: exchange.context.leeway_of(&old).partnered,
            ..old.partner
        },
        accepts_reconfigure: false,
        via: &[],
    };
    exchange.shard.put(&record);
    (exchange.emit)(&BindingDelta::Put {
        shard: exchange.shard.id(),
        record,
    });
}
