//! What Solicit, Request, Renew and Rebind have in common: decide for every IA, write, commit.

use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::failover;
use crate::model::{ClassSet, Link, OptionScopes};
use crate::plan::{Hold, IaAnswer, Line, Plan};
use crate::policy::{Policy, Taking};
use crate::reconfigure;
use crate::reply;
use crate::via;
use lease::{BindingDelta, BindingRecord, BindingStatus, SubscriberIa};
use wire::{Duid, IaKind, MessageIndex, MessageType, OptionCode};

/// How the answer to a message differs from the others'.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// ADVERTISE, which commits nothing, or REPLY, which does.
    pub(super) kind: MessageType,
    /// Answers a Solicit at once (RFC 9915 §21.14).
    pub(super) rapid_commit: bool,
}

impl Form {
    /// A Reply to a message that asked for one.
    pub(super) const REPLY: Self = Self {
        kind: MessageType::REPLY,
        rapid_commit: false,
    };
}

/// Decides for all IAs of a message.
pub(super) type Decide = fn(&Policy<'_>, &MessageIndex<'_>, &mut Plan) -> Result<(), DropReason>;

/// Answers with what `decide` puts into the plan, and commits it if the form says so. Whatever
/// goes wrong, leases taken for an answer that is not sent are given back.
pub(super) fn answer(
    exchange: &mut Exchange<'_>,
    form: Form,
    decide: Decide,
) -> Result<Outcome, DropReason> {
    exchange.check_ias_are_complete()?;
    let duid = exchange.client()?;
    let link = exchange.link()?;
    let commits = form.kind == MessageType::REPLY;
    let policy = Policy {
        context: exchange.context,
        link,
        duid,
        parsed: exchange.parsed,
        classes: exchange.context.model.membership(exchange.parsed),
        subscriber: exchange.subscriber,
        shard: exchange.shard,
        taking: if commits || has_ias_of_a_kind(&exchange.parsed.index) {
            Taking::Take
        } else {
            Taking::Look
        },
    };
    let classes = policy.classes.of;
    let mut plan = Plan::default();
    let written = decide(&policy, &exchange.parsed.index, &mut plan)
        .and_then(|()| write(exchange, form, link, classes, &plan));
    if written.is_err() || !commits {
        plan.give_back(exchange.context.model);
    }
    let Written { len, keyed } = written?;
    let durable = commits && commit(exchange, duid, link, &plan, keyed);
    Ok(Outcome::Reply {
        len,
        durable,
        kind: form.kind,
    })
}

/// An answer that stands in the buffer.
struct Written {
    /// Octets of UDP payload.
    len: usize,
    /// It gives the client a key, so that it may be sent Reconfigure messages.
    keyed: bool,
}

/// Whether two IAs of one kind could be led to the same lease.
fn has_ias_of_a_kind(index: &MessageIndex<'_>) -> bool {
    let of = |kind: IaKind| index.ias.iter().filter(|ia| ia.kind == kind).count();
    of(IaKind::Na) > 1 || of(IaKind::Pd) > 1
}

fn write(
    exchange: &mut Exchange<'_>,
    form: Form,
    link: &Link,
    classes: ClassSet,
    plan: &Plan,
) -> Result<Written, DropReason> {
    let model = exchange.context.model;
    let mut writer = reply::begin(exchange.out, model, exchange.parsed, form.kind)?;
    if form.kind == MessageType::ADVERTISE {
        reply::preference(&mut writer, model)?;
    }
    if form.rapid_commit {
        reply::rapid_commit(&mut writer)?;
    }
    let timers = plan.timers();
    let asks_for_excluded = || {
        exchange
            .parsed
            .index
            .oro
            .contains(OptionCode::PD_EXCLUDE)
            .then_some(model)
    };
    let excludes = model.excludes.then(asks_for_excluded).flatten();
    for ia in plan.ias() {
        reply::ia(&mut writer, &ia, timers, excludes)?;
    }
    let mut scopes = OptionScopes::new();
    scopes.push_reserved(model, link, exchange.parsed);
    scopes.push_classes(model, classes);
    for line in plan.lines().iter().filter(|line| line.is_granted()) {
        let of_pool = line.pool.and_then(|id| model.pool(id).options.as_ref());
        of_pool.into_iter().for_each(|options| scopes.push(options));
    }
    scopes.push(link.options());
    reply::configured_options(&mut writer, model, &scopes, exchange.parsed)?;
    let keyed = reconfigure::give_key(&mut writer, exchange.context, exchange.parsed, form.kind)?;
    let len = reply::finish(writer)?;
    Ok(Written { len, keyed })
}

