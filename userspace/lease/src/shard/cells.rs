//! Octet strings that do not fit into a binding, in cells of a few sizes beside it: long DUIDs,
//! subscribers with their clients, and relay data.
//!
//! Who stores a string keeps its length and its cell; the length says which size the cell has.
//! Cells are in chunks that are never moved, as bindings are.

use super::slab::NIL;
use crate::VIA_LEN_MAX;
use core::ops::Range;
use wire::duid::DUID_LEN_MAX;

/// Octets of each size of cell. They follow what is stored: a client's address (16), DUID-ENs (48
/// and up to 130), relay data of one relay (64 to 132), of several and with long identifiers.
const SIZES: [usize; 9] = [16, 48, 64, 80, 96, 132, 192, 256, VIA_LEN_MAX];
/// Cells in a chunk.
const CHUNK: usize = 32;

const _: () = assert!(
    2 * DUID_LEN_MAX <= VIA_LEN_MAX,
    "a size for every DUID, and with that of a subscriber"
);

/// All cells of one shard.
pub(super) struct Cells {
    by_size: [CellsOfSize; SIZES.len()],
}

impl Cells {
    pub(super) fn new() -> Self {
        Self {
            by_size: SIZES.map(CellsOfSize::new),
        }
    }

    /// Stores a string of at most [`VIA_LEN_MAX`] octets until [`remove`](Self::remove).
    pub(super) fn insert(&mut self, octets: &[u8]) -> u32 {
        let cells = &mut self.by_size[size_class(octets.len())];
        let cell = cells.take();
        cells.octets_mut(cell)[..octets.len()].copy_from_slice(octets);
        cell
    }

    /// Puts a string in the place of one of length `len`; its cell from now on.
    pub(super) fn replace(&mut self, len: usize, cell: u32, octets: &[u8]) -> u32 {
        let class = size_class(octets.len());
        if class == size_class(len) {
            self.by_size[class].octets_mut(cell)[..octets.len()].copy_from_slice(octets);
            return cell;
        }
        self.remove(len, cell);
        self.insert(octets)
    }

    /// Frees the cell of a string of length `len`.
    pub(super) fn remove(&mut self, len: usize, cell: u32) {
        self.by_size[size_class(len)].give(cell);
    }

    /// The string of length `len` in `cell`.
    pub(super) fn octets(&self, len: usize, cell: u32) -> &[u8] {
        &self.by_size[size_class(len)].octets(cell)[..len]
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.by_size.iter().map(CellsOfSize::memory_bytes).sum()
    }
}

fn size_class(len: usize) -> usize {
    SIZES.partition_point(|&size| size < len)
}

/// The cells of one size.
struct CellsOfSize {
    size: usize,
    chunks: Vec<Box<[u8]>>,
    first_free: u32,
    /// Cells that were ever in use: the rest of the last chunk.
    reached: u32,
}

impl CellsOfSize {
    fn new(size: usize) -> Self {
        Self {
            size,
            chunks: Vec::new(),
            first_free: NIL,
            reached: 0,
        }
    }

    fn take(&mut self) -> u32 {
        let cell = self.first_free;
        if cell != NIL {
            let next = self.octets(cell).first_chunk();
            self.first_free = next.map_or(NIL, |next| u32::from_ne_bytes(*next));
            return cell;
        }
        let cell = self.reached;
        if cell as usize == self.chunks.len() * CHUNK {
            self.chunks.push(vec![0; CHUNK * self.size].into());
        }
        self.reached += 1;
        cell
    }

    fn give(&mut self, cell: u32) {
        let next = self.first_free.to_ne_bytes();
        self.octets_mut(cell)[..next.len()].copy_from_slice(&next);
        self.first_free = cell;
    }

    fn octets(&self, cell: u32) -> &[u8] {
        &self.chunks[cell as usize / CHUNK][self.range(cell)]
    }

    fn octets_mut(&mut self, cell: u32) -> &mut [u8] {
        let range = self.range(cell);
        &mut self.chunks[cell as usize / CHUNK][range]
    }

    fn range(&self, cell: u32) -> Range<usize> {
        let from = cell as usize % CHUNK * self.size;
        from..from + self.size
    }

    fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK * self.size + self.chunks.capacity() * size_of::<Box<[u8]>>()
    }
}
