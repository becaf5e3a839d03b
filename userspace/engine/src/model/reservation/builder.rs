//! Collects reservations and makes a table of them.

use super::key::ReservationKey;
use super::span;
use super::table::{
    Entry, NO_TERMS, Place, RESERVED_MAX, ReservationTable, ReservationTerms, ReservedLink, Terms,
    ia_of,
};
use crate::model::builder::link_key;
use crate::model::options::OptionError;
use hashbrown::HashTable;
use lease::Lease;
use std::collections::HashMap;
use thiserror::Error;

/// Most leases that one table reserves.
const ENTRIES_MAX: usize = 1 << 26;

/// Most combinations of lifetimes and options in one table; any number of reservations share one.
pub const TERMS_MAX: usize = NO_TERMS as usize;

/// Collects reservations one by one, in any order; takes no more memory for each than the table.
#[derive(Debug, Default)]
pub struct ReservationTableBuilder {
    entries: Vec<Entry>,
    keys: Vec<u8>,
    links: Vec<ReservedLink>,
    names: HashMap<Box<str>, u32>,
    terms: Vec<Terms>,
    known_terms: HashMap<ReservationTerms, u16>,
}

/// Why something cannot be reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReservationError {
    /// No message can show this key: it is empty, or no DUID is so long, or it is longer than
    /// [`KEY_LEN_MAX`](super::KEY_LEN_MAX).
    #[error("the key is empty or too long, or is none that a DUID can be")]
    Key,
    /// Bits are set behind the lease's length, or it has none.
    #[error("{0} is neither an address nor a prefix")]
    Lease(Lease),
    /// A valid lifetime of 0, or one that is shorter than the preferred one.
    #[error("the valid lifetime must not be 0 nor shorter than the preferred one")]
    Lifetimes,
    /// An option's value cannot be sent.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// More leases or octets of keys than a table can hold.
    #[error("there are too many reservations")]
    TooMany,
    /// More addresses or prefixes than [`RESERVED_MAX`].
    #[error("one reservation keeps at most {RESERVED_MAX} addresses and {RESERVED_MAX} prefixes")]
    TooManyOfOne,
    /// More than [`TERMS_MAX`] combinations.
    #[error("there are more than {TERMS_MAX} combinations of lifetimes and options")]
    TooManyTerms,
}

/// Two reservations that cannot stand beside each other, by where they were configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    /// What both want.
    pub over: ClashOver,
    /// One of the two: its source and lease.
    pub first: (u32, Lease),
    /// The other one, whose source is not smaller.
    pub second: (u32, Lease),
}

/// What two reservations both want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClashOver {
    /// Addresses: their leases overlap.
    Lease,
    /// The client: both are an address, or both a prefix, for one key on one link.
    Key,
}

impl ReservationTable {
    /// A table to be filled.
    pub fn builder() -> ReservationTableBuilder {
        ReservationTableBuilder::default()
    }
}

