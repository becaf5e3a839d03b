//! Which lease an IA gets, and for how long (RFC 9915 §13, §18.3).
//!
//! In this order: the leases reserved for the client; those bound to the IA on this link; what the
//! client asks for, if it is free; what the IA's hash leads to in the link's pools, one after the
//! other. A binding on *another* link is left alone when its client turns up here: it runs out by
//! itself, or is released, and the client that returns to that link meanwhile finds it again.
//!
//! Of a pool for some classes only their clients draw. What a client holds there is extended until
//! it says something that refutes its being in any of them; then the lease is treated as one of a
//! pool that is no more: it runs out by itself, beside the one that takes its place.

use crate::drop_reason::DropReason;
use crate::exchange::Context;
use crate::failover;
use crate::ingress::Parsed;
use crate::lengths::{self, Rank};
use crate::lifetime::Lifetimes;
use crate::model::{
    ClassSet, Link, Membership, PoolId, RESERVED_MAX, Reservation, Reserved, ServedPool,
};
use crate::plan::{Hold, Line, Plan};
use crate::subscriber::{NO_NUMBER, Place, Subscriber, key_of_client};
use arrayvec::ArrayVec;
use lease::{BindingId, BindingRecord, BindingStatus, Lease, Leeway, Prefixes, Role, Shard};
use wire::{Duid, Ia, IaAddress, IaKey, IaKind, IaPrefix, OptionCode, StatusCode};

