//! What the server serves: links, pools, reservations, options, lifetimes.
//!
//! A [`Model`] is immutable but for its pools' atomic positions and is shared by all workers. It
//! knows nothing of files: the config's reader fills a [`ModelBuilder`].

mod builder;
mod class;
mod options;
mod partner;
mod prefix_table;
mod reservation;
#[cfg(test)]
mod tests;

pub use self::builder::{LinkSpec, ModelBuilder, ModelError, PoolConfig};
use self::class::Classes;
pub use self::class::{
    AttributeValue, CLASSES_MAX, ClassMatch, ClassSet, ClassSpec, Membership, Pattern,
};
pub(crate) use self::options::{EncodedOptions, OptionScopes};
pub use self::options::{OptionError, OptionValue, OptionValues, is_configurable};
use self::prefix_table::{PrefixTable, covers};
pub(crate) use self::reservation::Reservation;
pub use self::reservation::{
    Clash, ClashOver, KEY_LEN_MAX, KeyKind, RESERVED_MAX, ReservationChanges, ReservationError,
    ReservationKey, ReservationTable, ReservationTableBuilder, ReservationTerms, ReservedLease,
    TERMS_MAX,
};
use self::reservation::{OnLink, Reservations, span};
use crate::ingress::{InterfaceId, Parsed};
use crate::lifetime::Lifetimes;
use crate::reconfigure::Rkap;
use crate::subscriber::Clients;
use arrayvec::ArrayVec;
use lease::{Lease, Leeway, LinkKey, Pool, Role};
use std::collections::HashMap;
use std::sync::Arc;
use wire::{ClientKey, Duid, IaKind, OptionCode};

/// Everything the engine needs to know of the configuration.
#[derive(Debug)]
pub struct Model {
    pub(crate) server_duid: Box<[u8]>,
    pub(crate) preference: u8,
    pub(crate) rapid_commit: bool,
    pub(crate) bind_on_renew: bool,
    pub(crate) quarantine_secs: u32,
    pub(crate) declines_per_client: u32,
    pub(crate) relay_supplied: Box<[OptionCode]>,
    /// Whether any pool excludes a prefix from what it delegates.
    pub(crate) excludes: bool,
    classes: Classes,
    links: Vec<Link>,
    /// By [`LinkKey`].
    keys: HashMap<u64, LinkId>,
    /// By [`InterfaceId`].
    interfaces: Vec<Option<LinkId>>,
    relayed: PrefixTable<LinkId>,
    pools: Vec<ServedPool>,
    /// First and last address of each pool, ascending, disjoint.
    ranges: Vec<(u128, u128, PoolId)>,
    reservations: Arc<Reservations>,
    /// The model before had the same reservations, so their holders are counted already.
    reservations_inherited: bool,
    /// That of the first link that has one.
    relationship: Option<Relationship>,
    /// `None`: no client is told that it may be sent Reconfigure messages.
    pub(crate) rkap: Option<Arc<Rkap>>,
    /// Whether any link tells its clients apart by a relay's word.
    pub(crate) has_subscribers: bool,
}

/// Position of a link in [`Model::links`]; valid for the model that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkId(u32);

/// Position of a pool in [`Model::pools`]; valid for the model that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolId(u32);

/// A link: where clients are, and what they get there (RFC 9915 §4.1, §13.1).
#[derive(Debug)]
pub struct Link {
    name: Box<str>,
    key: LinkKey,
    link_addresses: Box<[Lease]>,
    /// Its own pools, then those of the links that share its network, in the order tried.
    address_pools: Box<[PoolId]>,
    prefix_pools: Box<[PoolId]>,
    /// Groups of pools that it draws from, of addresses and of prefixes; at least 1.
    groups: [u8; 2],
    /// The other links of its shared network.
    siblings: Box<[Sibling]>,
    /// The link-addresses of the whole shared network.
    on_link: Box<[Lease]>,
    reserved: OnLink,
    lifetimes: Lifetimes,
    options: Arc<EncodedOptions>,
    relationship: Option<Relationship>,
    /// What failover lets us do before the endpoint has said anything.
    leeway: Leeway,
    pub(crate) clients: Clients,
}

