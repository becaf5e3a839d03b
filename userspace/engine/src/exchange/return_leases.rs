//! What Release and Decline have in common: the leases that the client names leave its bindings.

use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::lifetime::Lifetimes;
use crate::plan::{Hold, Line, Plan};
use crate::policy::{is_active, named};
use crate::reply;
use lease::{BindingId, Lease};
use wire::{Duid, Ia, IaKind, IaPrefix, MessageType, OptionCode, StatusCode};

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
fn decide<'x>(
    exchange: &Exchange<'x>,
    duid: Duid<'x>,
    kinds: &[IaKind],
    plan: &mut Plan,
) -> Result<(), DropReason> {
    let ias = &exchange.parsed.index.ias;
    for ia in ias.iter().filter(|ia| kinds.contains(&ia.kind)) {
        if !plan.begin_ia(ia.kind, ia.iaid)? {
            continue;
        }
        let key = exchange.own_key(duid, ia);
        let mut leases = exchange.shard.leases_of(&key);
        if !leases.any(|(_, record)| is_active(&record)) {
            plan.set_status(StatusCode::NO_BINDING);
            continue;
        }
        if excludes_what_was_not_excluded(exchange, ia) {
            plan.set_status(StatusCode::NO_BINDING);
            continue;
        }
        for lease in named(ia) {
            let bound = exchange.shard.by_lease(lease).map(|(_, record)| record);
            let Some(record) = bound.filter(|record| record.ia() == key && is_active(record))
            else {
                continue;
            };
            if !plan.has(lease) {
                plan.push(Line {
                    lease,
                    lifetimes: Lifetimes::ENDED,
                    desired_secs: 0,
                    hold: Hold::Bound {
                        since: record.status_since,
                    },
                    link: None,
                    pool: None,
                })?;
            }
        }
    }
    Ok(())
}

/// Whether the client excludes a prefix from a delegated one that was not excluded when it was
/// delegated (RFC 6603 §6.2): NoBinding is the answer then.
fn excludes_what_was_not_excluded(exchange: &Exchange<'_>, ia: &Ia<'_>) -> bool {
    let model = exchange.context.model;
    ia.kind == IaKind::Pd
        && ia.options.filter_map(Result::ok).any(|option| {
            let prefix = match option.code {
                OptionCode::IAPREFIX => IaPrefix::parse(&option).ok(),
                _ => None,
            };
            let excluded = prefix.and_then(|prefix| prefix.options.find(OptionCode::PD_EXCLUDE));
            let (Some(prefix), Some(excluded)) = (prefix, excluded) else {
                return false;
            };
            let lease = Lease {
                addr: prefix.prefix,
                len: prefix.prefix_len,
            };
            let ours = model
                .pool_of(lease)
                .and_then(|served| served.excluded(lease));
            ours.as_deref() != Some(excluded.data)
        })
}

fn write(exchange: &mut Exchange<'_>, plan: &Plan) -> Result<usize, DropReason> {
    let model = exchange.context.model;
    let mut writer = reply::begin(exchange.out, model, exchange.parsed, MessageType::REPLY)?;
    reply::status(&mut writer, StatusCode::SUCCESS)?;
    for ia in plan.ias().filter(|ia| ia.status.is_some()) {
        reply::ia(&mut writer, &ia, plan.timers(), None)?;
    }
    reply::finish(writer)
}
