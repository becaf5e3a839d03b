//! What Release and Decline have in common: the leases that the client names leave its bindings.

use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::lifetime::Lifetimes;
use crate::plan::{Hold, Line, Plan};
use crate::policy::{is_active, named};
use crate::reply;
use lease::{BindingId, Shard};
use wire::{Duid, IaKey, IaKind, MessageType, StatusCode};

/// Answers Success, and NoBinding in each IA that is not known; then calls `end` for each lease
/// that is named in an IA of one of the `kinds` and bound to it. Others are ignored.
pub(super) fn answer(
    exchange: &mut Exchange<'_>,
    kinds: &[IaKind],
    end: fn(&mut Exchange<'_>, BindingId),
) -> Result<Outcome, DropReason> {
    let duid = exchange.client()?;
    exchange.check_is_for_us()?;
    exchange.check_ias_are_complete()?;
    let mut plan = Plan::default();
    decide(exchange, duid, kinds, &mut plan)?;
    let len = write(exchange, &plan)?;
    let mut durable = false;
    for line in plan.ias().flat_map(|ia| ia.lines) {
        let Some(id) = exchange.shard.by_lease(line.lease).map(|(id, _)| id) else {
            continue;
        };
        end(exchange, id);
        durable = true;
    }
    Ok(Outcome::Reply {
        len,
        durable,
        kind: MessageType::REPLY,
    })
}

/// The IAs with the leases that go; NoBinding for those that are not known.
fn decide(
    exchange: &Exchange<'_>,
    duid: Duid<'_>,
    kinds: &[IaKind],
    plan: &mut Plan,
) -> Result<(), DropReason> {
    let ias = &exchange.parsed.index.ias;
    for ia in ias.iter().filter(|ia| kinds.contains(&ia.kind)) {
        if !plan.begin_ia(ia.kind, ia.iaid)? {
            continue;
        }
        let key = IaKey {
            duid,
            kind: ia.kind,
            iaid: ia.iaid,
        };
        let mut leases = exchange.shard.leases_of(&key);
        if !leases.any(|(_, record)| is_active(&record)) {
            plan.set_status(StatusCode::NO_BINDING);
            continue;
        }
        for lease in named(ia) {
            let Some(since) = active_since(exchange.shard, &key, lease) else {
                continue;
            };
            if !plan.has(lease) {
                plan.push(Line {
                    lease,
                    lifetimes: Lifetimes::ENDED,
                    desired_secs: 0,
                    hold: since,
                })?;
            }
        }
    }
    Ok(())
}

/// How the IA holds the lease, if it does.
fn active_since(shard: &Shard, key: &IaKey<'_>, lease: lease::Lease) -> Option<Hold> {
    let (_, record) = shard.by_lease(lease)?;
    (record.ia() == *key && is_active(&record)).then_some(Hold::Bound {
        since: record.status_since,
    })
}

fn write(exchange: &mut Exchange<'_>, plan: &Plan) -> Result<usize, DropReason> {
    let model = exchange.context.model;
    let mut writer = reply::begin(exchange.out, model, exchange.parsed, MessageType::REPLY)?;
    reply::status(&mut writer, StatusCode::SUCCESS)?;
    for ia in plan.ias().filter(|ia| ia.status.is_some()) {
        reply::ia(&mut writer, &ia, plan.timers())?;
    }
    reply::finish(writer)
}
