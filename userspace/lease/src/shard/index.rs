//! A hash table of binding numbers that can be looked at ahead.

use crate::prefetch;
use hashbrown::HashTable;

/// See the module.
pub(super) struct Index {
    table: HashTable<u32>,
    /// Where hashbrown keeps the table's control octets, as the last insertion showed. Only ever
    /// prefetched from: were hashbrown to lay its tables out differently, look-ups would be slower.
    control: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            control: 0,
        }
    }

    /// Makes room for `additional` numbers.
    pub(super) fn reserve(&mut self, additional: usize, hash_of: impl Fn(&u32) -> u64) {
        self.table.reserve(additional, hash_of);
    }

    /// Enters a number that is not there.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(&u32) -> u64) {
        let entry = self.table.insert_unique(hash, id, hash_of);
        // The entries lie in front of the control octets, the first one nearest.
        let behind = (entry.bucket_index() + 1) * size_of::<u32>();
        self.control = core::ptr::from_ref(entry.get()).addr() + behind;
    }

    /// Takes a number out, if it is there.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        if let Ok(entry) = self.table.find_entry(hash, |&other| other == id) {
            entry.remove();
        }
    }

    /// The first number with this hash that `is_it` says yes to.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table.find(hash, |&id| is_it(id)).copied()
    }

    /// All numbers with this hash, and by chance some others.
    pub(super) fn all(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.table.iter_hash(hash).copied()
    }

    /// Asks the memory for what [`find`](Self::find) and [`insert`](Self::insert) will look at.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if self.control == 0 {
            return;
        }
        let first = hash as usize & (self.table.num_buckets() - 1);
        prefetch::line_at(self.control.wrapping_add(first));
        // The entry is one of the first few from there, all of them in this line most of the time.
        let entry = (first + 2) * size_of::<u32>();
        prefetch::line_at(self.control.wrapping_sub(entry));
    }

    /// Octets in use.
    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
    }
}
