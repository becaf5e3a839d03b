//! DUIDs as bindings store them: the usual ones inside the binding, longer ones in cells beside.
//!
//! A DUID-LL of an Ethernet has 10 octets, a DUID-LLT 14, a DUID-UUID 18 (RFC 9915 §11); only a
//! DUID-EN is ever longer than what fits inline.

use super::slab::{NIL, Slab, Slot};
use wire::Duid;
use wire::duid::DUID_LEN_MAX;

/// Octets that fit into the binding itself.
const INLINE: usize = 22;
const MEDIUM_MIN: usize = INLINE + 1;
/// Most DUID-ENs carry a serial number and fit into this.
const MEDIUM: usize = 48;

/// A DUID, or where it is; of no use without the [`Duids`] that made it.
#[derive(Clone, Copy)]
pub(super) struct StoredDuid {
    len: u8,
    /// The octets, or the index of a cell in the first four.
    octets: [u8; INLINE],
}

impl StoredDuid {
    pub(super) const NONE: Self = Self {
        len: 0,
        octets: [0; INLINE],
    };

    fn in_cell(len: usize, cell: u32) -> Self {
        let mut octets = [0; INLINE];
        octets[..4].copy_from_slice(&cell.to_ne_bytes());
        Self {
            len: len as u8,
            octets,
        }
    }

    fn cell(&self) -> u32 {
        let [a, b, c, d, ..] = self.octets;
        u32::from_ne_bytes([a, b, c, d])
    }
}

/// The cells of DUIDs that do not fit inline, in two sizes.
pub(super) struct Duids {
    medium: Slab<Cell<MEDIUM>>,
    long: Slab<Cell<DUID_LEN_MAX>>,
}

impl Duids {
    pub(super) fn new() -> Self {
        Self {
            medium: Slab::new(),
            long: Slab::new(),
        }
    }

    /// Stores a DUID until [`remove`](Self::remove).
    pub(super) fn insert(&mut self, duid: Duid<'_>) -> StoredDuid {
        let octets = duid.octets();
        match octets.len() {
            len @ ..=INLINE => StoredDuid {
                len: len as u8,
                octets: padded(octets),
            },
            len @ MEDIUM_MIN..=MEDIUM => {
                StoredDuid::in_cell(len, self.medium.insert(Cell::of(octets)))
            }
            len => StoredDuid::in_cell(len, self.long.insert(Cell::of(octets))),
        }
    }

    /// Frees what the DUID took.
    pub(super) fn remove(&mut self, stored: StoredDuid) {
        match usize::from(stored.len) {
            ..=INLINE => {}
            MEDIUM_MIN..=MEDIUM => self.medium.remove(stored.cell()),
            _ => self.long.remove(stored.cell()),
        }
    }

    /// The octets of a stored DUID.
    pub(super) fn octets<'a>(&'a self, stored: &'a StoredDuid) -> &'a [u8] {
        let len = usize::from(stored.len);
        match len {
            ..=INLINE => &stored.octets[..len],
            MEDIUM_MIN..=MEDIUM => &self.medium[stored.cell()].octets[..len],
            _ => &self.long[stored.cell()].octets[..len],
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.medium.memory_bytes() + self.long.memory_bytes()
    }
}

#[derive(Clone, Copy)]
struct Cell<const N: usize> {
    octets: [u8; N],
}

impl<const N: usize> Cell<N> {
    fn of(octets: &[u8]) -> Self {
        Self {
            octets: padded(octets),
        }
    }
}

impl<const N: usize> Slot for Cell<N> {
    const VACANT: Self = Self { octets: [0; N] };

    fn next_free(&self) -> u32 {
        self.octets
            .first_chunk()
            .map_or(NIL, |index| u32::from_ne_bytes(*index))
    }

    fn vacate(&mut self, next_free: u32) {
        self.octets[..4].copy_from_slice(&next_free.to_ne_bytes());
    }
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    padded[..octets.len()].copy_from_slice(octets);
    padded
}
