//! Which lease an IA gets, and for how long (RFC 9915 §13, §18.3).
//!
//! In this order: the lease reserved for the client; those bound to the IA on this link; what the
//! client asks for, if it is free; what the IA's hash leads to in the link's pools, one after the
//! other. A binding on *another* link is left alone when its client turns up here: it runs out by
//! itself, or is released, and the client that returns to that link meanwhile finds it again.

use crate::drop_reason::DropReason;
use crate::exchange::Context;
use crate::failover;
use crate::lifetime::Lifetimes;
use crate::model::{Link, PoolId, ServedPool};
use crate::plan::{Hold, Line, Plan};
use lease::{BindingId, BindingRecord, BindingStatus, Lease, Leeway, Shard};
use wire::{Duid, Ia, IaAddress, IaKey, IaKind, IaPrefix, OptionCode, StatusCode};

/// What the decisions for one message of a client depend on.
pub(crate) struct Policy<'p> {
    pub(crate) context: &'p Context<'p>,
    pub(crate) link: &'p Link,
    pub(crate) duid: Duid<'p>,
    pub(crate) shard: &'p Shard,
    pub(crate) taking: Taking,
}

/// Whether a decision takes a lease out of its pool at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Yes: it will be committed, or other IAs of the message must see it taken.
    Take,
    /// No: an Advertise for a single IA of its kind takes nothing.
    Look,
}

