//! What a pool consists of, and the arithmetic between its leases and their positions.

use super::runs::Run;
use super::{LENGTHS_BITS_MAX, LENGTHS_POSITIONS_MAX};
use crate::Lease;
use core::net::Ipv6Addr;
use thiserror::Error;
use wire::IaKind;

/// The most positions one pool can have: those of a /64 of addresses.
const POSITIONS_MAX: u128 = 1 << 64;

/// Why a pool cannot be made from a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// It has no position, or its last address is before its first.
    #[error("the pool is empty")]
    Empty,
    /// It has more than 2^64 positions.
    #[error("the pool has more than 2^64 leases; use a /64 of addresses, or longer prefixes")]
    TooLarge,
    /// A delegated prefix is not within 1 to 128 bits or is shorter than the pool's own; or
    /// addresses are not 128 bits long.
    #[error("a pool cannot consist of leases of length /{0}")]
    UnitLength(u8),
    /// The first prefix has bits behind the delegated length.
    #[error("the pool does not begin at a multiple of its lease length")]
    Misaligned,
    /// The number of delegated prefixes is not a power of two.
    #[error("a prefix pool must be one whole prefix")]
    NotAPrefix,
    /// More than 2^26 prefixes, to be split between the two servers of a relationship.
    #[error(
        "a pool of more than 2^26 prefixes cannot be split between two servers; divide it into several"
    )]
    TooLargeToSplit,
    /// The lengths of a prefix pool are not in order, too far apart, or the shortest is shorter
    /// than the pool's own.
    #[error(
        "a pool cannot give prefixes of /{shortest} to /{longest}, /{default} by default: they \
         must be in order, at most 16 bits apart, and within the pool"
    )]
    Lengths {
        /// The shortest length.
        shortest: u8,
        /// The length for who asks for none.
        default: u8,
        /// The longest length.
        longest: u8,
    },
    /// More than 2^28 prefixes of the longest length, of a pool with several.
    #[error(
        "a pool of several lengths has at most 2^28 prefixes of the longest; divide it into \
         several, or make the longest shorter"
    )]
    TooLargeForLengths,
    /// Prefixes of several lengths, to be split between the two servers of a relationship.
    #[error(
        "a pool of several lengths cannot be split between two servers: what they exchange are \
         prefixes of one length (RFC 8156 §4.2.2.2)"
    )]
    LengthsToSplit,
    /// It goes past the last IPv6 address.
    #[error("the pool goes past the end of the address space")]
    PastTheEnd,
}

/// Lengths of a pool's prefixes, of which the pool's `unit_len` is the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// The shortest; at most 16 bits shorter than the longest.
    pub shortest: u8,
    /// What a client gets that asks for no length; within the others.
    pub default: u8,
}

/// What a pool consists of: `count` leases of length `unit_len`, side by side from `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// Addresses or delegated prefixes.
    pub kind: IaKind,
    /// The first address, or the first address of the first delegated prefix.
    pub first: u128,
    /// Number of leases; a power of two if they are prefixes.
    pub count: u128,
    /// Length of each lease in bits: 128, or the delegated length, the longest of several.
    pub unit_len: u8,
    /// The other lengths that prefixes of this pool may have; `None`: all have `unit_len`.
    pub lengths: Option<Lengths>,
    /// Configured reservations, here or elsewhere: positions that overlap one are never drawn.
    pub reserved: Vec<Lease>,
}

impl PoolSpec {
    /// The addresses from `first` to `last`, both included; nothing reserved.
    ///
    /// # Errors
    /// [`PoolError::Empty`], [`PoolError::TooLarge`].
    pub fn addresses(first: Ipv6Addr, last: Ipv6Addr) -> Result<Self, PoolError> {
        let (first, last) = (first.to_bits(), last.to_bits());
        let beyond_first = last.checked_sub(first).ok_or(PoolError::Empty)?;
        let spec = Self {
            kind: IaKind::Na,
            first,
            count: beyond_first.checked_add(1).ok_or(PoolError::TooLarge)?,
            unit_len: 128,
            lengths: None,
            reserved: Vec::new(),
        };
        spec.check()?;
        Ok(spec)
    }

    /// All prefixes of length `delegated_len` inside `prefix`; nothing reserved.
    ///
    /// # Errors
    /// [`PoolError::UnitLength`], [`PoolError::TooLarge`], [`PoolError::Misaligned`].
    pub fn prefixes(prefix: Lease, delegated_len: u8) -> Result<Self, PoolError> {
        let bits = delegated_len
            .checked_sub(prefix.len)
            .ok_or(PoolError::UnitLength(delegated_len))?;
        let spec = Self {
            kind: IaKind::Pd,
            first: prefix.addr,
            count: 1_u128
                .checked_shl(u32::from(bits))
                .ok_or(PoolError::TooLarge)?,
            unit_len: delegated_len,
            lengths: None,
            reserved: Vec::new(),
        };
        spec.check()?;
        if prefix.addr & host_mask(prefix.len) != 0 {
            return Err(PoolError::Misaligned);
        }
        Ok(spec)
    }

