//! All reservations in as few octets as they take, found by lease and by key.

use super::key::{KeyKind, KeyKinds, ReservationKey};
use super::span;
use crate::lifetime::Lifetimes;
use crate::model::options::{EncodedOptions, OptionValues};
use core::hash::{BuildHasher, Hasher};
use foldhash::fast::FixedState;
use hashbrown::{HashTable, hash_table};
use lease::{Lease, LinkKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wire::IaKind;

/// What is reserved for whom, on all links: immutable, made by a
/// [`ReservationTableBuilder`](super::ReservationTableBuilder).
///
/// A reservation takes 32 octets, some 7 in the index, and its key with one octet before it; address
/// and prefix of one client share the key.
#[derive(Debug, Default)]
pub struct ReservationTable {
    /// In the order of their leases, which do not overlap.
    pub(super) entries: Box<[Entry]>,
    /// Each key's octets behind their number.
    pub(super) keys: Box<[u8]>,
    pub(super) links: Vec<ReservedLink>,
    /// Those that reservations have, each once.
    pub(super) terms: Vec<Terms>,
    /// Whether any of them says something of options.
    pub(super) has_options: bool,
    /// Positions in `entries` by link, key, kind of lease and rank.
    pub(super) index: HashTable<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) addr: u128,
    /// Where its key begins.
    pub(super) key_at: u32,
    /// Position of its link.
    pub(super) link: u32,
    /// Where it was configured, in the words of who did.
    pub(super) source: u32,
    /// Position of its terms, or [`NO_TERMS`].
    pub(super) terms: u16,
    pub(super) len: u8,
    pub(super) place: Place,
}

/// Most addresses, and most prefixes, that one reservation keeps.
pub const RESERVED_MAX: usize = 1 << Place::RANK_BITS;

/// The kind of an entry's key, its rank among the addresses or among the prefixes of its reservation,
/// and whether there is one after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u8);

impl Place {
    const KIND_BITS: u32 = 3;
    const RANK_BITS: u32 = 3;
    const MORE: u8 = 1 << 7;

    /// `None`: more than [`RESERVED_MAX`].
    pub(super) fn new(kind: KeyKind, rank: usize) -> Option<Self> {
        (rank < RESERVED_MAX).then_some(Self((rank as u8) << Self::KIND_BITS | kind as u8))
    }

    pub(super) fn kind(self) -> KeyKind {
        KeyKind::ALL[usize::from(self.0 & ((1 << Self::KIND_BITS) - 1))]
    }

    pub(super) fn rank(self) -> u8 {
        (self.0 & !Self::MORE) >> Self::KIND_BITS
    }

    fn has_more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    pub(super) fn say_more(&mut self) {
        self.0 |= Self::MORE;
    }
}

/// The link's are meant.
pub(super) const NO_TERMS: u16 = u16::MAX;

/// What a reservation says besides its lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ReservationTerms {
    /// Its own lifetimes; `None`: those of the link.
    pub lifetimes: Option<Lifetimes>,
    /// Overrides the options of the client's classes, of pools and of the link, each by itself.
    pub options: OptionValues,
}

/// What some reservations say, ready for the packet path.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) said: ReservationTerms,
    pub(super) options: Option<EncodedOptions>,
}

impl ReservationTerms {
    /// Nothing.
    pub const NONE: Self = Self {
        lifetimes: None,
        options: OptionValues::NONE,
    };
}

/// A link that has reservations.
#[derive(Debug)]
pub(super) struct ReservedLink {
    pub(super) name: Box<str>,
    pub(super) key: LinkKey,
    pub(super) kinds: KeyKinds,
}

/// Where to look up a link's reservations, and by which kinds of keys; the default: it has none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnLink {
    link: u32,
    kinds: KeyKinds,
}

impl OnLink {
    /// By which kinds of keys something is reserved there.
    pub(crate) fn kinds(self) -> KeyKinds {
        self.kinds
    }
}

