//! Which pool, and which length of delegated prefix, is tried next (RFC 8168 §3.2).
//!
//! A client that asks for no length gets what the first pool gives by default. For one that does, pools
//! that have the length come first, shorter prefixes next, the nearest first, and longer ones last: it
//! can use part of a prefix that is too large, and of one that is too small it may make do with what
//! there is. A pool of several lengths that has none of its first choice left is tried for the
//! longer ones as well; there is nothing shorter in it then, because that would have room for the first.

use lease::PoolSpec;

/// Distance from the wanted length, then order in the configuration.
pub(crate) type Rank = (u16, usize);

/// Every length that is longer than wanted is further away than all that are shorter.
const LONGER: u16 = 256;

/// The best length of a pool that has not been tried: its rank comes behind `tried`. `order` is the
/// pool's among those of its link.
pub(crate) fn next(
    spec: &PoolSpec,
    wanted: Option<u8>,
    order: usize,
    tried: Option<Rank>,
) -> Option<(Rank, u8)> {
    let first = spec.len_for(wanted);
    let wanted = wanted.unwrap_or(first);
    let rank = (distance(wanted, first), order);
    if Some(rank) > tried {
        return Some((rank, first));
    }
    spec.lengths?;
    let (tried, tried_order) = tried?;
    let least = tried + u16::from(order <= tried_order);
    let len = u8::try_from(u16::from(wanted) + least.saturating_sub(LONGER)).ok()?;
    let len = len.max(first + 1);
    (len <= spec.unit_len).then(|| ((distance(wanted, len), order), len))
}

fn distance(wanted: u8, len: u8) -> u16 {
    match wanted.checked_sub(len) {
        Some(shorter) => u16::from(shorter),
        None => LONGER + u16::from(len - wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lease::{Lease, Lengths};
    use proptest::prelude::*;

    fn pool(shortest: u8, default: u8, longest: u8) -> PoolSpec {
        let prefix = Lease {
            addr: 0x2001_0db8 << 96,
            len: 40,
        };
        let lengths = Lengths { shortest, default };
        match shortest == longest {
            true => PoolSpec::prefixes(prefix, longest).unwrap(),
            false => PoolSpec::prefixes_between(prefix, lengths, longest).unwrap(),
        }
    }

    /// Pool and length in the order in which they are tried.
    fn tried(pools: &[PoolSpec], wanted: Option<u8>) -> Vec<(usize, u8)> {
        let mut order = Vec::new();
        let mut last = None;
        loop {
            let ranked = pools.iter().enumerate();
            let ranked = ranked.filter_map(|(at, spec)| next(spec, wanted, at, last));
            let Some((rank, len)) = ranked.min() else {
                return order;
            };
            assert!(order.len() < 100, "no end: {order:?}");
            order.push((rank.1, len));
            last = Some(rank);
        }
    }

    #[test]
    fn rfc_8168_3_2_the_length_itself_then_shorter_then_longer() {
        let pools = [pool(60, 60, 60), pool(48, 56, 58), pool(50, 50, 50)];
        let wanting = |wanted| tried(&pools, wanted);
        assert_eq!(wanting(None), [(0, 60), (1, 56), (2, 50), (1, 57), (1, 58)]);
        assert_eq!(
            wanting(Some(56)),
            [(1, 56), (2, 50), (1, 57), (1, 58), (0, 60)]
        );
        assert_eq!(wanting(Some(64)), [(0, 60), (1, 58), (2, 50)]);
        // Shorter than the pool of several lengths may give: its default, which is longer than asked.
        assert_eq!(
            wanting(Some(47)),
            [(2, 50), (1, 56), (1, 57), (1, 58), (0, 60)]
        );
    }

    proptest! {
        #[test]
        fn each_length_from_the_first_choice_on_is_tried_once_and_the_nearest_first(
            pools in prop::collection::vec((44..=60_u8, 0..=6_u8, 0..=6_u8), 1..5),
            wanted in prop::option::of(1..=128_u8),
        ) {
            let pools: Vec<PoolSpec> = pools.into_iter().map(|(shortest, more, default)| {
                pool(shortest, shortest + default.min(more), shortest + more)
            }).collect();
            let mut all: Vec<(Rank, u8)> = Vec::new();
            for (order, spec) in pools.iter().enumerate() {
                let first = spec.len_for(wanted);
                let longest = if spec.lengths.is_some() { spec.unit_len } else { first };
                let rank = |len| (distance(wanted.unwrap_or(first), len), order);
                all.extend((first..=longest).map(|len| (rank(len), len)));
            }
            all.sort_unstable();
            let all: Vec<(usize, u8)> = all.into_iter().map(|(rank, len)| (rank.1, len)).collect();
            prop_assert_eq!(tried(&pools, wanted), all);
        }
    }
}