/// A failover relationship as a link belongs to it (RFC 8156 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relationship {
    /// Its position among the configured relationships.
    pub index: u16,
    /// This server's role in it.
    pub role: Role,
    /// Maximum client lead time as configured, seconds: what counts until the endpoint has said
    /// more.
    pub mclt_secs: u32,
}

/// Another link of a shared network.
#[derive(Clone, Copy, Debug)]
struct Sibling {
    id: LinkId,
    key: LinkKey,
}

/// A pool with the link it serves and what its leases come with.
#[derive(Debug)]
pub struct ServedPool {
    pub(crate) pool: Arc<Pool>,
    /// The model before served the same pool: what is bound in it is known already.
    pub(crate) inherited: bool,
    pub(crate) link: LinkId,
    pub(crate) link_key: LinkKey,
    pub(crate) lifetimes: Lifetimes,
    /// Of the groups that its link draws from: an IA gets one lease from each.
    pub(crate) group: u8,
    /// Whose clients draw from it; empty: all clients of the link.
    pub(crate) classes: ClassSet,
    /// What the pool says besides its link; `None`: nothing.
    pub(crate) options: Option<EncodedOptions>,
    excluded_len: Option<u8>,
}

/// The data of a Prefix Exclude option: at most 17 octets (RFC 6603 §4.2).
pub(crate) type ExcludedPrefix = ArrayVec<u8, 17>;

/// A lease that is reserved for who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reserved<'m> {
    pub(crate) reservation: Reservation<'m>,
    /// What who has it is promised.
    pub(crate) lifetimes: Lifetimes,
}

impl Model {
    /// All links, in the order of the configuration.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// All pools: link by link, each link's in the order in which they are tried.
    pub fn pools(&self) -> &[ServedPool] {
        &self.pools
    }

    /// Whether any link has a failover partner.
    pub fn has_relationships(&self) -> bool {
        self.relationship.is_some()
    }

    /// What each relationship lets us do before its endpoint has said anything, by
    /// [`Relationship::index`].
    pub fn leeways_at_startup(&self) -> Vec<Leeway> {
        let of_links = self.links.iter();
        let known = of_links.filter_map(|link| Some((link.relationship?.index, link.leeway)));
        let count = known.clone().map(|(index, _)| usize::from(index) + 1).max();
        // One without links keeps nobody from anything.
        let mut leeways = vec![Leeway::ALONE; count.unwrap_or(0)];
        for (index, leeway) in known {
            leeways[usize::from(index)] = leeway;
        }
        leeways
    }

    /// The same model, which gives clients that accept Reconfigure messages their keys, if there is
    /// something to make keys of.
    #[must_use]
    pub fn with_rkap(self, rkap: Option<Arc<Rkap>>) -> Self {
        Self { rkap, ..self }
    }

    /// Whether clients that accept Reconfigure messages are given keys.
    pub fn gives_keys(&self) -> bool {
        self.rkap.is_some()
    }

    /// The key of a client (RFC 9915 §20.4.2); `None` if none are given.
    pub fn reconfigure_key(&self, duid: Duid<'_>) -> Option<[u8; 16]> {
        let rkap = self.rkap.as_ref()?;
        Some(*rkap.key_of(duid).octets())
    }

    /// The interface on whose link the clients of a link are, if it is not behind relays only.
    pub fn interface_of(&self, link: LinkKey) -> Option<InterfaceId> {
        let of_link = |id: &Option<LinkId>| id.is_some_and(|id| self.link(id).shares_network(link));
        let place = self.interfaces.iter().position(of_link)?;
        u16::try_from(place).ok().map(InterfaceId)
    }

    /// The server's own DUID.
    pub fn server_duid(&self) -> &[u8] {
        &self.server_duid
    }

    /// The link with this key, as bindings record it; `None` if it is no longer configured.
    pub fn link_by_key(&self, key: LinkKey) -> Option<&Link> {
        self.keys.get(&key.0).map(|id| self.link(*id))
    }

    /// The pool that `lease` is drawn from; `None` if none is configured.
    pub fn pool_of(&self, lease: Lease) -> Option<&ServedPool> {
        let after = self
            .ranges
            .partition_point(|(first, ..)| *first <= lease.addr);
        let (_, last, id) = *self.ranges.get(after.checked_sub(1)?)?;
        let served = self.pool(id);
        (lease.addr <= last && served.pool.contains(lease)).then_some(served)
    }

