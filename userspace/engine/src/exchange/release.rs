//! Release (RFC 9915 §16.9, §18.3.7): the client gives leases back. A retransmission finds nothing
//! any more and is answered with NoBinding in the IA, which ends the exchange as well.

use super::{Exchange, Outcome, return_leases};
use crate::drop_reason::DropReason;
use lease::{BindingDelta, BindingId};
use wire::IaKind;

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    return_leases::answer(exchange, &[IaKind::Na, IaKind::Pd], end)
}

fn end(exchange: &mut Exchange<'_>, id: BindingId) {
    let Some(lease) = exchange.shard.get(id).map(|record| record.lease) else {
        return;
    };
    exchange.shard.remove(id);
    (exchange.emit)(&BindingDelta::Remove {
        shard: exchange.shard.id(),
        lease,
    });
}
