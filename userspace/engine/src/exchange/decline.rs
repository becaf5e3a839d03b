//! Decline (RFC 9915 §16.8, §18.3.8): the client found addresses in use on its link. They stay taken
//! as ABANDONED for the configured time, so that nobody gets them. Prefixes cannot be declined: an
//! IA_PD in a Decline is ignored.
//!
//! A client has a budget: an address that it declines while so many others of its own are in
//! quarantine is free for others at once. A faulty client that declines all it is given holds no
//! more of a pool than that.

use super::{Exchange, Outcome, return_leases};
use crate::drop_reason::DropReason;
use lease::{BindingDelta, BindingId, BindingRecord, BindingStatus, PartnerTimes};
use wire::{Duid, IaKey, IaKind, Iaid};

/// The IAID of whatever a client has in quarantine, so that all of it is found together.
const QUARANTINE: Iaid = Iaid(0);

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    return_leases::answer(exchange, &[IaKind::Na], abandon)
}

fn abandon(exchange: &mut Exchange<'_>, id: BindingId) {
    let now = exchange.context.now;
    // The client of the binding is the sender: its own DUID outlives the change to the shard.
    let Some((client, old)) = exchange.parsed.client_id().zip(exchange.shard.get(id)) else {
        return;
    };
    let subscriber = exchange
        .subscriber
        .map(|subscriber| subscriber.ia(QUARANTINE));
    if !has_budget(exchange, subscriber.map_or(client, |ia| ia.key)) {
        return exchange.end(id);
    }
    let record = BindingRecord {
        duid: client,
        kind: old.kind,
        iaid: QUARANTINE,
        subscriber,
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

fn has_budget(exchange: &Exchange<'_>, client: Duid<'_>) -> bool {
    let quarantined = IaKey {
        duid: client,
        kind: IaKind::Na,
        iaid: QUARANTINE,
    };
    let leases = exchange.shard.leases_of(&quarantined);
    let abandoned = leases.filter(|(_, record)| record.status == BindingStatus::Abandoned);
    abandoned.count() < exchange.context.model.declines_per_client as usize
}
