//! Which shards may have something that the partner has not been told.

use wire::{SHARDS, ShardId};

const WORDS: usize = SHARDS / 64;

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnsentShards([u64; WORDS]);

impl UnsentShards {
    /// Adds a shard.
    pub fn insert(&mut self, ShardId(shard): ShardId) {
        self.0[usize::from(shard / 64)] |= 1 << (shard % 64);
    }

    /// Takes a shard out.
    pub fn remove(&mut self, ShardId(shard): ShardId) {
        self.0[usize::from(shard / 64)] &= !(1 << (shard % 64));
    }

    /// Those that are not in the other set.
    pub fn without(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The first one from this on, or else the first one.
    pub fn next(&self, ShardId(from): ShardId) -> Option<ShardId> {
        let first = usize::from(from / 64);
        let begun = self.0[first] & u64::MAX << (from % 64);
        let rest = (first + 1..first + 1 + WORDS).map(|word| (word % WORDS, self.0[word % WORDS]));
        let mut words = std::iter::once((first, begun)).chain(rest);
        let (word, bits) = words.find(|(_, bits)| *bits != 0)?;
        Some(ShardId((word * 64) as u8 + bits.trailing_zeros() as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_shard_goes_round_and_comes_back_to_the_same_one() {
        let mut set = UnsentShards::default();
        assert!(set.is_empty());
        assert_eq!(set.next(ShardId(7)), None);
        set.insert(ShardId(70));
        for from in [0, 70, 71, 255] {
            assert_eq!(set.next(ShardId(from)), Some(ShardId(70)), "from {from}");
        }
        set.insert(ShardId(255));
        set.insert(ShardId(3));
        assert_eq!(set.next(ShardId(71)), Some(ShardId(255)));
        set.remove(ShardId(255));
        assert_eq!(set.next(ShardId(71)), Some(ShardId(3)));
        let mut some = UnsentShards::default();
        some.insert(ShardId(3));
        assert_eq!(set.without(&some).next(ShardId(0)), Some(ShardId(70)));
        set.remove(ShardId(3));
        set.remove(ShardId(70));
        assert!(set.is_empty());
    }
}
