//! Where leases are drawn from.
//!
//! A pool numbers its addresses or delegated prefixes as *positions* and hands each to one holder
//! at a time. Every worker draws from it at once without a lock. Up to [`DENSE_POSITIONS_MAX`]
//! positions are one atomic bit each; above that no bit is kept at all: a keyed permutation gives
//! every shard its own part, and the shard's own table says what of it is in use. Where delegated prefixes have
//! several lengths, a position is a prefix of the longest, a bit as well, and a shorter prefix is a
//! run of them.
//!
//! A client's position is a keyed hash of (pool, DUID, kind, IAID), so that it gets the same lease
//! again even from an empty database, an outsider cannot foretell it, and two servers with the
//! same key allocate alike (RFC 6853, "identical prefixes").
//!
//! What a pool does *not* know: who holds a position, until when, and whether it is quarantined.
//! A declined lease stays bound in the pool until its ABANDONED binding ends.

mod bitmap;
mod dense;
mod misfit;
#[cfg(test)]
mod misfit_tests;
mod permutation;
mod reserved;
mod runs;
mod sides;
mod sparse;
mod spec;
mod split;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
mod tests;

use self::dense::{Dense, Wanted};
use self::misfit::{Misfits, Span};
use self::reserved::Reserved;
use self::runs::{Run, Runs};
pub use self::sides::Sides;
use self::sparse::Sparse;
pub use self::spec::{Lengths, PoolError, PoolSpec};
use crate::sip::SipKey;
use crate::{Lease, Prefixes, Role, Shard};
use core::fmt;
use wire::{IaKey, IaKind, ShardId};

/// A pool of up to this many positions keeps a bit for each: 8 MiB, untouched until used. Above it
/// a shard's part has at least 2^18 positions, so that drawing by hash seldom meets a used one.
pub const DENSE_POSITIONS_MAX: u64 = 1 << 26;

/// Positions of a pool of several lengths at most: 32 MiB of bits, untouched until used, and a tenth
/// of that to find free ones by.
pub const LENGTHS_POSITIONS_MAX: u64 = 1 << 28;

/// Bits between the shortest and the longest length of a pool at most: a lease is then at most 1,024
/// words of bits.
pub const LENGTHS_BITS_MAX: u8 = 16;

/// The server's secret behind every choice of a position. With the same key, pools and salts two
/// servers allocate alike; without it the choice cannot be foretold.
#[derive(Clone, Copy)]
pub struct AllocationKey([u8; 16]);

impl AllocationKey {
    /// From 16 octets of good randomness.
    pub fn new(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl fmt::Debug for AllocationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllocationKey(..)")
    }
}

/// Which positions a claim may take, by the lowest bit of the address: independent allocation
/// (RFC 8156 §4.2.1) gives the odd addresses to the primary and the even ones to the secondary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Every position: a server without partner.
    All,
    /// Addresses whose lowest bit is 1.
    Odd,
    /// Addresses whose lowest bit is 0.
    Even,
}

/// From which part of the pools a lease is newly drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of addresses.
    pub addresses: Positions,
    /// Of delegated prefixes.
    pub prefixes: Prefixes,
}

impl Share {
    /// Everything: a server without partner.
    pub const ALL: Self = Self {
        addresses: Positions::All,
        prefixes: Prefixes::All,
    };
}

/// How full a pool is, in positions: of a pool of several lengths, in prefixes of the longest, of
/// which a shorter one counts for as many as fit into it. `size == reserved + bound + free` in every value ever returned; while
/// claims and releases run, `bound` may lag behind them but never exceeds what is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCounts {
    /// All positions.
    pub size: u128,
    /// Positions that are never given: reserved interface identifiers and configured reservations.
    pub reserved: u128,
    /// Positions taken by bindings, quarantined ones included.
    pub bound: u128,
    /// Positions that a claim can still take.
    pub free: u128,
}

/// A range of addresses or delegated prefixes that any number of threads draw from.
#[derive(Debug)]
pub struct Pool {
    spec: PoolSpec,
    reserved: Reserved,
    positions: SipKey,
    store: Store,
    misfits: Misfits,
}

#[derive(Debug)]
enum Store {
    Dense(Dense),
    Sparse(Sparse),
    Runs(Runs),
}