/// One reservation as it was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedLease<'t> {
    /// The link's name.
    pub link: &'t str,
    /// Whose it is.
    pub key: ReservationKey<'t>,
    /// The address or delegated prefix.
    pub lease: Lease,
    /// How many addresses, or prefixes, of the same reservation stand before it.
    pub rank: u8,
    /// What it says besides.
    pub terms: &'t ReservationTerms,
}

/// How the reservations of a link differ between two tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReservationChanges {
    /// Leases that were not reserved.
    pub added: usize,
    /// Leases that are reserved no more.
    pub removed: usize,
    /// Leases that are reserved by another key or in another place, or with other lifetimes or
    /// options.
    pub changed: usize,
}

impl Entry {
    pub(super) fn lease(&self) -> Lease {
        Lease {
            addr: self.addr,
            len: self.len,
        }
    }
}

/// Equal tables reserve the same leases for the same keys with the same lifetimes and options, from
/// wherever.
impl PartialEq for ReservationTable {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl ReservationTable {
    /// How many leases are reserved.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is reserved.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All reservations in the order of their leases.
    pub fn iter(&self) -> impl Iterator<Item = ReservedLease<'_>> {
        self.entries.iter().map(|entry| self.shown(entry))
    }

    /// The reservation of exactly this lease.
    pub fn of_lease(&self, lease: Lease) -> Option<ReservedLease<'_>> {
        self.exact(lease)
            .map(|at| self.shown(&self.entries[at as usize]))
    }

    /// Octets of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.entries) + self.keys.len() + self.index.allocation_size()
    }

    /// What is not as in `before`, by the names of the links.
    pub fn changes_since<'t>(&'t self, before: &'t Self) -> BTreeMap<&'t str, ReservationChanges> {
        let mut changes: BTreeMap<&str, ReservationChanges> = BTreeMap::new();
        let (mut old, mut new) = (before.iter().peekable(), self.iter().peekable());
        loop {
            let next = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => core::cmp::Ordering::Less,
                (None, Some(_)) => core::cmp::Ordering::Greater,
                (Some(old), Some(new)) => old.lease.cmp(&new.lease),
            };
            let gone = old.next_if(|_| next.is_le());
            let come = new.next_if(|_| next.is_ge());
            match (gone, come) {
                (Some(old), Some(new)) if old.link == new.link => {
                    if old != new {
                        changes.entry(new.link).or_default().changed += 1;
                    }
                }
                (gone, come) => {
                    if let Some(old) = gone {
                        changes.entry(old.link).or_default().removed += 1;
                    }
                    if let Some(new) = come {
                        changes.entry(new.link).or_default().added += 1;
                    }
                }
            }
        }
    }

    /// The names of the links that have reservations.
    pub fn links(&self) -> BTreeSet<&str> {
        self.links.iter().map(|link| &*link.name).collect()
    }

    /// Where to look up the reservations of each link that has some.
    pub(crate) fn by_link(&self) -> HashMap<&str, OnLink> {
        let links = (0..).zip(&self.links);
        let on = |(link, reserved): (u32, &ReservedLink)| OnLink {
            link,
            kinds: reserved.kinds,
        };
        links.map(|entry| (&*entry.1.name, on(entry))).collect()
    }

    /// The leases in ascending order that share an address with `first..=last`.
    pub(crate) fn within(&self, first: u128, last: u128) -> impl Iterator<Item = Lease> {
        self.touching(first, last)
            .map(|at| self.entries[at as usize].lease())
    }

    /// The first that is reserved there for this key.
    pub(super) fn find(&self, on: OnLink, key: ReservationKey<'_>, ia: IaKind) -> Option<u32> {
        self.position((on.link, key, ia, 0))
    }

    /// The one of the same reservation that comes after the one at this position.
    pub(super) fn next(&self, at: u32) -> Option<u32> {
        let entry = &self.entries[at as usize];
        if !entry.place.has_more() {
            return None;
        }
        let (link, key, ia, rank) = sought(&self.keys, entry);
        self.position((link, key, ia, rank + 1))
    }

    fn position(&self, wanted: Sought<'_>) -> Option<u32> {
        let is_it = |at: &u32| sought(&self.keys, &self.entries[*at as usize]) == wanted;
        self.index.find(hash(wanted), is_it).copied()
    }

    /// The position of the reservation of exactly this lease.
    pub(super) fn exact(&self, lease: Lease) -> Option<u32> {
        let found = self.entries.binary_search_by_key(&lease, Entry::lease).ok();
        found.map(|at| at as u32)
    }

    /// The positions of those that share an address with `lease`.
    pub(super) fn overlapping(&self, lease: Lease) -> impl Iterator<Item = u32> {
        let (first, last) = span(lease);
        self.touching(first, last)
    }

    fn touching(&self, first: u128, last: u128) -> impl Iterator<Item = u32> {
        let from = self
            .entries
            .partition_point(|entry| span(entry.lease()).1 < first);
        let reached = self.entries[from..].iter();
        let reached = reached.take_while(move |entry| entry.addr <= last);
        (from as u32..).zip(reached).map(|(at, _)| at)
    }

    pub(super) fn key(&self, entry: &Entry) -> ReservationKey<'_> {
        key_of(&self.keys, entry)
    }

    pub(super) fn terms(&self, entry: &Entry) -> Option<&Terms> {
        self.terms.get(usize::from(entry.terms))
    }

    pub(super) fn link_key(&self, entry: &Entry) -> LinkKey {
        self.links[entry.link as usize].key
    }

    fn shown(&self, entry: &Entry) -> ReservedLease<'_> {
        ReservedLease {
            link: &self.links[entry.link as usize].name,
            key: self.key(entry),
            lease: entry.lease(),
            rank: entry.place.rank(),
            terms: (self.terms(entry)).map_or(&NOTHING_SAID, |terms| &terms.said),
        }
    }

    /// Enters the entry at `at` into the index; the one that has its place already.
    pub(super) fn enter(&mut self, at: u32) -> Option<u32> {
        let (entries, keys) = (&self.entries, &self.keys);
        let sought = |at: u32| sought(keys, &entries[at as usize]);
        let wanted = sought(at);
        let place = self.index.entry(
            hash(wanted),
            |other| sought(*other) == wanted,
            |other| hash(sought(*other)),
        );
        match place {
            hash_table::Entry::Occupied(other) => return Some(*other.get()),
            hash_table::Entry::Vacant(place) => place.insert(at),
        };
        let entry = &self.entries[at as usize];
        self.links[entry.link as usize]
            .kinds
            .add(entry.place.kind());
        None
    }
}

