//! Longest-prefix match over many prefixes.

use foldhash::fast::FixedState;
use lease::Lease;
use std::collections::HashMap;

/// Values by prefix: one hash table for each prefix length in use, longest first, so that a look-up
/// costs one probe a length whatever the number of prefixes.
///
/// Its keys come from the config only, so nobody outside can choose keys that collide.
#[derive(Debug)]
pub(super) struct PrefixTable<V> {
    tables: Vec<(u8, HashMap<u128, V, FixedState>)>,
}

impl<V: Copy> PrefixTable<V> {
    /// A table of no prefix.
    pub(super) fn new() -> Self {
        Self { tables: Vec::new() }
    }

    /// Maps `prefix` to `value`; gives back the value that it was mapped to before.
    pub(super) fn insert(&mut self, prefix: Lease, value: V) -> Option<V> {
        let at = self.tables.partition_point(|(len, _)| *len > prefix.len);
        if self
            .tables
            .get(at)
            .is_none_or(|(len, _)| *len != prefix.len)
        {
            self.tables.insert(at, (prefix.len, HashMap::default()));
        }
        let key = prefix.addr & network_mask(prefix.len);
        self.tables[at].1.insert(key, value)
    }

    /// The value of the longest prefix that `addr` lies in.
    pub(super) fn longest_match(&self, addr: u128) -> Option<V> {
        self.tables
            .iter()
            .find_map(|(len, table)| table.get(&(addr & network_mask(*len))).copied())
    }
}

/// The first `len` bits.
pub(super) fn network_mask(len: u8) -> u128 {
    !u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}

/// Whether `addr` lies in `prefix`.
pub(super) fn covers(prefix: Lease, addr: u128) -> bool {
    (prefix.addr ^ addr) & network_mask(prefix.len) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(addr: u128, len: u8) -> Lease {
        Lease {
            addr: addr & network_mask(len),
            len,
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_nothing_matches_an_empty_table() {
        let mut table = PrefixTable::new();
        assert_eq!(table.longest_match(1), None);
        assert_eq!(table.insert(prefix(0, 0), 1), None);
        assert_eq!(table.insert(prefix(0xff << 120, 8), 2), None);
        assert_eq!(table.insert(prefix(0xff << 120, 128), 3), None);
        assert_eq!(table.longest_match(0xff << 120), Some(3));
        assert_eq!(table.longest_match((0xff << 120) + 1), Some(2));
        assert_eq!(table.longest_match(1), Some(1));
        assert_eq!(table.insert(prefix(0, 0), 4), Some(1));
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan(
            prefixes in proptest::collection::vec((any::<u128>(), 0..=128_u8), 0..40),
            addr in any::<u128>(),
            near in any::<proptest::sample::Index>(),
            bits in 0..=128_u8,
        ) {
            let mut table = PrefixTable::new();
            let prefixes: Vec<Lease> = prefixes.into_iter().map(|(a, l)| prefix(a, l)).collect();
            for (index, &prefix) in prefixes.iter().enumerate() {
                table.insert(prefix, index);
            }
            let addr = if prefixes.is_empty() {
                addr
            } else {
                near.get(&prefixes).addr ^ (addr & !network_mask(bits))
            };
            let expected = prefixes.iter().enumerate().filter(|(_, p)| covers(**p, addr))
                .max_by_key(|(index, p)| (p.len, *index)).map(|(_, p)| *p);
            let found = table.longest_match(addr).map(|index| prefixes[index]);
            prop_assert_eq!(found, expected);
        }
    }
}
