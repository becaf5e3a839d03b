//! Fixed-size slots addressed by `u32`, in chunks that are never moved.
//!
//! Growing adds a chunk, so no packet ever waits for a copy of the whole table, and an index
//! stays good for as long as its slot is in use.

use core::ops::{Index, IndexMut};

/// No slot.
pub(super) const NIL: u32 = u32::MAX;

/// Slots in a chunk: 13 KiB of bindings, so that 256 nearly empty shards cost 3 MB.
pub(super) const CHUNK: usize = 128;

/// What lives in a slab: it can stand empty and then holds the index of the next free slot.
pub(super) trait Slot: Copy {
    /// An empty slot.
    const VACANT: Self;
    /// The next free slot after this empty one.
    fn next_free(&self) -> u32;
    /// Makes this slot empty.
    fn vacate(&mut self, next_free: u32);
}

/// See the module.
pub(super) struct Slab<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    first_free: u32,
    /// Slots that were ever in use: the rest of the last chunk.
    reached: u32,
    live: u32,
}

impl<T: Slot> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            first_free: NIL,
            reached: 0,
            live: 0,
        }
    }

    /// Puts `value` into a free slot.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.live += 1;
        let slot = self.first_free;
        if slot != NIL {
            self.first_free = self[slot].next_free();
            self[slot] = value;
            return slot;
        }
        let slot = self.reached;
        if slot as usize == self.chunks.len() * CHUNK {
            self.chunks.push(Box::new([T::VACANT; CHUNK]));
        }
        self.reached += 1;
        self[slot] = value;
        slot
    }

    /// Empties a slot that is in use.
    pub(super) fn remove(&mut self, slot: u32) {
        let next_free = self.first_free;
        self[slot].vacate(next_free);
        self.first_free = slot;
        self.live -= 1;
    }

    /// The slot, if it was ever in use.
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        (slot < self.reached).then(|| &self[slot])
    }

    /// The slot that the next [`insert`](Self::insert) takes, if it was in use before.
    pub(super) fn next_free(&self) -> Option<&T> {
        self.get(self.first_free)
    }

    /// One more than the highest slot that was ever in use.
    pub(super) fn reached(&self) -> u32 {
        self.reached
    }

    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.live as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.chunks.len() * size_of::<[T; CHUNK]>()
            + self.chunks.capacity() * size_of::<Box<[T; CHUNK]>>()
    }
}

impl<T: Slot> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl<T: Slot> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}