    /// Gives back to its pool, or to the client it is reserved for, a lease that nobody holds any
    /// more: once for each [`BindingDelta::Remove`](lease::BindingDelta::Remove), when its record
    /// is on disk and not before. A lease of no pool is left alone.
    ///
    /// The engine never does so itself: if another client were given the lease earlier, and that
    /// were committed earlier, a crash in between would leave two bindings for it.
    pub fn release(&self, lease: Lease) {
        if !self.reservations.is_empty() {
            self.reservations.release(lease);
        }
        for served in self.pools_touching(lease) {
            served.pool.release(lease);
        }
    }

    /// The pools in whose range the lease lies, wholly or in part.
    pub(crate) fn pools_touching(&self, lease: Lease) -> impl Iterator<Item = &ServedPool> {
        let (first, last) = span(lease);
        let from = self.ranges.partition_point(|(_, end, _)| *end < first);
        let reached = self.ranges[from..].iter();
        reached
            .take_while(move |(begin, ..)| *begin <= last)
            .map(|(_, _, id)| self.pool(*id))
    }

    /// The pools that clients of a link draw from, addresses first, each kind in the order tried.
    pub fn pools_of(&self, link: &Link) -> impl Iterator<Item = &ServedPool> {
        let ids = link.address_pools.iter().chain(&link.prefix_pools);
        ids.map(|id| self.pool(*id))
    }

    /// The link of a message's client.
    pub fn link_of(&self, parsed: &Parsed<'_>) -> Option<&Link> {
        parsed.link(self).map(|id| self.link(id))
    }

    /// The link that a lease belongs to by where it lies: that of its pool or, for an address, the
    /// one with the longest link-address prefix around it.
    pub fn link_of_lease(&self, lease: Lease) -> Option<&Link> {
        let id = match self.pool_of(lease) {
            Some(served) => Some(served.link),
            None if lease.len == 128 => self.link_of_address(lease.addr),
            None => None,
        };
        id.map(|id| self.link(id))
    }

    /// Whether nobody holds any of what is reserved there but the client it is reserved for.
    pub(crate) fn is_clear(&self, lease: Lease) -> bool {
        self.reservations.are_clear(lease)
    }

    pub(crate) fn reservations(&self) -> &Reservations {
        &self.reservations
    }

    /// Whether the holders of reservations are those that the model before counted.
    pub(crate) fn reservations_are_inherited(&self) -> bool {
        self.reservations_inherited
    }

    /// Whether a model made of another one knows all that is bound from the start: every pool and
    /// reservation is the other's, or there is a pool less.
    pub fn needs_no_walk(&self) -> bool {
        self.reservations_inherited && self.pools.iter().all(|served| served.inherited)
    }

    /// The link that the interface serves clients on directly.
    pub(crate) fn link_of_interface(&self, interface: InterfaceId) -> Option<LinkId> {
        *self.interfaces.get(usize::from(interface.0))?
    }

    /// The link that a relay's link-address lies on: the longest configured prefix around it.
    pub(crate) fn link_of_address(&self, link_address: u128) -> Option<LinkId> {
        self.relayed.longest_match(link_address)
    }

    pub(crate) fn link(&self, id: LinkId) -> &Link {
        &self.links[id.0 as usize]
    }

    pub(crate) fn pool(&self, id: PoolId) -> &ServedPool {
        &self.pools[id.0 as usize]
    }

