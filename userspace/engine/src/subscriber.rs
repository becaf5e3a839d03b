//! Links that tell their clients apart by what a relay says of their line: which subscriber a
//! message is from, and which of the subscriber's IAs each of its IAs is.
//!
//! A subscriber's leases are its own whatever device is on the line. One client at a time has them,
//! by its DUID and IAIDs; another one that asks for leases takes them over, unless the first was
//! heard a moment ago ([`Clients::takeover_after_secs`]): two devices on one line must not take
//! turns with every message. A client that lost its leases so cannot extend or end them any more;
//! it is told with lifetimes of 0 to stop using them.

use crate::drop_reason::DropReason;
use crate::exchange::Context;
use crate::identity::nearest;
use crate::ingress::Parsed;
use crate::model::{Link, Model};
use crate::policy::is_active;
use arrayvec::ArrayVec;
use lease::{BindingRecord, Shard, SubscriberIa, subscriber_key};
use wire::message::IA_MAX;
use wire::{ClientKey, Duid, Ia, IaKey, IaKind, Iaid, OptionCode, ShardId, SubscriberKey};

/// Most IAs of each kind that a subscriber can have.
pub const SUBSCRIBER_IAS_MAX: u8 = 8;

/// How a link tells its clients apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clients {
    /// By what.
    pub key: ClientKey,
    /// How many IAs of each kind a subscriber can have, 1 to [`SUBSCRIBER_IAS_MAX`]. Without meaning
    /// where clients are told apart by their DUIDs.
    pub subscriber_ias: u8,
    /// How long a client must have been silent before another one of its subscriber takes its
    /// leases over, seconds.
    pub takeover_after_secs: u32,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            key: ClientKey::Duid,
            subscriber_ias: 1,
            takeover_after_secs: 10,
        }
    }
}

impl Parsed<'_> {
    /// The shard that answers: its subscriber's where its link has such, otherwise its client's or,
    /// without a client, one by the transaction-id.
    #[inline]
    pub fn shard(&self, model: &Model) -> ShardId {
        if !model.has_subscribers {
            return self.own_shard();
        }
        match self.subscriber(model) {
            Ok(Some(key)) => key.duid().shard(),
            _ => self.own_shard(),
        }
    }

    /// The subscriber that it is from; `None` where clients are told apart by their DUIDs.
    ///
    /// # Errors
    /// [`DropReason::NoClientKey`]: no relay says which subscriber it is. By its DUID the client
    /// would get other leases than its line has, so it gets none until the relay is right.
    pub fn subscriber(&self, model: &Model) -> Result<Option<SubscriberKey>, DropReason> {
        if !model.has_subscribers {
            return Ok(None);
        }
        let by = match self.link(model) {
            Some(link) => model.link(link).clients.key,
            None => return Ok(None),
        };
        if by == ClientKey::Duid {
            return Ok(None);
        }
        let identity = nearest(self.relays(), OptionCode(by.code()));
        let link_address = self.link_address().unwrap_or(0);
        let key = identity.and_then(|identity| subscriber_key(by, link_address, identity));
        key.map(Some).ok_or(DropReason::NoClientKey)
    }
}

/// What the bindings that a client has itself for an IA are keyed by: where its link has no subscribers.
#[inline]
pub(crate) fn key_of_client<'c>(client: Duid<'c>, ia: &Ia<'_>) -> IaKey<'c> {
    IaKey {
        duid: client,
        kind: ia.kind,
        iaid: ia.iaid,
    }
}

/// The subscriber that a message is from.
#[derive(Debug)]
pub(crate) struct Subscriber<'m> {
    key: Duid<'m>,
    client: Duid<'m>,
    ias: ArrayVec<KeyedIa, IA_MAX>,
}

/// An IA of a message.
#[derive(Clone, Copy, Debug)]
struct KeyedIa {
    kind: IaKind,
    iaid: Iaid,
    place: Place,
}

/// Which of the subscriber's IAs an IA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The client has it.
    Own(Iaid),
    /// Nobody has it.
    Vacant(Iaid),
    /// Another client has it, or another IA of this one where a subscriber has a single IA.
    Others {
        number: Iaid,
        /// It was heard so lately that its leases cannot be taken over.
        lately: bool,
    },
    /// The subscriber has no more of them.
    Missing,
}

/// Number of an IA that no subscriber has.
pub(crate) const NO_NUMBER: Iaid = Iaid(u32::MAX);

impl<'m> Subscriber<'m> {
    /// Finds the place of each IA of the message among the subscriber's.
    pub(crate) fn new(
        context: &Context<'_>,
        link: &Link,
        shard: &Shard,
        key: Duid<'m>,
        client: Duid<'m>,
        ias: &[Ia<'_>],
    ) -> Self {
        let mut found = Self {
            key,
            client,
            ias: ArrayVec::new(),
        };
        for kind in [IaKind::Na, IaKind::Pd] {
            if ias.iter().any(|ia| ia.kind == kind) {
                found.place(kind, &Holders::new(context, link, shard, key, kind), ias);
            }
        }
        found
    }

    fn place(&mut self, kind: IaKind, holders: &Holders<'_>, ias: &[Ia<'_>]) {
        let of_kind = || ias.iter().filter(|ia| ia.kind == kind).map(|ia| ia.iaid);
        let mut free = [true; SUBSCRIBER_IAS_MAX as usize];
        let owned = |iaid| holders.owned_by(self.client, iaid);
        for at in of_kind().filter_map(owned) {
            free[at] = false;
        }
        for iaid in of_kind() {
            if self.ias.iter().any(|ia| ia.kind == kind && ia.iaid == iaid) {
                continue;
            }
            let place = match holders.owned_by(self.client, iaid) {
                Some(at) => Place::Own(number(at)),
                None => holders.claim(self.client, &mut free),
            };
            self.ias.push(KeyedIa { kind, iaid, place });
        }
    }

