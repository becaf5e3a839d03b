//! A set of slots, one bit each, that finds its next member at once however sparse it is.
//!
//! Above the bits stand summary levels: a bit of level n + 1 says that a word of level n is not
//! empty. It takes no memory before its first member.

const LEVELS: usize = 3;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotSet {
    levels: [Vec<u64>; LEVELS],
    len: usize,
}

impl SlotSet {
    /// Adds a slot; whether it was not in the set.
    pub(super) fn insert(&mut self, slot: u32) -> bool {
        let (word, mask) = place(slot as usize);
        if word >= self.levels[0].len() {
            self.grow(word + 1);
        }
        let before = self.levels[0][word];
        if before & mask != 0 {
            return false;
        }
        self.levels[0][word] |= mask;
        self.len += 1;
        if before == 0 {
            self.note_filled(word);
        }
        true
    }

    /// Takes a slot out; whether it was in the set.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let (word, mask) = place(slot as usize);
        if !self.contains(slot) {
            return false;
        }
        self.levels[0][word] &= !mask;
        self.len -= 1;
        if self.levels[0][word] == 0 {
            self.note_emptied(word);
        }
        true
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        let (word, mask) = place(slot as usize);
        self.levels[0]
            .get(word)
            .is_some_and(|bits| bits & mask != 0)
    }

    /// How many slots are in the set.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first member that is not below `from`.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        self.next_at(0, from as usize).map(|slot| slot as u32)
    }

    /// Adds all members of `other`.
    pub(super) fn absorb(&mut self, other: &Self) {
        if self.levels[0].len() < other.levels[0].len() {
            self.grow(other.levels[0].len());
        }
        for (word, theirs) in other.levels[0].iter().enumerate() {
            let before = self.levels[0][word];
            let added = theirs & !before;
            if added == 0 {
                continue;
            }
            self.levels[0][word] |= added;
            self.len += added.count_ones() as usize;
            if before == 0 {
                self.note_filled(word);
            }
        }
    }

    /// Takes all members of `other` out.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut next = other.next(0);
        while let Some(slot) = next {
            self.remove(slot);
            next = other.next(slot + 1);
        }
    }

    /// Takes every member out; the memory stays.
    pub(super) fn clear(&mut self) {
        for level in &mut self.levels {
            level.fill(0);
        }
        self.len = 0;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.levels
            .iter()
            .map(|level| level.capacity() * size_of::<u64>())
            .sum()
    }

    fn next_at(&self, level: usize, from: usize) -> Option<usize> {
        let words = &self.levels[level];
        let mut word = from / 64;
        let bits = words.get(word)? & u64::MAX << (from % 64);
        if bits != 0 {
            return Some(word * 64 + bits.trailing_zeros() as usize);
        }
        word = if level + 1 < LEVELS {
            self.next_at(level + 1, word + 1)?
        } else {
            let later = words.get(word + 1..)?;
            word + 1 + later.iter().position(|bits| *bits != 0)?
        };
        Some(word * 64 + words[word].trailing_zeros() as usize)
    }

    /// Room for `words` words of slots. It grows by a quarter at least, so that filling a shard
    /// seldom copies.
    fn grow(&mut self, words: usize) {
        let mut words = words.max(self.levels[0].len() + self.levels[0].len() / 4);
        for level in &mut self.levels {
            level.reserve_exact(words.saturating_sub(level.len()));
            level.resize(words, 0);
            words = words.div_ceil(64);
        }
    }

    fn note_filled(&mut self, word: usize) {
        let mut bit = word;
        for level in &mut self.levels[1..] {
            let (word, mask) = place(bit);
            let before = level[word];
            level[word] |= mask;
            if before != 0 {
                return;
            }
            bit = word;
        }
    }

    fn note_emptied(&mut self, word: usize) {
        let mut bit = word;
        for level in &mut self.levels[1..] {
            let (word, mask) = place(bit);
            level[word] &= !mask;
            if level[word] != 0 {
                return;
            }
            bit = word;
        }
    }
}

fn place(bit: usize) -> (usize, u64) {
    (bit / 64, 1 << (bit % 64))
}