impl Policy<'_> {
    pub(crate) fn key(&self, ia: &Ia<'_>) -> IaKey<'_> {
        IaKey {
            duid: self.duid,
            kind: ia.kind,
            iaid: ia.iaid,
        }
    }

    /// Whether the client has an active binding for the IA, on whichever link.
    pub(crate) fn is_known(&self, ia: &Ia<'_>) -> bool {
        let key = self.key(ia);
        self.shard
            .leases_of(&key)
            .any(|(_, record)| is_active(&record))
    }

    /// Puts into the plan what the IA has or can get; its status if that is nothing.
    pub(crate) fn assign(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        self.keep(ia, plan)?;
        if plan.current_is_empty() {
            self.draw(ia, plan)?;
        }
        Ok(())
    }

    /// For an IA that is known: extends its leases, ends with lifetimes of 0 what the client
    /// names but may not have here, and replaces what was ended (RFC 9915 §18.3.4, §18.3.5).
    pub(crate) fn extend(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        self.keep(ia, plan)?;
        if plan.current_is_empty() {
            self.draw(ia, plan)?;
        }
        for lease in named(ia) {
            if !plan.has(lease) {
                plan.push(refusal(lease))?;
            }
        }
        Ok(())
    }

    /// Ends with lifetimes of 0 what the client names although the configuration says that it
    /// belongs on another link (RFC 9915 §18.3.5).
    pub(crate) fn refuse_off_link(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        for lease in named(ia) {
            if self.is_off_link(lease) && !plan.has(lease) {
                plan.push(refusal(lease))?;
            }
        }
        Ok(())
    }

    /// Whether the configuration says that the lease does not belong on the client's link. Of
    /// prefixes that none of our pools delegates nothing is said: another server's may.
    pub(crate) fn is_off_link(&self, lease: Lease) -> bool {
        let model = self.context.model;
        let decidable = match lease.len {
            128 => self.link.can_judge_addresses(),
            _ => model.pool_of(lease).is_some(),
        };
        decidable && !model.is_on_link(self.link, self.duid, lease)
    }

    /// What the IA has already, or has reserved.
    fn keep(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        let key = self.key(ia);
        if let Some(line) = self.reserved(&key, plan) {
            return plan.push(line);
        }
        for (id, record) in self.shard.leases_of(&key) {
            if record.link != self.link.key() || plan.has(record.lease) {
                continue;
            }
            let Some(hold) = self.hold_of(id, &record) else {
                continue;
            };
            if let Some((_, served)) = self.pool_with(ia.kind, record.lease) {
                plan.push(self.line(record.lease, served.lifetimes, hold, Some(&record)))?;
            }
        }
        Ok(())
    }

    /// A lease that the IA does not have yet, or the status that says there is none.
    fn draw(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        let drawn = match self.leeway().may_allocate {
            true => self
                .draw_named(ia, plan)
                .or_else(|| self.draw_any(ia, plan)),
            false => None,
        };
        match drawn {
            Some(line) => plan.push(line).inspect_err(|_| self.give_back(&line)),
            None => {
                plan.set_status(match ia.kind {
                    IaKind::Na => StatusCode::NO_ADDRS_AVAIL,
                    IaKind::Pd => StatusCode::NO_PREFIX_AVAIL,
                });
                Ok(())
            }
        }
    }

    /// What the client asks for, if that is free and right for the link.
    fn draw_named(&self, ia: &Ia<'_>, plan: &Plan) -> Option<Line> {
        named(ia).find_map(|lease| {
            let (id, served) = self.pool_with(ia.kind, lease)?;
            let share = self.leeway().share();
            let pool = &served.pool;
            let taken = !plan.has(lease) && pool.claim_exact_among(self.shard, lease, share);
            taken.then(|| self.line(lease, served.lifetimes, Hold::Taken(id), None))
        })
    }

    /// What the pools give, tried in the order that fits the prefix length asked for.
    fn draw_any(&self, ia: &Ia<'_>, plan: &Plan) -> Option<Line> {
        let key = self.key(ia);
        let wanted_len = wanted_len(ia);
        let share = self.leeway().share();
        let mut tried = None;
        while let Some((rank, id)) = self.next_pool(ia.kind, wanted_len, tried) {
            tried = Some(rank);
            let served = self.context.model.pool(id);
            let (lease, hold) = match self.taking {
                Taking::Look => (served.pool.offer_among(self.shard, &key, share), Hold::Free),
                Taking::Take => (
                    served.pool.claim_among(self.shard, &key, share),
                    Hold::Taken(id),
                ),
            };
            let Some(lease) = lease else {
                continue;
            };
            let line = self.line(lease, served.lifetimes, hold, None);
            // A sparse pool sees only what is bound, so it may lead two IAs of a message to the
            // same lease.
            if !plan.has(lease) {
                return Some(line);
            }
            self.give_back(&line);
        }
        None
    }

    /// The pool to try after the one of rank `tried`. The order is that of the configuration,
    /// unless the client wants a prefix length: then pools of that length come first, shorter
    /// prefixes next, the nearest first (RFC 8168 §3.2), and longer ones last.
    fn next_pool(
        &self,
        kind: IaKind,
        wanted_len: Option<u8>,
        tried: Option<Rank>,
    ) -> Option<(Rank, PoolId)> {
        let ids = self.link.pools(kind).iter().enumerate();
        let ranked = ids.map(|(order, &id)| {
            let len = self.context.model.pool(id).pool.spec().unit_len;
            let distance = wanted_len.map_or(0, |wanted| match wanted.checked_sub(len) {
                Some(shorter) => u16::from(shorter),
                None => u16::from(u8::MAX) + u16::from(len - wanted),
            });
            ((distance, order), id)
        });
        ranked
            .filter(|(rank, _)| Some(*rank) > tried)
            .min_by_key(|(rank, _)| *rank)
    }

    /// The lease reserved for the client, if this IA may have it: no other client may hold it
    /// still, nor another IA of this one, and it must not be in quarantine.
    fn reserved(&self, key: &IaKey<'_>, plan: &Plan) -> Option<Line> {
        let model = self.context.model;
        let reservation = model.reservation(self.link, self.duid, key.kind)?;
        let lease = reservation.lease;
        if plan.has(lease) || !reservation.is_clear() {
            return None;
        }
        let bound = self.shard.by_lease(lease);
        let hold = match &bound {
            None => self.leeway().may_allocate.then_some(Hold::Free)?,
            Some((id, record)) if record.ia() == *key => self.hold_of(*id, record)?,
            Some(_) => return None,
        };
        let record = bound.map(|(_, record)| record);
        Some(self.line(lease, reservation.lifetimes, hold, record.as_ref()))
    }

    /// How the IA holds a lease on record, if the record still lets it: it is active, or it ended
    /// and the partner has not heard of that.
    fn hold_of(&self, id: BindingId, record: &BindingRecord<'_>) -> Option<Hold> {
        if is_active(record) {
            return Some(Hold::Bound {
                since: record.status_since,
            });
        }
        let leeway = self.leeway();
        let returns =
            leeway.partnered && leeway.may_allocate && failover::may_return(self.shard, id, record);
        returns.then_some(Hold::Free)
    }

    /// What failover lets us do on the client's link.
    fn leeway(&self) -> &Leeway {
        self.link.leeway(self.context.leeways)
    }

    /// The pool of this link that may give the lease.
    fn pool_with(&self, kind: IaKind, lease: Lease) -> Option<(PoolId, &ServedPool)> {
        let mut pools = self.link.pools(kind).iter();
        pools.find_map(|&id| {
            let served = self.context.model.pool(id);
            let gives = served.pool.contains(lease) && !served.pool.is_reserved(lease);
            gives.then_some((id, served))
        })
    }

    /// A lease with as much of the configured lifetimes as may be promised; `record` is what is on
    /// record of it as this IA's.
    fn line(
        &self,
        lease: Lease,
        desired: Lifetimes,
        hold: Hold,
        record: Option<&BindingRecord<'_>>,
    ) -> Line {
        Line {
            lease,
            lifetimes: failover::promise(self.leeway(), desired, self.context.now, record),
            desired_secs: desired.valid_secs,
            hold,
        }
    }

    fn give_back(&self, line: &Line) {
        if let Hold::Taken(id) = line.hold {
            self.context.model.pool(id).pool.release(line.lease);
        }
    }
}