    /// Which of the subscriber's IAs an IA of the message is.
    pub(crate) fn place_of(&self, kind: IaKind, iaid: Iaid) -> Place {
        let found = self
            .ias
            .iter()
            .find(|ia| ia.kind == kind && ia.iaid == iaid);
        found.map_or(Place::Missing, |ia| ia.place)
    }

    /// What the bindings of an IA of the message are keyed by: those that the client has or would
    /// take over. Of one without a place there are none.
    pub(crate) fn key_of(&self, kind: IaKind, iaid: Iaid) -> IaKey<'m> {
        let number = match self.place_of(kind, iaid) {
            Place::Own(number) | Place::Vacant(number) | Place::Others { number, .. } => number,
            Place::Missing => NO_NUMBER,
        };
        self.key_of_number(kind, number)
    }

    /// What the bindings of an IA of the message are keyed by, if the client has them.
    pub(crate) fn own_key_of(&self, kind: IaKind, iaid: Iaid) -> IaKey<'m> {
        match self.place_of(kind, iaid) {
            Place::Own(number) => self.key_of_number(kind, number),
            _ => self.key_of_number(kind, NO_NUMBER),
        }
    }

    /// As a binding names the subscriber's IA that an IA of the message is.
    pub(crate) fn ia_of(&self, kind: IaKind, iaid: Iaid) -> SubscriberIa<'m> {
        self.ia(self.key_of(kind, iaid).iaid)
    }

    /// As a binding names the subscriber's IA of this number.
    pub(crate) fn ia(&self, number: Iaid) -> SubscriberIa<'m> {
        SubscriberIa {
            key: self.key,
            number,
        }
    }

    fn key_of_number(&self, kind: IaKind, number: Iaid) -> IaKey<'m> {
        IaKey {
            duid: self.key,
            kind,
            iaid: number,
        }
    }
}

/// Who has the subscriber's IAs of one kind, by their number.
struct Holders<'s> {
    by_number: ArrayVec<Option<Holder<'s>>, { SUBSCRIBER_IAS_MAX as usize }>,
}

struct Holder<'s> {
    duid: Duid<'s>,
    iaid: Iaid,
    lately: bool,
}

impl<'s> Holders<'s> {
    fn new(
        context: &Context<'_>,
        link: &Link,
        shard: &'s Shard,
        key: Duid<'_>,
        kind: IaKind,
    ) -> Self {
        let count = link.clients.subscriber_ias.clamp(1, SUBSCRIBER_IAS_MAX);
        let by_number = (0..usize::from(count)).map(|at| {
            let key = IaKey {
                duid: key,
                kind,
                iaid: number(at),
            };
            let records = shard.leases_of(&key).map(|(_, record)| record);
            let held = records.filter(|r| is_active(r) && link.shares_network(r.link));
            held.max_by_key(last_heard).map(|record| Holder {
                duid: record.duid,
                iaid: record.iaid,
                lately: last_heard(&record).plus(link.clients.takeover_after_secs) > context.now,
            })
        });
        Self {
            by_number: by_number.collect(),
        }
    }

    fn owned_by(&self, client: Duid<'_>, iaid: Iaid) -> Option<usize> {
        let mut holders = self.by_number.iter();
        holders.position(|holder| {
            let holder = holder.as_ref();
            holder.is_some_and(|holder| holder.duid == client && holder.iaid == iaid)
        })
    }

    /// The first place that is free in this message and that the client has not for another IA of
    /// its own. Where a subscriber has a single one, that is it in any case: the client is the same
    /// device with new IAIDs.
    fn claim(&self, client: Duid<'_>, free: &mut [bool]) -> Place {
        let is_single = self.by_number.len() == 1;
        for ((at, holder), free) in self.by_number.iter().enumerate().zip(free) {
            let is_own = |holder: &Holder<'_>| holder.duid == client;
            if !*free || !is_single && holder.as_ref().is_some_and(is_own) {
                continue;
            }
            *free = false;
            let number = number(at);
            return match holder {
                None => Place::Vacant(number),
                Some(holder) => Place::Others {
                    number,
                    lately: holder.lately && !is_own(holder),
                },
            };
        }
        Place::Missing
    }
}

fn number(at: usize) -> Iaid {
    Iaid(at as u32)
}

/// When either server last heard the client.
fn last_heard(record: &BindingRecord<'_>) -> lease::AbsTime {
    record.cltt.max(record.partner.partner_raw_cltt)
}