    /// The first that is reserved for the client of a message on this link or another one of its shared network.
    #[inline]
    pub(crate) fn reservation(
        &self,
        link: &Link,
        parsed: &Parsed<'_>,
        kind: IaKind,
    ) -> Option<Reserved<'_>> {
        if self.reservations.is_empty() {
            return None;
        }
        let siblings = link.siblings.iter().map(|sibling| self.link(sibling.id));
        core::iter::once(link).chain(siblings).find_map(|link| {
            let reservation = self.reservations.find(link.reserved, parsed, kind)?;
            Some(Reserved {
                reservation,
                lifetimes: reservation.lifetimes.unwrap_or(link.lifetimes),
            })
        })
    }

    /// All that is reserved for it by the same identity, in the order of the configuration.
    pub(crate) fn reserved_for(
        &self,
        link: &Link,
        parsed: &Parsed<'_>,
        kind: IaKind,
    ) -> impl Iterator<Item = Reserved<'_>> {
        let first = self.reservation(link, parsed, kind);
        core::iter::successors(first, |before| {
            let reservation = self.reservations.next(&before.reservation)?;
            Some(Reserved {
                reservation,
                ..*before
            })
        })
    }

    /// How many reserved leases are held, wholly or in part, by a client whose DUID they are not
    /// reserved by.
    pub fn reservations_held(&self) -> usize {
        self.reservations.held()
    }

    /// Everything that is reserved.
    pub fn reservation_table(&self) -> &Arc<ReservationTable> {
        self.reservations.table()
    }

    /// Whether the address or prefix belongs on the link: it lies in one of the link's prefixes
    /// or is one of its pools' or its clients' own. RFC 9915 §18.3.2 "appropriate for the link".
    pub(crate) fn is_on_link(&self, link: &Link, parsed: &Parsed<'_>, lease: Lease) -> bool {
        let kind = if lease.len == 128 {
            IaKind::Na
        } else {
            IaKind::Pd
        };
        let in_prefix = kind == IaKind::Na && link.on_link.iter().any(|p| covers(*p, lease.addr));
        in_prefix
            || link
                .pools(kind)
                .iter()
                .any(|id| self.pool(*id).pool.contains(lease))
            || self
                .reserved_for(link, parsed, kind)
                .any(|reserved| reserved.reservation.lease == lease)
    }
}

impl Link {
    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands for the link in stored bindings.
    pub fn key(&self) -> LinkKey {
        self.key
    }

    /// The failover relationship it belongs to.
    pub fn relationship(&self) -> Option<Relationship> {
        self.relationship
    }

    /// What its relationship lets us do, of what the endpoints have published; before they have,
    /// nothing. A link of no relationship is [`Leeway::ALONE`].
    pub fn leeway<'l>(&'l self, published: &'l [Leeway]) -> &'l Leeway {
        let index = self.relationship.map(|relationship| relationship.index);
        index
            .and_then(|index| published.get(usize::from(index)))
            .unwrap_or(&self.leeway)
    }

    /// What it tells its clients apart by.
    pub fn client_key(&self) -> ClientKey {
        self.clients.key
    }

    /// The prefixes in which a relay's link-address means this link.
    pub fn link_addresses(&self) -> &[Lease] {
        &self.link_addresses
    }

    /// Whether a binding made on the link with this key belongs to clients of this one: it is the
    /// same or shares its network.
    pub(crate) fn shares_network(&self, key: LinkKey) -> bool {
        self.key == key || self.siblings.iter().any(|sibling| sibling.key == key)
    }

    /// How many groups of pools of this kind the link draws from; at least 1.
    pub(crate) fn groups(&self, kind: IaKind) -> u8 {
        match kind {
            IaKind::Na => self.groups[0],
            IaKind::Pd => self.groups[1],
        }
    }

    pub(crate) fn pools(&self, kind: IaKind) -> &[PoolId] {
        match kind {
            IaKind::Na => &self.address_pools,
            IaKind::Pd => &self.prefix_pools,
        }
    }

    /// Whether enough is known to tell an address of this link from one of another.
    pub(crate) fn can_judge_addresses(&self) -> bool {
        !self.on_link.is_empty() || !self.address_pools.is_empty()
    }

    pub(crate) fn options(&self) -> &EncodedOptions {
        &self.options
    }
}

impl ServedPool {
    /// The pool itself.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The link whose clients it serves.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The classes whose clients draw from it; empty: all clients of the link.
    pub fn classes(&self) -> ClassSet {
        self.classes
    }

    /// The lifetimes of its leases.
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// What a Prefix Exclude option says of a prefix of this pool: the first prefix of the
    /// configured length inside it, so that all bits of the subnet-id are 0 (RFC 6603 §4.2).
    pub(crate) fn excluded(&self, prefix: Lease) -> Option<ExcludedPrefix> {
        let len = self.excluded_len?;
        let subnet_bits = len.checked_sub(prefix.len).filter(|bits| *bits > 0)?;
        let mut data = ExcludedPrefix::new();
        data.push(len);
        data.extend(core::iter::repeat_n(
            0,
            usize::from(subnet_bits).div_ceil(8),
        ));
        Some(data)
    }
}

impl LinkId {
    /// Position in [`Model::links`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
