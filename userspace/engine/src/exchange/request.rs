//! Request (RFC 9915 §16.4, §18.3.2): creates bindings, or returns those that there are with new
//! lifetimes. What was advertised and has gone to somebody else meanwhile is replaced.

use super::grant::{self, Form};
use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::plan::Plan;
use crate::policy::{Policy, named};
use wire::{IaKind, MessageIndex, StatusCode};

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    exchange.client()?;
    exchange.check_is_for_us()?;
    grant::answer(exchange, Form::REPLY, decide)
}

fn decide(
    policy: &Policy<'_>,
    index: &MessageIndex<'_>,
    plan: &mut Plan,
) -> Result<(), DropReason> {
    for ia in &index.ias {
        if !plan.begin_ia(ia.kind, ia.iaid)? {
            continue;
        }
        if ia.kind == IaKind::Na && named(ia).any(|lease| policy.is_off_link(lease)) {
            plan.set_status(StatusCode::NOT_ON_LINK);
        } else {
            policy.assign(ia, plan)?;
        }
    }
    Ok(())
}