impl ReservationTableBuilder {
    /// Reserves an address or a prefix on the link of this name. `source` says in the caller's words
    /// where that was configured, for a [`Clash`]: what is pushed next to each other from one source, on one
    /// link and for one key is one reservation, whose addresses and whose prefixes keep their order.
    ///
    /// # Errors
    /// [`ReservationError`].
    pub fn push(
        &mut self,
        source: u32,
        link: &str,
        key: ReservationKey<'_>,
        lease: Lease,
        terms: &ReservationTerms,
    ) -> Result<(), ReservationError> {
        if !key.is_possible() {
            return Err(ReservationError::Key);
        }
        if lease.len == 0 || lease.len > 128 || span(lease).0 != lease.addr {
            return Err(ReservationError::Lease(lease));
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(ReservationError::TooMany);
        }
        let mut entry = Entry {
            addr: lease.addr,
            len: lease.len,
            source,
            place: Place::new(key.kind(), 0).ok_or(ReservationError::TooManyOfOne)?,
            key_at: self.key(key)?,
            link: self.link(link),
            terms: self.terms(terms)?,
        };
        if let Some(before) = self.before_in_reservation(&entry) {
            let rank = usize::from(before.place.rank()) + 1;
            entry.place = Place::new(key.kind(), rank).ok_or(ReservationError::TooManyOfOne)?;
            before.place.say_more();
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The address or prefix that was pushed before this one for the same reservation.
    fn before_in_reservation(&mut self, entry: &Entry) -> Option<&mut Entry> {
        let place = |entry: &Entry| (entry.source, entry.link, entry.key_at, entry.place.kind());
        let ia = ia_of(entry.len);
        let pushed = self.entries.iter_mut().rev();
        pushed
            .take_while(|before| place(before) == place(entry))
            .find(|before| ia_of(before.len) == ia)
    }

    /// How many leases were pushed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none was pushed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The table.
    ///
    /// # Errors
    /// All reservations that cannot stand beside another one, up to `clashes_max`.
    pub fn finish(mut self, clashes_max: usize) -> Result<ReservationTable, Vec<Clash>> {
        self.entries
            .sort_unstable_by_key(|entry| (entry.addr, entry.len, entry.source));
        let mut clashes = Vec::new();
        let mut furthest: Option<&Entry> = None;
        for entry in &self.entries {
            if let Some(before) = furthest.filter(|before| span(before.lease()).1 >= entry.addr)
                && clashes.len() < clashes_max
            {
                clashes.push(clash(ClashOver::Lease, before, entry));
            }
            let (_, last) = span(entry.lease());
            if furthest.is_none_or(|before| span(before.lease()).1 < last) {
                furthest = Some(entry);
            }
        }
        let count = self.entries.len();
        let mut table = ReservationTable {
            entries: self.entries.into_boxed_slice(),
            keys: self.keys.into_boxed_slice(),
            links: self.links,
            has_options: self.terms.iter().any(|terms| terms.options.is_some()),
            terms: self.terms,
            index: HashTable::with_capacity(count),
        };
        for at in 0..count as u32 {
            if let Some(other) = table.enter(at)
                && clashes.len() < clashes_max
            {
                let [one, other] = [at, other].map(|at| &table.entries[at as usize]);
                // The same lease twice is one fault, not two; two reservations are one as well.
                if one.lease() != other.lease() && one.place.rank() == 0 {
                    clashes.push(clash(ClashOver::Key, other, one));
                }
            }
        }
        if clashes.is_empty() {
            return Ok(table);
        }
        Err(clashes)
    }

    /// Where the key stands; that of the one before is found again.
    fn key(&mut self, key: ReservationKey<'_>) -> Result<u32, ReservationError> {
        let octets = key.octets().ok_or(ReservationError::Key)?;
        if let Some(last) = self.entries.last()
            && let Some((&len, rest)) = self.keys[last.key_at as usize..].split_first()
            && rest.get(..usize::from(len)) == Some(&octets[..])
        {
            return Ok(last.key_at);
        }
        let at = u32::try_from(self.keys.len()).map_err(|_| ReservationError::TooMany)?;
        self.keys.push(octets.len() as u8);
        self.keys.extend_from_slice(&octets);
        Ok(at)
    }

    fn link(&mut self, name: &str) -> u32 {
        if let Some(last) = self.entries.last()
            && *self.links[last.link as usize].name == *name
        {
            return last.link;
        }
        if let Some(&known) = self.names.get(name) {
            return known;
        }
        let at = self.links.len() as u32;
        self.names.insert(name.into(), at);
        self.links.push(ReservedLink {
            name: name.into(),
            key: link_key(name),
            kinds: Default::default(),
        });
        at
    }

    fn terms(&mut self, said: &ReservationTerms) -> Result<u16, ReservationError> {
        if *said == ReservationTerms::NONE {
            return Ok(NO_TERMS);
        }
        if let Some(&known) = self.known_terms.get(said) {
            return Ok(known);
        }
        if said.lifetimes.is_some_and(|said| !said.are_possible()) {
            return Err(ReservationError::Lifetimes);
        }
        if self.terms.len() == TERMS_MAX {
            return Err(ReservationError::TooManyTerms);
        }
        let encoded = said.options.encode()?;
        let at = self.terms.len() as u16;
        self.terms.push(Terms {
            said: said.clone(),
            options: (!said.options.is_empty()).then_some(encoded),
        });
        self.known_terms.insert(said.clone(), at);
        Ok(at)
    }
}

fn clash(over: ClashOver, one: &Entry, other: &Entry) -> Clash {
    let place = |entry: &Entry| (entry.source, entry.lease());
    let (first, second) = match one.source <= other.source {
        true => (one, other),
        false => (other, one),
    };
    Clash {
        over,
        first: place(first),
        second: place(second),
    }
}