/// Distance from the wanted length, then order in the configuration.
type Rank = (u16, usize);

/// Whether the client may use what the record says.
pub(crate) fn is_active(record: &BindingRecord<'_>) -> bool {
    record.status == BindingStatus::Active
}

/// The addresses or prefixes that the client names in the IA; an unspecified one names nothing.
pub(crate) fn named<'a>(ia: &Ia<'a>) -> impl Iterator<Item = Lease> + use<'a> {
    within(ia).filter(|lease| lease.addr != 0)
}

/// The length of the first prefix in the IA: alone or with a prefix, it is what the client would
/// like to have (RFC 8168 §3.1).
fn wanted_len(ia: &Ia<'_>) -> Option<u8> {
    match ia.kind {
        IaKind::Na => None,
        IaKind::Pd => within(ia).map(|lease| lease.len).find(|len| *len != 0),
    }
}

/// All leases in the IA. Its options are well formed: the message's index has read them.
fn within<'a>(ia: &Ia<'a>) -> impl Iterator<Item = Lease> + use<'a> {
    let kind = ia.kind;
    ia.options
        .filter_map(Result::ok)
        .filter_map(move |option| match (kind, option.code) {
            (IaKind::Na, OptionCode::IAADDR) => {
                let address = IaAddress::parse(&option).ok()?;
                Some(Lease {
                    addr: address.address,
                    len: 128,
                })
            }
            (IaKind::Pd, OptionCode::IAPREFIX) => {
                let prefix = IaPrefix::parse(&option).ok()?;
                Some(Lease {
                    addr: prefix.prefix,
                    len: prefix.prefix_len,
                })
            }
            _ => None,
        })
}

fn refusal(lease: Lease) -> Line {
    Line {
        lease,
        lifetimes: Lifetimes::ENDED,
        desired_secs: 0,
        hold: Hold::Refused,
    }
}
