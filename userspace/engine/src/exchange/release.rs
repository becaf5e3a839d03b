//! Release (RFC 9915 §16.9, §18.3.7): the client gives leases back. A retransmission finds nothing
//! any more and is answered with NoBinding in the IA, which ends the exchange as well.

use super::{Exchange, Outcome, return_leases};
use crate::drop_reason::DropReason;
use wire::IaKind;

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    return_leases::answer(exchange, &[IaKind::Na, IaKind::Pd], |exchange, id| {
        exchange.end(id);
    })
}
