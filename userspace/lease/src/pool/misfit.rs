//! Leases in a pool's range that are none of the pool's: given before the range was cut as it is now.
//!
//! An operator changes a delegated length, or makes an address pool where a prefix pool was; the
//! clients of the former pool keep their leases until those end. Whatever of the new pool overlaps
//! such a lease must not be given meanwhile.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, PoisonError, TryLockError};

/// First and last position that a misfit overlaps.
pub(super) type Span = (u64, u64);

/// The misfits of one pool. Empty, and then one load, unless a range was cut anew under existing
/// bindings.
#[derive(Debug, Default)]
pub(super) struct Misfits {
    len: AtomicUsize,
    holders: Mutex<BTreeMap<Span, Holders>>,
}

/// Who overlaps the positions of a span: one lease that is longer than the pool's, or several that
/// lie within one of them.
#[derive(Debug)]
struct Holders {
    count: u32,
    /// Whether every position of the span could be blocked for them; otherwise the span stays
    /// blocked, because it is not known whose the positions are.
    whole: bool,
}

impl Misfits {
    /// One more lease overlaps `span`. `block` is called for the first: it takes the positions and
    /// tells whether all were free.
    pub(super) fn enter(&self, span: Span, block: impl FnOnce() -> bool) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        match holders.entry(span) {
            Entry::Occupied(mut there) => there.get_mut().count += 1,
            Entry::Vacant(place) => {
                // Before the positions are looked at by anyone who comes later.
                self.len.fetch_add(1, Ordering::SeqCst);
                place.insert(Holders {
                    count: 1,
                    whole: block(),
                });
            }
        }
    }

    /// One lease that overlapped `span` has ended. `unblock` is called for the last.
    pub(super) fn leave(&self, span: Span, unblock: impl FnOnce()) {
        if self.is_empty() {
            return;
        }
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(there) = holders.get_mut(&span) else {
            return;
        };
        there.count = there.count.saturating_sub(1);
        if there.count == 0 && there.whole {
            holders.remove(&span);
            unblock();
            self.len.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether a misfit overlaps `position`. Never waits: while misfits change, every position
    /// counts as overlapped, which costs the claim that asks one of its attempts.
    pub(super) fn cover(&self, position: u64) -> bool {
        if self.is_empty() {
            return false;
        }
        let holders = match self.holders.try_lock() {
            Ok(holders) => holders,
            Err(TryLockError::Poisoned(holders)) => holders.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let before = holders.range(..=(position, u64::MAX)).next_back();
        before.is_some_and(|((_, last), _)| *last >= position)
    }

    fn is_empty(&self) -> bool {
        self.len.load(Ordering::SeqCst) == 0
    }
}
