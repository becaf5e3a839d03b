//! Rebind (RFC 9915 §16.7, §18.3.5): as Renew, but every server hears it, so that one that knows
//! nothing of the client keeps silent.

use super::grant::{self, Form};
use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::plan::Plan;
use crate::policy::Policy;
use wire::{MessageIndex, StatusCode};

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    exchange.client()?;
    exchange.check_is_for_all()?;
    grant::answer(exchange, Form::REPLY, decide)
}

fn decide(
    policy: &Policy<'_>,
    index: &MessageIndex<'_>,
    plan: &mut Plan,
) -> Result<(), DropReason> {
    let model = policy.context.model;
    // A server that does not answer Solicits at once is not the only one: others may bind too.
    let may_bind = model.bind_on_renew && model.rapid_commit;
    for ia in &index.ias {
        if !plan.begin_ia(ia.kind, ia.iaid)? {
            continue;
        }
        if policy.is_superseded(ia) {
            policy.refuse_superseded(ia, plan)?;
        } else if policy.is_known(ia) || may_bind {
            policy.extend(ia, plan)?;
        } else {
            policy.refuse_off_link(ia, plan)?;
        }
    }
    if !plan.says_anything() {
        return Err(DropReason::NothingToRebind);
    }
    plan.set_missing_statuses(StatusCode::NO_BINDING);
    Ok(())
}