/// What the decisions for one message of a client depend on.
pub(crate) struct Policy<'p> {
    pub(crate) context: &'p Context<'p>,
    pub(crate) link: &'p Link,
    pub(crate) duid: Duid<'p>,
    /// The message, for what relays say of the client.
    pub(crate) parsed: &'p Parsed<'p>,
    pub(crate) classes: Membership,
    /// Whose the bindings are, unless they are the client's own.
    pub(crate) subscriber: Option<&'p Subscriber<'p>>,
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
    /// What the bindings are keyed by that the IA has, or takes over.
    pub(crate) fn key(&self, ia: &Ia<'_>) -> IaKey<'_> {
        match self.subscriber {
            Some(subscriber) => subscriber.key_of(ia.kind, ia.iaid),
            None => key_of_client(self.duid, ia),
        }
    }

    /// Where the IA stands among the subscriber's.
    fn place(&self, ia: &Ia<'_>) -> Option<Place> {
        let subscriber = self.subscriber?;
        Some(subscriber.place_of(ia.kind, ia.iaid))
    }

    /// Whether another client of the same subscriber has what this one may have had: it extends
    /// nothing any more.
    pub(crate) fn is_superseded(&self, ia: &Ia<'_>) -> bool {
        matches!(self.place(ia), Some(Place::Others { .. }))
    }

    /// Ends with lifetimes of 0 what the client names and another one of its subscriber has now;
    /// NoBinding if it names nothing of that.
    pub(crate) fn refuse_superseded(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        let key = self.key(ia);
        for lease in named(ia) {
            if self.is_held(&key, lease) && !plan.has(lease) {
                plan.push(self.refusal(lease))?;
            }
        }
        if plan.current().is_empty() {
            plan.set_status(StatusCode::NO_BINDING);
        }
        Ok(())
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
        if matches!(self.place(ia), Some(Place::Others { lately: true, .. })) {
            return Err(DropReason::SubscriberHeld);
        }
        if ia.kind == IaKind::Pd && self.change_length(ia, plan)? {
            return Ok(());
        }
        self.keep(ia, plan)?;
        self.fill(ia, plan)
    }

    /// Whether the IA was given a prefix of the length it asks for in place of those of another
    /// length that it has: a client that begins anew with a prefix-length hint gets that length if
    /// there is one, whatever it had before (RFC 8168 §3.2). One that extends what it has keeps it.
    fn change_length(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<bool, DropReason> {
        let may_change = self.leeway().may_allocate
            && self.link.groups(ia.kind) == 1
            && self.place(ia) != Some(Place::Missing);
        let Some(wanted) = wanted_len(ia).filter(|_| may_change) else {
            return Ok(false);
        };
        let key = self.key(ia);
        let held = || {
            let records = self.shard.leases_of(&key).map(|(_, record)| record);
            records.filter(|record| is_active(record) && self.link.shares_network(record.link))
        };
        let is_asked = |lease: Lease| lease.len == wanted || named(ia).any(|name| name == lease);
        if held().next().is_none()
            || held().any(|record| is_asked(record.lease))
            || self.may_have_reserved(&key, plan)
        {
            return Ok(false);
        }
        let drawn = match named(ia).next() {
            Some(_) => self.draw_named(ia, 0, plan),
            None => self.draw_of_length(ia, wanted, plan),
        };
        let Some(line) = drawn else {
            return Ok(false);
        };
        plan.push(line)
            .inspect_err(|_| line.give_back(self.context.model))?;
        for record in held() {
            plan.push(Line {
                hold: Hold::Replaced,
                ..self.refusal(record.lease)
            })?;
        }
        Ok(true)
    }

    /// A prefix of exactly this length, from a pool that has it.
    fn draw_of_length(&self, ia: &Ia<'_>, len: u8, plan: &Plan) -> Option<Line> {
        let key = self.key(ia);
        let pools = self.link.pools(ia.kind).iter();
        let model = self.context.model;
        pools
            .map(|id| (id, model.pool(*id)))
            .filter(|(_, served)| {
                served.pool.spec().has_len(len) && served.classes.admits(self.classes.of)
            })
            .find_map(|(id, _)| self.draw_from(*id, &key, len, plan))
    }

    /// For an IA that is known: extends its leases, replaces those that cannot be extended, and
    /// ends with lifetimes of 0 what the client names but must not use (RFC 9915 §18.3.4, §18.3.5).
    ///
    /// A lease that is the client's and right for the link but of no pool any more is left out of
    /// the answer, so that it runs out by itself.
    pub(crate) fn extend(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        self.keep(ia, plan)?;
        self.fill(ia, plan)?;
        let key = self.key(ia);
        for lease in named(ia) {
            if !plan.has(lease) && (!self.is_held(&key, lease) || self.is_off_link(lease)) {
                plan.push(self.refusal(lease))?;
            }
        }
        Ok(())
    }

    /// Ends with lifetimes of 0 what the client names although the configuration says that it
    /// belongs on another link (RFC 9915 §18.3.5).
    pub(crate) fn refuse_off_link(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        for lease in named(ia) {
            if self.is_off_link(lease) && !plan.has(lease) {
                plan.push(self.refusal(lease))?;
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
        decidable && !model.is_on_link(self.link, self.parsed, lease)
    }

    /// Whether the client has an active binding of the lease for this IA.
    fn is_held(&self, key: &IaKey<'_>, lease: Lease) -> bool {
        let bound = self.shard.by_lease(lease);
        bound.is_some_and(|(_, record)| record.ia() == *key && is_active(&record))
    }

    /// What the IA has already, or has reserved.
    fn keep(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        let key = self.key(ia);
        if !self.context.model.reservations().is_empty() {
            self.keep_reserved(ia, &key, plan)?;
        }
        let reserved = plan.current().len();
        self.keep_if(&key, reserved, plan, is_active)?;
        if self.leeway().partnered {
            self.keep_if(&key, reserved, plan, |record| !is_active(record))?;
        }
        Ok(())
    }

    /// What the IA has on record: what is active, or what ended and may come back, which it does
    /// only if there is nothing else of its group. `reserved`: how many it has by reservation.
    fn keep_if(
        &self,
        key: &IaKey<'_>,
        reserved: usize,
        plan: &mut Plan,
        wanted: fn(&BindingRecord<'_>) -> bool,
    ) -> Result<(), DropReason> {
        for (place, record) in self.shard.leases_of(key) {
            if !wanted(&record) || !self.link.shares_network(record.link) || plan.has(record.lease)
            {
                continue;
            }
            let classes = self.classes.not_refuted;
            let Some((id, served)) = self.pool_for(classes, key.kind, record.lease) else {
                continue;
            };
            let Some(hold) = self.hold_of(place, &record) else {
                continue;
            };
            let is_of_group = |line: &Line| self.group(line) == served.group;
            // What is reserved stands in the place of what the client had from the same group.
            if served.pool.is_reserved(record.lease)
                || plan.current().iter().take(reserved).any(is_of_group)
                || hold == Hold::Free && plan.current().iter().any(is_of_group)
            {
                continue;
            }
            plan.push(self.line(record.lease, id, served, hold, Some(&record)))?;
        }
        Ok(())
    }

    /// How the IA holds a lease on record, if the record still lets it: it is active, or it ended
    /// and the partner has not heard of that.
    fn hold_of(&self, id: BindingId, record: &BindingRecord<'_>) -> Option<Hold> {
        if is_active(record) {
            return Some(Hold::Bound {
                since: record.status_since,
            });
        }
        let returns = failover::may_return(self.leeway(), self.shard, id, record);
        returns.then_some(Hold::Free)
    }

    /// What failover lets us do on the client's link.
    fn leeway(&self) -> &Leeway {
        self.link.leeway(self.context.leeways)
    }

    /// One lease from each group of pools that the IA has none of yet, or the status that says
    /// there is none at all.
    fn fill(&self, ia: &Ia<'_>, plan: &mut Plan) -> Result<(), DropReason> {
        let may_allocate = self.leeway().may_allocate && self.place(ia) != Some(Place::Missing);
        let groups = match may_allocate {
            true => self.link.groups(ia.kind),
            false => 0,
        };
        for group in 0..groups {
            if plan.current().iter().any(|line| self.group(line) == group) {
                continue;
            }
            let drawn = self
                .draw_named(ia, group, plan)
                .or_else(|| self.draw_any(ia, group, plan));
            if let Some(line) = drawn {
                plan.push(line)
                    .inspect_err(|_| line.give_back(self.context.model))?;
            }
        }
        if plan.current().is_empty() {
            plan.set_status(match ia.kind {
                IaKind::Na => StatusCode::NO_ADDRS_AVAIL,
                IaKind::Pd => StatusCode::NO_PREFIX_AVAIL,
            });
        }
        Ok(())
    }

    /// The group of pools that a lease counts for; one outside of all pools counts for the first.
    fn group(&self, line: &Line) -> u8 {
        line.pool.map_or(0, |id| self.context.model.pool(id).group)
    }

    /// What the client asks for, if that is free and right for the link.
    fn draw_named(&self, ia: &Ia<'_>, group: u8, plan: &Plan) -> Option<Line> {
        named(ia).find_map(|lease| {
            let (id, served) = self.pool_for(self.classes.of, ia.kind, lease)?;
            let taken = served.group == group
                && !plan.has(lease)
                && (served.pool).claim_exact_among(self.shard, lease, self.leeway().share());
            taken.then(|| self.line(lease, id, served, Hold::Taken, None))
        })
    }

    /// What the pools give, tried in the order that fits the prefix length asked for.
    fn draw_any(&self, ia: &Ia<'_>, group: u8, plan: &Plan) -> Option<Line> {
        let key = self.key(ia);
        let wanted_len = wanted_len(ia);
        let mut tried = None;
        while let Some((rank, len, id)) = self.next_pool(ia.kind, group, wanted_len, tried) {
            tried = Some(rank);
            if let Some(line) = self.draw_from(id, &key, len, plan) {
                return Some(line);
            }
        }
        None
    }

    /// What the IA's hash leads to in this pool, of this length.
    fn draw_from(&self, id: PoolId, key: &IaKey<'_>, len: u8, plan: &Plan) -> Option<Line> {
        let served = self.context.model.pool(id);
        let (pool, share) = (&served.pool, self.leeway().share());
        let (lease, hold) = match self.taking {
            Taking::Look => (pool.offer_of(self.shard, key, len, share)?, Hold::Free),
            Taking::Take => (pool.claim_of(self.shard, key, len, share)?, Hold::Taken),
        };
        let line = self.line(lease, id, served, hold, None);
        // A sparse pool sees only what is bound, so it may lead two IAs of a message to the same
        // lease.
        if plan.has(lease) {
            line.give_back(self.context.model);
            return None;
        }
        Some(line)
    }

    /// The pool, and the length in it, to try after what has rank `tried`. The order is that of the
    /// configuration, unless the client wants a prefix length: see [`lengths`].
    fn next_pool(
        &self,
        kind: IaKind,
        group: u8,
        wanted_len: Option<u8>,
        tried: Option<Rank>,
    ) -> Option<(Rank, u8, PoolId)> {
        let model = self.context.model;
        let ids = self.link.pools(kind).iter().enumerate();
        let of_group = ids.filter(|&(_, &id)| {
            let served = model.pool(id);
            served.group == group && served.classes.admits(self.classes.of)
        });
        let ranked = of_group.filter_map(|(order, &id)| {
            let spec = model.pool(id).pool.spec();
            let (rank, len) = lengths::next(spec, wanted_len, order, tried)?;
            Some((rank, len, id))
        });
        ranked.min_by_key(|(rank, ..)| *rank)
    }

    /// Gives the IA what is reserved for the client, in the order of the configuration: what it has
    /// of that already, and of what nobody has one lease if there is none yet, or all if it is the
    /// last IA of its kind in the message.
    #[inline(never)]
    fn keep_reserved(
        &self,
        ia: &Ia<'_>,
        key: &IaKey<'_>,
        plan: &mut Plan,
    ) -> Result<(), DropReason> {
        let reserved: ArrayVec<Reserved<'_>, RESERVED_MAX> = self.reserved_for(key).collect();
        for reserved in &reserved {
            if let Some(line) = self.held_by_reservation(key, reserved, plan) {
                plan.push(line)?;
            }
        }
        let ias = self.parsed.index.ias.iter();
        let last = ias.rev().find(|other| other.kind == ia.kind);
        let takes_all = last.is_none_or(|last| last.iaid == ia.iaid);
        for reserved in &reserved {
            if !takes_all && !plan.current().is_empty() {
                break;
            }
            if let Some(line) = self.take_reserved(key, reserved, plan) {
                plan.push(line)
                    .inspect_err(|_| line.give_back(self.context.model))?;
            }
        }
        Ok(())
    }

    /// Whether the IA has or could have something that is reserved for the client.
    fn may_have_reserved(&self, key: &IaKey<'_>, plan: &Plan) -> bool {
        self.reserved_for(key).any(|reserved| {
            self.held_by_reservation(key, &reserved, plan).is_some()
                || self.may_take(&reserved.reservation, plan)
        })
    }

    fn reserved_for(&self, key: &IaKey<'_>) -> impl Iterator<Item = Reserved<'_>> {
        let is_outside = key.iaid == NO_NUMBER && self.subscriber.is_some();
        let model = self.context.model;
        let reserved = (!is_outside).then(|| model.reserved_for(self.link, self.parsed, key.kind));
        reserved.into_iter().flatten()
    }

    /// A reserved lease that the IA has, and nobody else any of it.
    fn held_by_reservation(
        &self,
        key: &IaKey<'_>,
        reserved: &Reserved<'_>,
        plan: &Plan,
    ) -> Option<Line> {
        let reservation = &reserved.reservation;
        let (id, record) = self.shard.by_lease(reservation.lease)?;
        let is_kept =
            record.ia() == *key && reservation.is_only_ours() && !plan.has(reservation.lease);
        let hold = is_kept.then(|| self.hold_of(id, &record)).flatten()?;
        Some(self.reserved_line(key, reserved, hold, Some(&record)))
    }

    /// A reserved lease that nobody has. What clients of several shards may ask for is taken at once.
    fn take_reserved(&self, key: &IaKey<'_>, reserved: &Reserved<'_>, plan: &Plan) -> Option<Line> {
        let reservation = &reserved.reservation;
        if !self.may_take(reservation, plan) {
            return None;
        }
        let hold = match self.taking {
            Taking::Take if !reservation.is_one_shards() => {
                reservation.claim().then_some(Hold::Claimed)?
            }
            _ => Hold::Free,
        };
        Some(self.reserved_line(key, reserved, hold, None))
    }

    /// Whether a reserved lease may be given: no other client may hold it still, nor another IA of
    /// this one, and it must not be in quarantine. Of two partners only one gives what clients of several
    /// shards may ask for, while each may serve without the other.
    fn may_take(&self, reservation: &Reservation<'_>, plan: &Plan) -> bool {
        let leeway = self.leeway();
        let is_secondarys = matches!(leeway.prefixes, Prefixes::Own(Role::Secondary));
        leeway.may_allocate
            && (reservation.is_one_shards() || !is_secondarys)
            && reservation.is_clear()
            && !plan.has(reservation.lease)
            && self.shard.by_lease(reservation.lease).is_none()
    }

    fn reserved_line(
        &self,
        key: &IaKey<'_>,
        reserved: &Reserved<'_>,
        hold: Hold,
        record: Option<&BindingRecord<'_>>,
    ) -> Line {
        let lease = reserved.reservation.lease;
        Line {
            lease,
            lifetimes: self.promise(reserved.lifetimes, record),
            desired_secs: reserved.lifetimes.valid_secs,
            hold,
            link: Some(reserved.reservation.link),
            pool: self.pool_with(key.kind, lease).map(|(id, _)| id),
        }
    }

    /// The pool of this link that the lease is one of.
    fn pool_with(&self, kind: IaKind, lease: Lease) -> Option<(PoolId, &ServedPool)> {
        let mut pools = self.link.pools(kind).iter();
        pools.find_map(|&id| {
            let served = self.context.model.pool(id);
            served.pool.contains(lease).then_some((id, served))
        })
    }

    /// The pool of this link that the lease is one of, if it is for one of these classes.
    fn pool_for(
        &self,
        classes: ClassSet,
        kind: IaKind,
        lease: Lease,
    ) -> Option<(PoolId, &ServedPool)> {
        self.pool_with(kind, lease)
            .filter(|(_, served)| served.classes.admits(classes))
    }

    /// What the first of the client's classes says of lifetimes, or else the pool.
    fn lifetimes(&self, served: &ServedPool) -> Lifetimes {
        let classes = self.classes.of;
        if classes.is_empty() {
            return served.lifetimes;
        }
        let mut classes = self.context.model.classes_in(classes);
        let of_class = classes.find_map(|class| class.lifetimes);
        of_class.unwrap_or(served.lifetimes)
    }

    /// A lease with as much of the configured lifetimes as may be promised; `record` is what is on
    /// record of it as this IA's.
    fn line(
        &self,
        lease: Lease,
        id: PoolId,
        served: &ServedPool,
        hold: Hold,
        record: Option<&BindingRecord<'_>>,
    ) -> Line {
        let lifetimes = self.lifetimes(served);
        Line {
            lease,
            lifetimes: self.promise(lifetimes, record),
            desired_secs: lifetimes.valid_secs,
            hold,
            link: Some(served.link_key),
            pool: Some(id),
        }
    }

    fn promise(&self, desired: Lifetimes, record: Option<&BindingRecord<'_>>) -> Lifetimes {
        failover::promise(self.leeway(), desired, self.context.now, record)
    }

    fn refusal(&self, lease: Lease) -> Line {
        Line {
            lease,
            lifetimes: Lifetimes::ENDED,
            desired_secs: 0,
            hold: Hold::Refused,
            link: None,
            pool: None,
        }
    }
}

/// Whether the client may use what the record says.
pub(crate) fn is_active(record: &BindingRecord<'_>) -> bool {
    record.status == BindingStatus::Active
}

/// The addresses or prefixes that the client names in the IA; an unspecified one names nothing.
pub(crate) fn named<'a>(ia: &Ia<'a>) -> impl Iterator<Item = Lease> + use<'a> {
    within(ia).filter(|lease| lease.addr != 0)
}

/// The length that the client would like to have: that of a hint, before or behind the prefixes that
/// it names (RFC 8168 §3.1), and without one that of the first of those.
fn wanted_len(ia: &Ia<'_>) -> Option<u8> {
    if ia.kind == IaKind::Na {
        return None;
    }
    let mut of_named = None;
    for lease in within(ia).filter(|lease| lease.len != 0) {
        if lease.addr == 0 {
            return Some(lease.len);
        }
        of_named.get_or_insert(lease.len);
    }
    of_named
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
