//! Positions that are never drawn: reserved interface identifiers and configured reservations.

use super::spec::PoolSpec;
use wire::IaKind;

/// Interface identifiers that no server may assign (RFC 9915 §13.1): the IANA registry that
/// RFC 5453 made, first and last of each block.
const RESERVED_INTERFACE_IDS: [(u64, u64); 5] = [
    // Subnet-router anycast (RFC 4291 §2.6.1).
    (0, 0),
    // IANA's Ethernet block (RFC 4291), Proxy Mobile IPv6 (RFC 6543), the same block's rest.
    (0x0200_5eff_fe00_0000, 0x0200_5eff_fe00_5212),
    (0x0200_5eff_fe00_5213, 0x0200_5eff_fe00_5213),
    (0x0200_5eff_fe00_5214, 0x0200_5eff_feff_ffff),
    // Subnet anycast (RFC 2526).
    (0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff),
];

/// The reserved positions of one pool, as blocks that neither touch nor overlap, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reserved {
    blocks: Box<[(u64, u64)]>,
}

impl Reserved {
    /// Those of the pool that `spec` describes; the spec has been checked.
    pub(super) fn of(spec: &PoolSpec) -> Self {
        let mut blocks: Vec<(u64, u64)> = spec
            .reserved
            .iter()
            .filter_map(|lease| spec.positions_touching(*lease))
            .collect();
        if spec.kind == IaKind::Na {
            // At most 2^64 addresses side by side lie in at most two /64s.
            for subnet in (spec.first >> 64)..=(spec.last() >> 64) {
                blocks.extend(RESERVED_INTERFACE_IDS.iter().filter_map(|&(from, to)| {
                    let subnet = subnet << 64;
                    overlap(spec, subnet | u128::from(from), subnet | u128::from(to))
                }));
            }
        }
        Self {
            blocks: merged(blocks).into_boxed_slice(),
        }
    }

    /// Whether this position must not be drawn.
    pub(super) fn contains(&self, position: u64) -> bool {
        self.covers(position, position)
    }

    /// Whether any of these positions must not be drawn.
    pub(super) fn overlaps(&self, first: u64, last: u64) -> bool {
        let after = self.blocks.partition_point(|&(from, _)| from <= last);
        after
            .checked_sub(1)
            .is_some_and(|block| self.blocks[block].1 >= first)
    }

    /// Whether none of these positions may be drawn.
    pub(super) fn covers(&self, first: u64, last: u64) -> bool {
        let after = self.blocks.partition_point(|&(from, _)| from <= first);
        after
            .checked_sub(1)
            .is_some_and(|block| self.blocks[block].1 >= last)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u128 {
        self.blocks
            .iter()
            .map(|&(from, to)| u128::from(to - from) + 1)
            .sum()
    }

    /// First and last position of each block.
    pub(super) fn blocks(&self) -> &[(u64, u64)] {
        &self.blocks
    }
}

/// The positions whose leases overlap the addresses `from..=to`.
fn overlap(spec: &PoolSpec, from: u128, to: u128) -> Option<(u64, u64)> {
    let from = from.max(spec.first);
    let to = to.min(spec.last());
    if from > to {
        return None;
    }
    Some((spec.position_over(from)?, spec.position_over(to)?))
}

fn merged(mut blocks: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    blocks.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(blocks.len());
    for (from, to) in blocks {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}
