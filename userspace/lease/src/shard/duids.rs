//! DUIDs as bindings store them: the usual ones inside the binding, longer ones in cells beside.
//!
//! A DUID-LL of an Ethernet has 10 octets, a DUID-LLT 14, a DUID-UUID 18 (RFC 9915 §11); only a
//! DUID-EN is ever longer than what fits inline.

use super::cells::Cells;
use wire::Duid;

/// Octets that fit into the binding itself.
const INLINE: usize = 22;

/// A DUID, or where it is; of no use without the [`Cells`] that it was stored with.
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

    /// Stores a DUID until [`remove`](Self::remove).
    pub(super) fn insert(duid: Duid<'_>, cells: &mut Cells) -> Self {
        let octets = duid.octets();
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

    /// Frees what it took.
    pub(super) fn remove(self, cells: &mut Cells) {
        let len = usize::from(self.len);
        if len > INLINE {
            cells.remove(len, self.cell());
        }
    }

    /// The octets of the DUID.
    pub(super) fn octets<'a>(&'a self, cells: &'a Cells) -> &'a [u8] {
        let len = usize::from(self.len);
        if len <= INLINE {
            &self.octets[..len]
        } else {
            cells.octets(len, self.cell())
        }
    }

    fn cell(&self) -> u32 {
        let [a, b, c, d, ..] = self.octets;
        u32::from_ne_bytes([a, b, c, d])
    }
}