/// Binds what was granted and ends what was given up for it; whether there was anything.
fn commit(
    exchange: &mut Exchange<'_>,
    duid: Duid<'_>,
    link: &Link,
    plan: &Plan,
    keyed: bool,
) -> bool {
    let mut any = false;
    let may_be_keyed = keyed || keeps_key(exchange);
    let via = via::of(exchange.parsed, may_be_keyed);
    for ia in plan.ias() {
        let subscriber = exchange.subscriber;
        let subscriber = subscriber.map(|subscriber| subscriber.ia_of(ia.kind, ia.iaid));
        for line in ia.lines {
            if line.hold == Hold::Replaced
                && let Some((id, _)) = exchange.shard.by_lease(line.lease)
            {
                exchange.end(id);
            }
            let bound = bound(exchange, (duid, subscriber), link, &via, &ia, line);
            let Some(mut record) = bound else {
                continue;
            };
            record.accepts_reconfigure = keyed || may_be_keyed && was_keyed(exchange, &record);
            if !record.accepts_reconfigure && !exchange.parsed.is_relayed() {
                record.via = &[];
            }
            exchange.shard.put(&record);
            (exchange.emit)(&BindingDelta::Put {
                shard: exchange.shard.id(),
                record,
            });
            any = true;
        }
    }
    any
}

/// Whether a client that says nothing of Reconfigure has the key that it was given before. A Renew
/// or Rebind need not repeat that the client accepts (RFC 9915 §18.2.4, §18.2.5).
fn keeps_key(exchange: &Exchange<'_>) -> bool {
    let extends = [MessageType::RENEW, MessageType::REBIND].contains(&exchange.parsed.msg_type());
    extends && exchange.context.model.rkap.is_some() && !exchange.parsed.index.reconf_accept
}

fn was_keyed(exchange: &Exchange<'_>, record: &BindingRecord<'_>) -> bool {
    let before = exchange.shard.by_lease(record.lease);
    before.is_some_and(|(_, before)| before.accepts_reconfigure && before.duid == record.duid)
}

/// The binding that a line of the answer makes, unless it refuses the lease.
fn bound<'d>(
    exchange: &Exchange<'_>,
    (duid, subscriber): (Duid<'d>, Option<SubscriberIa<'d>>),
    link: &Link,
    via: &'d [u8],
    ia: &IaAnswer<'_>,
    line: &Line,
) -> Option<BindingRecord<'d>> {
    let context = exchange.context;
    let (now, leeway) = (context.now, link.leeway(context.leeways));
    let status_since = match line.hold {
        Hold::Bound { since } => since,
        Hold::Taken | Hold::Claimed | Hold::Free => now,
        Hold::Refused | Hold::Replaced => return None,
    };
    let before = leeway
        .partnered
        .then(|| exchange.shard.by_lease(line.lease));
    let old = before.flatten().map(|(_, record)| record);
    let (valid_secs, desired_secs) = (line.lifetimes.valid_secs, line.desired_secs);
    let (partner, expires) = failover::granted(leeway, now, desired_secs, valid_secs, old.as_ref());
    Some(BindingRecord {
        duid,
        kind: ia.kind,
        iaid: ia.iaid,
        subscriber,
        lease: line.lease,
        link: line.link?,
        status: BindingStatus::Active,
        preferred_secs: line.lifetimes.preferred_secs,
        valid_secs,
        cltt: now,
        status_since,
        expires,
        partner,
        accepts_reconfigure: false,
        via,
    })
}