impl Pool {
    /// A pool with nothing bound. `salt` sets this pool apart from the server's others: derive it
    /// from what outlives a restart and is the same on a partner, such as the pool's range.
    ///
    /// # Errors
    /// [`PoolError`] if the spec's range cannot be cut into positions as it says.
    pub fn new(spec: PoolSpec, key: &AllocationKey, salt: u64) -> Result<Self, PoolError> {
        spec.check()?;
        let secret = SipKey::new(key.0);
        let reserved = Reserved::of(&spec);
        let store = if let Some(lengths) = spec.lengths {
            let order = |len: u8| u32::from(spec.unit_len - len);
            let (shortest, default) = (order(lengths.shortest), order(lengths.default));
            Store::Runs(Runs::new(spec.count as u64, &reserved, shortest, default))
        } else if spec.count <= u128::from(DENSE_POSITIONS_MAX) {
            let in_halves = spec.kind == IaKind::Na;
            Store::Dense(Dense::new(spec.count as u64, &reserved, in_halves))
        } else {
            Store::Sparse(Sparse::new(
                spec.count,
                secret.derive(salt, PURPOSE_PERMUTATION),
            ))
        };
        Ok(Self {
            positions: secret.derive(salt, PURPOSE_POSITION),
            spec: PoolSpec {
                reserved: Vec::new(),
                ..spec
            },
            reserved,
            store,
            misfits: Misfits::default(),
        })
    }

    /// Whether [`new`](Self::new) with these arguments would make a pool that draws the same
    /// leases in the same way: then this one can go on in its place, with all that is bound in it.
    pub fn is_made_of(&self, spec: &PoolSpec, key: &AllocationKey, salt: u64) -> bool {
        let range = |spec: &PoolSpec| {
            let PoolSpec { kind, first, .. } = *spec;
            (kind, first, spec.count, spec.unit_len, spec.lengths)
        };
        range(&self.spec) == range(spec)
            && self.positions == SipKey::new(key.0).derive(salt, PURPOSE_POSITION)
            && self.reserved == Reserved::of(spec)
    }

    /// What it was made from, without what is reserved: see [`is_reserved`](Self::is_reserved).
    pub fn spec(&self) -> &PoolSpec {
        &self.spec
    }

    /// Whether `lease` is one of this pool's, reserved ones included.
    pub fn contains(&self, lease: Lease) -> bool {
        match &self.store {
            Store::Runs(_) => self.spec.run_of(lease).is_some(),
            Store::Dense(_) | Store::Sparse(_) => self.spec.position_of(lease).is_some(),
        }
    }

    /// Whether `lease` is one of this pool's as a whole. A prefix of a pool of several lengths is not
    /// if a part of it is reserved: somebody who has it from before has to be
    /// [`block`](Self::block)ed, as with a length that the pool does not have.
    pub fn fits(&self, lease: Lease) -> bool {
        match &self.store {
            Store::Runs(_) => self.spec.run_of(lease).is_some_and(|run| {
                !self.reserved.overlaps(run.first(), run.last())
                    || self.reserved.covers(run.first(), run.last())
            }),
            Store::Dense(_) | Store::Sparse(_) => self.spec.position_of(lease).is_some(),
        }
    }

    /// Whether `lease` is one of this pool's and never drawn: a reserved interface identifier
    /// (RFC 5453) or a configured reservation, or a prefix that holds some of one.
    pub fn is_reserved(&self, lease: Lease) -> bool {
        let run = self.spec.run_of(lease);
        run.is_some_and(|run| self.reserved.overlaps(run.first(), run.last()))
    }

    /// The one shard that may draw `lease`, if its position belongs to one: in a sparse pool.
    pub fn owner(&self, lease: Lease) -> Option<ShardId> {
        match &self.store {
            Store::Dense(_) | Store::Runs(_) => None,
            Store::Sparse(sparse) => Some(sparse.owner(self.spec.position_of(lease)?)),
        }
    }

    /// Whether leases have an [`owner`](Self::owner).
    pub fn has_owners(&self) -> bool {
        matches!(self.store, Store::Sparse(_))
    }

    /// What [`claim`](Self::claim) would give now. Takes nothing: another worker may have it next.
    pub fn offer(&self, shard: &Shard, ia: &IaKey<'_>) -> Option<Lease> {
        self.offer_among(shard, ia, Share::ALL)
    }

