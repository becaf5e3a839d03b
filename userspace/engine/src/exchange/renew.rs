//! Renew (RFC 9915 §16.6, §18.3.4): new lifetimes for what the client has; an IA that is not known
//! gets a binding if configured so, otherwise NoBinding.

use super::grant::{self, Form};
use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::plan::Plan;
use crate::policy::Policy;
use wire::{MessageIndex, StatusCode};

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
        if policy.is_superseded(ia) {
            policy.refuse_superseded(ia, plan)?;
        } else if policy.is_known(ia) || policy.context.model.bind_on_renew {
            policy.extend(ia, plan)?;
        } else {
            plan.set_status(StatusCode::NO_BINDING);
        }
    }
    Ok(())
}