    /// The prefixes inside `prefix` of each length from the shortest of `lengths` to `longest`;
    /// nothing reserved.
    ///
    /// # Errors
    /// As [`prefixes`](Self::prefixes), and [`PoolError::Lengths`], [`PoolError::TooLargeForLengths`].
    pub fn prefixes_between(
        prefix: Lease,
        lengths: Lengths,
        longest: u8,
    ) -> Result<Self, PoolError> {
        let spec = Self {
            lengths: Some(lengths),
            ..Self::prefixes(prefix, longest)?
        };
        spec.check()?;
        Ok(spec)
    }

    /// The length that this pool gives a client that wants `wanted`: that, if the pool has it; the
    /// longest instead of a longer one, so that what it gets is the closest that is no smaller than it
    /// wants (RFC 8168 §3.2); the default instead of one that is shorter than all, and for who asks
    /// for none.
    #[inline]
    pub fn len_for(&self, wanted: Option<u8>) -> u8 {
        match (self.lengths, wanted) {
            (None, _) => self.unit_len,
            (Some(lengths), Some(wanted)) if wanted >= lengths.shortest => {
                wanted.min(self.unit_len)
            }
            (Some(lengths), _) => lengths.default,
        }
    }

    /// Whether leases of this length are the pool's.
    pub fn has_len(&self, len: u8) -> bool {
        let shortest = self
            .lengths
            .map_or(self.unit_len, |lengths| lengths.shortest);
        (shortest..=self.unit_len).contains(&len)
    }

    /// Whether the fields fit together.
    pub(super) fn check(&self) -> Result<(), PoolError> {
        let length_fits = match self.kind {
            IaKind::Na => self.unit_len == 128,
            IaKind::Pd => (1..=128).contains(&self.unit_len),
        };
        if !length_fits {
            return Err(PoolError::UnitLength(self.unit_len));
        }
        if self.count == 0 {
            return Err(PoolError::Empty);
        }
        if self.count > POSITIONS_MAX {
            return Err(PoolError::TooLarge);
        }
        if self.first & host_mask(self.unit_len) != 0 {
            return Err(PoolError::Misaligned);
        }
        if self.kind == IaKind::Pd && !self.count.is_power_of_two() {
            return Err(PoolError::NotAPrefix);
        }
        if let Some(lengths) = self.lengths {
            self.check_lengths(lengths)?;
        }
        let units_after_first = (u128::MAX - self.first) >> self.shift();
        if self.count - 1 > units_after_first {
            return Err(PoolError::PastTheEnd);
        }
        Ok(())
    }

    fn check_lengths(&self, lengths: Lengths) -> Result<(), PoolError> {
        let Lengths { shortest, default } = lengths;
        let longest = self.unit_len;
        let in_order = (1..longest).contains(&shortest) && (shortest..=longest).contains(&default);
        let bits = longest.saturating_sub(shortest);
        let fits = self.kind == IaKind::Pd && self.count.trailing_zeros() >= u32::from(bits);
        if !in_order || bits > LENGTHS_BITS_MAX || !fits {
            return Err(PoolError::Lengths {
                shortest,
                default,
                longest,
            });
        }
        if self.count > u128::from(LENGTHS_POSITIONS_MAX) {
            return Err(PoolError::TooLargeForLengths);
        }
        if self.first & host_mask(shortest) != 0 {
            return Err(PoolError::Misaligned);
        }
        Ok(())
    }

    /// The last address of the last lease.
    pub(super) fn last(&self) -> u128 {
        self.first + ((self.count - 1) << self.shift()) + host_mask(self.unit_len)
    }

    /// The lease's number in the pool, if it is one of the pool's.
    pub(super) fn position_of(&self, lease: Lease) -> Option<u64> {
        if lease.len != self.unit_len || lease.addr & host_mask(lease.len) != 0 {
            return None;
        }
        self.position_over(lease.addr)
    }

    /// The positions of a lease of any of the pool's lengths, if it is one of the pool's.
    pub(super) fn run_of(&self, lease: Lease) -> Option<Run> {
        if !self.has_len(lease.len) || lease.addr & host_mask(lease.len) != 0 {
            return None;
        }
        let order = u32::from(self.unit_len - lease.len);
        let start = self.position_over(lease.addr)?;
        Some(Run { start, order })
    }

    /// The lease that consists of these positions.
    pub(super) fn lease_of(&self, run: Run) -> Lease {
        let first = self.lease_at(run.start);
        Lease {
            len: first.len - run.order as u8,
            ..first
        }
    }

    /// The number of the lease that `addr` lies in, if it lies in one.
    pub(super) fn position_over(&self, addr: u128) -> Option<u64> {
        let position = addr.checked_sub(self.first)? >> self.shift();
        (position < self.count).then_some(position as u64)
    }

    /// First and last number of the leases that share an address with `lease`.
    pub(super) fn positions_touching(&self, lease: Lease) -> Option<(u64, u64)> {
        let first = (lease.addr & !host_mask(lease.len)).max(self.first);
        let last = (lease.addr | host_mask(lease.len)).min(self.last());
        if first > last {
            return None;
        }
        Some((self.position_over(first)?, self.position_over(last)?))
    }

    /// The lease with this number.
    pub(super) fn lease_at(&self, position: u64) -> Lease {
        Lease {
            addr: self.first + (u128::from(position) << self.shift()),
            len: self.unit_len,
        }
    }

    fn shift(&self) -> u32 {
        128 - u32::from(self.unit_len)
    }
}

/// The bits behind the first `len`.
pub(super) fn host_mask(len: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
}