    /// Takes the lease that this IA's hash leads to, or the next free one; `None` if every
    /// position is used.
    ///
    /// In a sparse pool the shard's table is what makes the claim visible, so
    /// [`put`](Shard::put) the binding before the next claim for the same shard.
    #[must_use]
    pub fn claim(&self, shard: &Shard, ia: &IaKey<'_>) -> Option<Lease> {
        self.claim_among(shard, ia, Share::ALL)
    }

    /// [`offer`](Self::offer) from this server's share (RFC 8156 §4.2).
    pub fn offer_among(&self, shard: &Shard, ia: &IaKey<'_>, share: Share) -> Option<Lease> {
        self.offer_of(shard, ia, self.spec.len_for(None), share)
    }

    /// [`offer_among`](Self::offer_among) of a prefix of this length, where the pool has several; a
    /// pool of one length has no other.
    pub fn offer_of(&self, shard: &Shard, ia: &IaKey<'_>, len: u8, share: Share) -> Option<Lease> {
        let wanted = self.wanted(share);
        let position = match &self.store {
            Store::Dense(dense) => dense.offer(self.hash(ia, 0), wanted)?,
            Store::Sparse(_) => self.draw(shard, ia, wanted)?,
            Store::Runs(runs) => {
                let run = runs.offer(self.order(len)?, self.hash(ia, 0))?;
                return Some(self.spec.lease_of(run));
            }
        };
        Some(self.spec.lease_at(position))
    }

    /// [`claim`](Self::claim) from this server's share (RFC 8156 §4.2). The last prefix of its
    /// side may be missed while blocks are changing sides.
    #[must_use]
    pub fn claim_among(&self, shard: &Shard, ia: &IaKey<'_>, share: Share) -> Option<Lease> {
        self.claim_of(shard, ia, self.spec.len_for(None), share)
    }

    /// [`claim_among`](Self::claim_among) of a prefix of this length, where the pool has several; a
    /// pool of one length has no other. `None`: no prefix as short is free.
    #[must_use]
    pub fn claim_of(&self, shard: &Shard, ia: &IaKey<'_>, len: u8, share: Share) -> Option<Lease> {
        let wanted = self.wanted(share);
        let position = match &self.store {
            Store::Dense(dense) => dense.claim(self.hash(ia, 0), wanted)?,
            Store::Sparse(sparse) => {
                let position = self.draw(shard, ia, wanted)?;
                sparse.count_bound();
                position
            }
            Store::Runs(runs) => {
                let run = runs.claim(self.order(len)?, self.hash(ia, 0))?;
                return Some(self.spec.lease_of(run));
            }
        };
        Some(self.spec.lease_at(position))
    }

    /// Asks the memory for what drawing `lease`, or else what this IA's hash leads to, looks at.
    #[inline]
    pub fn look_ahead(&self, ia: &IaKey<'_>, lease: Option<Lease>) {
        match &self.store {
            Store::Dense(dense) => match lease.and_then(|lease| self.spec.position_of(lease)) {
                Some(position) => dense.prefetch(position),
                None => dense.prefetch_draw(self.hash(ia, 0)),
            },
            Store::Sparse(_) => {}
            Store::Runs(runs) => match lease.and_then(|lease| self.spec.run_of(lease)) {
                Some(run) => runs.prefetch(run),
                None => runs.prefetch_draw(self.hash(ia, 0)),
            },
        }
    }

    /// Takes exactly this lease: a client's hint, or what was advertised. `false` if it is not in
    /// the pool, reserved, held already, or (sparse) in the part of another shard, whose table
    /// cannot be asked from here.
    #[must_use]
    pub fn claim_exact(&self, shard: &Shard, lease: Lease) -> bool {
        self.claim_exact_among(shard, lease, Share::ALL)
    }

    /// [`claim_exact`](Self::claim_exact), if the lease is of this server's share.
    #[must_use]
    pub fn claim_exact_among(&self, shard: &Shard, lease: Lease, share: Share) -> bool {
        if let Store::Runs(runs) = &self.store {
            return (self.drawable_run(lease)).is_some_and(|run| runs.take(run));
        }
        let Some(position) = self.drawable(lease) else {
            return false;
        };
        let wanted = self.wanted(share);
        match &self.store {
            Store::Runs(_) => false,
            Store::Dense(dense) => dense.take_if(position, wanted),
            Store::Sparse(sparse) => {
                let free = wanted.admits(position)
                    && sparse.owner(position) == shard.id()
                    && !shard.holds(lease)
                    && !sparse.is_foreign(shard.id(), position)
                    && !self.misfits.cover(position);
                if free {
                    sparse.count_bound();
                }
                free
            }
        }
    }

