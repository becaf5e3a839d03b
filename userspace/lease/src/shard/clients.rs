//! Clients as bindings store them: usual DUIDs inside the binding, longer ones in cells beside, and
//! there too the key of a subscriber together with the DUID of the client that has the lease.
//!
//! A DUID-LL of an Ethernet has 10 octets, a DUID-LLT 14, a DUID-UUID 18 (RFC 9915 §11); only a
//! DUID-EN is ever longer than what fits inline.

use super::cells::Cells;
use crate::{BindingRecord, SubscriberIa};
use arrayvec::ArrayVec;
use wire::duid::DUID_LEN_MAX;
use wire::{Duid, Iaid};

/// Octets that fit into the binding itself.
const INLINE: usize = 22;
/// Stands for a length: there is a subscriber.
const SUBSCRIBER: u8 = u8::MAX;

const _: () = assert!(DUID_LEN_MAX < SUBSCRIBER as usize);

/// A client, or where it is; of no use without the [`Cells`] that it was stored with.
#[derive(Clone, Copy)]
pub(super) struct StoredClient {
    /// That of the DUID, or [`SUBSCRIBER`].
    len: u8,
    /// The DUID; or the index of its cell in the first four. With a subscriber: the cell of key and
    /// DUID (4), the client's IAID (4), the length of the key and that of the DUID (1 each).
    octets: [u8; INLINE],
}

impl StoredClient {
    pub(super) const NONE: Self = Self {
        len: 0,
        octets: [0; INLINE],
    };

    /// Stores the client of a record until [`remove`](Self::remove).
    pub(super) fn insert(record: &BindingRecord<'_>, cells: &mut Cells) -> Self {
        if let Some(subscriber) = record.subscriber {
            return Self::insert_subscriber(record, subscriber, cells);
        }
        let octets = record.duid.octets();
        let mut stored = Self {
            len: octets.len() as u8,
            octets: [0; INLINE],
        };
        if octets.len() <= INLINE {
            stored.octets[..octets.len()].copy_from_slice(octets);
        } else {
            stored.octets[..4].copy_from_slice(&cells.insert(octets).to_ne_bytes());
        }
        stored
    }

    fn insert_subscriber(
        record: &BindingRecord<'_>,
        subscriber: SubscriberIa<'_>,
        cells: &mut Cells,
    ) -> Self {
        let (key, duid) = (subscriber.key.octets(), record.duid.octets());
        let both = key.iter().chain(duid).copied();
        let both: ArrayVec<u8, { 2 * DUID_LEN_MAX }> = both.collect();
        let mut octets = [0; INLINE];
        octets[..4].copy_from_slice(&cells.insert(&both).to_ne_bytes());
        octets[4..8].copy_from_slice(&record.iaid.0.to_ne_bytes());
        octets[8..10].copy_from_slice(&[key.len() as u8, duid.len() as u8]);
        Self {
            len: SUBSCRIBER,
            octets,
        }
    }

    /// Frees what it took.
    pub(super) fn remove(self, cells: &mut Cells) {
        let len = match self.len {
            SUBSCRIBER => self.key_len() + self.duid_len(),
            len => usize::from(len),
        };
        if len > INLINE || self.is_subscriber() {
            cells.remove(len, self.cell());
        }
    }

    /// Whether there is a subscriber.
    pub(super) fn is_subscriber(self) -> bool {
        self.len == SUBSCRIBER
    }

    /// The octets that the binding is keyed by: the subscriber's, or else the client's DUID.
    #[inline]
    pub(super) fn key<'a>(&'a self, cells: &'a Cells) -> &'a [u8] {
        let len = usize::from(self.len);
        if len <= INLINE {
            &self.octets[..len]
        } else if self.len == SUBSCRIBER {
            &self.both(cells)[..self.key_len()]
        } else {
            cells.octets(len, self.cell())
        }
    }

    /// The client's DUID, its IAID and the subscriber; `iaid` is what the binding is keyed by.
    pub(super) fn read<'a>(
        &'a self,
        iaid: Iaid,
        cells: &'a Cells,
    ) -> Option<(Duid<'a>, Iaid, Option<SubscriberIa<'a>>)> {
        if !self.is_subscriber() {
            return Some((Duid::new(self.key(cells))?, iaid, None));
        }
        let (key, duid) = self.both(cells).split_at_checked(self.key_len())?;
        let [_, _, _, _, a, b, c, d, ..] = self.octets;
        let subscriber = SubscriberIa {
            key: Duid::new(key)?,
            number: iaid,
        };
        let iaid = Iaid(u32::from_ne_bytes([a, b, c, d]));
        Some((Duid::new(duid)?, iaid, Some(subscriber)))
    }

    /// Whether it is the client of `record`, which is of the same IA.
    #[inline]
    pub(super) fn is_of(&self, record: &BindingRecord<'_>, cells: &Cells) -> bool {
        if !self.is_subscriber() {
            return record.subscriber.is_none();
        }
        let number = record.ia().iaid;
        self.read(number, cells)
            .is_some_and(|(duid, iaid, _)| record.is_of_client(duid, iaid))
    }

    fn both<'a>(&self, cells: &'a Cells) -> &'a [u8] {
        cells.octets(self.key_len() + self.duid_len(), self.cell())
    }

    fn key_len(&self) -> usize {
        usize::from(self.octets[8])
    }

    fn duid_len(&self) -> usize {
        usize::from(self.octets[9])
    }

    fn cell(&self) -> u32 {
        let [a, b, c, d, ..] = self.octets;
        u32::from_ne_bytes([a, b, c, d])
    }
}
