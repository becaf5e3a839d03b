//! Relay data as bindings store it: length and cell, nothing else for the many that have none.

use super::cells::Cells;
use crate::VIA_LEN_MAX;

/// Where a binding's `via` is; of no use without the [`Cells`] that it was stored with.
#[derive(Clone, Copy)]
pub(super) struct StoredVia {
    /// Low and high half of the cell, so that four octets need no more alignment than two.
    cell: [u16; 2],
    len: u16,
}

impl StoredVia {
    pub(super) const NONE: Self = Self {
        cell: [0; 2],
        len: 0,
    };

    /// This, with `via` in its place until [`remove`](Self::remove).
    pub(super) fn replaced(self, via: &[u8], cells: &mut Cells) -> Self {
        let via = if via.len() > VIA_LEN_MAX { &[] } else { via };
        let len = usize::from(self.len);
        let cell = match (len, via.len()) {
            (_, 0) => {
                self.remove(cells);
                return Self::NONE;
            }
            (0, _) => cells.insert(via),
            _ => cells.replace(len, self.cell(), via),
        };
        Self {
            cell: [cell as u16, (cell >> 16) as u16],
            len: via.len() as u16,
        }
    }

    /// Frees what it took.
    pub(super) fn remove(self, cells: &mut Cells) {
        if self.len > 0 {
            cells.remove(usize::from(self.len), self.cell());
        }
    }

    /// The octets.
    pub(super) fn octets(self, cells: &Cells) -> &[u8] {
        match self.len {
            0 => &[],
            len => cells.octets(usize::from(len), self.cell()),
        }
    }

    fn cell(self) -> u32 {
        u32::from(self.cell[0]) | u32::from(self.cell[1]) << 16
    }
}