    /// Takes the lease of a binding that is already in the table of `shard`: once for each binding
    /// after recovery, before anything is served. `false` if another binding has it or it is not
    /// (or no longer) the pool's to give; the binding then lives outside the pool until it ends
    /// and must not be [`release`](Self::release)d into it.
    ///
    /// After a change of the key or of a sparse pool's range, a binding may lie in the part of a
    /// shard that is not its client's. Such a *foreign* lease is entered in the pool, where the
    /// part's shard sees it and leaves it alone, until it is released. So that a foreign lease
    /// and an own one cannot be taken for the same position, adopt all those whose
    /// [`owner`](Self::owner) is another shard first, in every shard, and the rest after.
    #[must_use]
    pub fn adopt(&self, shard: ShardId, lease: Lease) -> bool {
        match &self.store {
            Store::Dense(dense) => (self.drawable(lease)).is_some_and(|at| dense.take(at)),
            Store::Sparse(sparse) => {
                (self.drawable(lease)).is_some_and(|at| sparse.adopt(shard, at))
            }
            Store::Runs(runs) => (self.drawable_run(lease)).is_some_and(|run| runs.take(run)),
        }
    }

    /// Whether somebody holds `lease`, asked by a shard that does not: in a sparse pool only a
    /// holder in another shard than the position's own is known.
    pub fn is_taken(&self, lease: Lease) -> bool {
        match &self.store {
            Store::Dense(dense) => (self.drawable(lease)).is_some_and(|at| dense.is_taken(at)),
            Store::Sparse(sparse) => {
                (self.drawable(lease)).is_some_and(|at| sparse.is_foreign(sparse.owner(at), at))
            }
            Store::Runs(runs) => (self.drawable_run(lease)).is_some_and(|run| runs.is_taken(run)),
        }
    }

    /// Keeps from being drawn whatever overlaps `lease`, which is bound and none of this pool's
    /// own: it has another length, from before the range was cut as it is now, or a part of it is
    /// reserved. Once for each such binding, until it is [`release`](Self::release)d.
    pub fn block(&self, lease: Lease) {
        let Some(span) = self.misfit_span(lease) else {
            return;
        };
        let take_all = |take: &dyn Fn(u64) -> bool| {
            let positions = self.unreserved(span);
            positions.fold(true, |whole, position| {
                let taken = take(position);
                whole && taken
            })
        };
        self.misfits.enter(span, || match &self.store {
            Store::Dense(dense) => take_all(&|position| dense.take(position)),
            Store::Sparse(_) => true,
            Store::Runs(runs) => take_all(&|position| runs.take(Run::unit(position))),
        });
    }

    /// Gives back what [`claim`](Self::claim), [`claim_exact`](Self::claim_exact) or
    /// [`adopt`](Self::adopt) took, or [`block`](Self::block) kept; once for each. Reserved leases
    /// and those outside of the pool are left alone.
    pub fn release(&self, lease: Lease) {
        let position = match &self.store {
            Store::Runs(runs) => return self.release_run(runs, lease),
            Store::Dense(_) | Store::Sparse(_) => self.spec.position_of(lease),
        };
        let Some(position) = position else {
            return self.unblock(lease);
        };
        if self.reserved.contains(position) {
            return;
        }
        match &self.store {
            Store::Dense(dense) => dense.release(position),
            Store::Sparse(sparse) => sparse.release(position),
            Store::Runs(_) => {}
        }
    }

    fn release_run(&self, runs: &Runs, lease: Lease) {
        match self.drawable_run(lease) {
            Some(run) => runs.release(run),
            None => self.unblock(lease),
        }
    }

    fn unblock(&self, lease: Lease) {
        let Some(span) = self.misfit_span(lease) else {
            return;
        };
        self.misfits.leave(span, || {
            self.unreserved(span)
                .for_each(|position| match &self.store {
                    Store::Dense(dense) => dense.release(position),
                    Store::Sparse(_) => {}
                    Store::Runs(runs) => runs.release(Run::unit(position)),
                });
        });
    }

    /// Whether each binding is counted, so that [`adopt`](Self::adopt) must be called once and not
    /// more often: `false` for a lease that is bits of the pool, which are set, once or again.
    pub fn counts_adoption(&self, lease: Lease) -> bool {
        !self.fits(lease) || matches!(self.store, Store::Sparse(_))
    }