static NOTHING_SAID: ReservationTerms = ReservationTerms::NONE;

/// What a reserved lease is found by: link, key, kind of lease and rank.
type Sought<'k> = (u32, ReservationKey<'k>, IaKind, u8);

/// The keys of a table are the operator's: nobody outside can drive it into one chain.
fn hash((link, key, ia, rank): Sought<'_>) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write_u32(link);
    hasher.write_u32(u32::from_be_bytes([0, rank, key.kind() as u8, ia as u8]));
    if let Some(enterprise) = key.enterprise() {
        hasher.write_u32(enterprise);
    }
    hasher.write(key.id());
    hasher.finish()
}

fn sought<'k>(keys: &'k [u8], entry: &Entry) -> Sought<'k> {
    let (key, ia) = (key_of(keys, entry), ia_of(entry.len));
    (entry.link, key, ia, entry.place.rank())
}

pub(super) fn ia_of(len: u8) -> IaKind {
    match len {
        128 => IaKind::Na,
        _ => IaKind::Pd,
    }
}

/// A key's octets stand behind one that says how many they are.
fn key_of<'k>(keys: &'k [u8], entry: &Entry) -> ReservationKey<'k> {
    let at = entry.key_at as usize;
    let octets = &keys[at + 1..][..usize::from(keys[at])];
    ReservationKey::stored(entry.place.kind(), octets)
}
