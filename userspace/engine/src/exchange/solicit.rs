//! Solicit (RFC 9915 §16.2, §18.3.1, §18.3.9): says what a Request would get, and with rapid
//! commit grants it at once.
//!
//! Addresses in a Solicit are hints even with rapid commit: one of another link is passed over
//! and not answered with NotOnLink, because the client asks for whatever it can get.

use super::grant::{self, Form};
use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::plan::Plan;
use crate::policy::Policy;
use wire::{MessageIndex, MessageType};

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    exchange.client()?;
    exchange.check_is_for_all()?;
    let rapid_commit = exchange.parsed.index.rapid_commit && exchange.context.model.rapid_commit;
    let form = Form {
        kind: if rapid_commit {
            MessageType::REPLY
        } else {
            MessageType::ADVERTISE
        },
        rapid_commit,
    };
    grant::answer(exchange, form, decide)
}

fn decide(
    policy: &Policy<'_>,
    index: &MessageIndex<'_>,
    plan: &mut Plan,
) -> Result<(), DropReason> {
    for ia in &index.ias {
        if plan.begin_ia(ia.kind, ia.iaid)? {
            policy.assign(ia, plan)?;
        }
    }
    Ok(())
}