    /// The shortest length of which a lease is free; of a pool of one length that, if any is.
    pub fn shortest_free(&self) -> Option<u8> {
        let longest = self.spec.unit_len;
        let (Store::Runs(runs), Some(lengths)) = (&self.store, self.spec.lengths) else {
            return (self.counts().free > 0).then_some(longest);
        };
        let mut lens = lengths.shortest..=longest;
        lens.find(|len| runs.has_room(u32::from(longest - len)))
    }

    /// How full it is.
    pub fn counts(&self) -> PoolCounts {
        let size = self.spec.count;
        let reserved = self.reserved.count();
        let bound = match &self.store {
            Store::Dense(dense) => dense.bound(),
            Store::Sparse(sparse) => sparse.bound(),
            Store::Runs(runs) => runs.bound(),
        };
        let bound = u128::from(bound).min(size - reserved);
        PoolCounts {
            size,
            reserved,
            bound,
            free: size - reserved - bound,
        }
    }

    /// The lease's position if it may be drawn at all.
    fn drawable(&self, lease: Lease) -> Option<u64> {
        self.spec
            .position_of(lease)
            .filter(|&position| !self.reserved.contains(position))
    }

    /// The order of runs that are leases of this length.
    fn order(&self, len: u8) -> Option<u32> {
        self.spec.unit_len.checked_sub(len).map(u32::from)
    }

    /// The lease's positions if it may be drawn at all.
    fn drawable_run(&self, lease: Lease) -> Option<Run> {
        let run = self.spec.run_of(lease)?;
        (!self.reserved.overlaps(run.first(), run.last())).then_some(run)
    }

    /// The positions that `lease` overlaps, if it is none of the pool's own and overlaps any.
    fn misfit_span(&self, lease: Lease) -> Option<Span> {
        if self.fits(lease) {
            return None;
        }
        self.spec.positions_touching(lease)
    }

    /// Those of a span that are not reserved.
    fn unreserved(&self, (from, to): Span) -> impl Iterator<Item = u64> {
        (from..=to).filter(|position| !self.reserved.contains(*position))
    }

    /// What of this pool belongs to a share. Of addresses it is the lowest bit that counts, and a
    /// pool may begin with an odd one.
    fn wanted(&self, share: Share) -> Wanted {
        let first_is_odd = self.spec.first & 1 == 1;
        match (self.spec.kind, share.addresses, share.prefixes) {
            (IaKind::Na, Positions::Odd, _) => Wanted::Parity(!first_is_odd),
            (IaKind::Na, Positions::Even, _) => Wanted::Parity(first_is_odd),
            (IaKind::Pd, _, Prefixes::Own(role)) => Wanted::Own(role),
            (IaKind::Pd, _, Prefixes::OwnThenPartners(role)) => Wanted::OwnThenPartners(role),
            (IaKind::Na, Positions::All, _) | (IaKind::Pd, _, Prefixes::All) => Wanted::Any,
        }
    }

    fn hash(&self, ia: &IaKey<'_>, attempt: u32) -> u64 {
        let head = [
            u64::from(ia.iaid.0) << 32 | ia.kind as u64,
            u64::from(attempt),
        ];
        self.positions.prf(&head, ia.duid.octets())
    }

    /// A position of `shard`'s own part of a sparse pool that is free.
    fn draw(&self, shard: &Shard, ia: &IaKey<'_>, wanted: Wanted) -> Option<u64> {
        let Store::Sparse(sparse) = &self.store else {
            return None;
        };
        let parity = match wanted {
            Wanted::Any | Wanted::OwnThenPartners(_) | Wanted::Own(Role::Primary) => None,
            Wanted::Parity(odd) => Some(odd),
            Wanted::Own(Role::Secondary) => return None,
        };
        (0..sparse::ATTEMPTS_MAX)
            .map(|attempt| sparse.candidate(shard.id(), self.hash(ia, attempt), parity))
            .find(|&position| {
                u128::from(position) < self.spec.count
                    && !self.reserved.contains(position)
                    && !shard.holds(self.spec.lease_at(position))
                    && !sparse.is_foreign(shard.id(), position)
                    && !self.misfits.cover(position)
            })
    }
}

const PURPOSE_POSITION: u64 = 1;
const PURPOSE_PERMUTATION: u64 = 2;
