//! Leases that belong to one client whether it is there or not.

use crate::lifetime::Lifetimes;
use core::sync::atomic::{AtomicU32, Ordering};
use lease::{Lease, LinkKey};

/// A lease kept for one client on one link, inside or outside the pools.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// The address or delegated prefix.
    pub(crate) lease: Lease,
    /// The link it is configured in.
    pub(crate) link: LinkKey,
    /// What its client is promised.
    pub(crate) lifetimes: Lifetimes,
    /// How many bindings of *other* clients overlap the lease: they were given before it was
    /// reserved. Until they have ended, the lease is not given to its own client.
    foreign_holders: AtomicU32,
}

impl Reservation {
    pub(super) fn new(lease: Lease, link: LinkKey, lifetimes: Lifetimes) -> Self {
        Self {
            lease,
            link,
            lifetimes,
            foreign_holders: AtomicU32::new(0),
        }
    }

    /// Whether no other client holds any of it.
    pub(crate) fn is_clear(&self) -> bool {
        self.foreign_holders.load(Ordering::Acquire) == 0
    }
}

/// Index of a reservation in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReservationId(pub(super) u32);

/// All reservations, in the order of their leases, none overlapping another.
#[derive(Debug, Default)]
pub(crate) struct Reservations(Box<[Reservation]>);

impl Reservations {
    /// From reservations in ascending order that do not overlap.
    pub(super) fn new(sorted: Vec<Reservation>) -> Self {
        Self(sorted.into_boxed_slice())
    }

    pub(super) fn get(&self, id: ReservationId) -> &Reservation {
        &self.0[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Another client than the reservation's holds `lease`.
    pub(crate) fn hold(&self, lease: Lease) {
        for reservation in self.overlapping(lease) {
            reservation.foreign_holders.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whoever held `lease` does so no longer. The own client's lease leaves the count at 0,
    /// because it is not given while anybody else is counted.
    pub(crate) fn release(&self, lease: Lease) {
        for reservation in self.overlapping(lease) {
            // Fails only at 0, where there is nothing to count down.
            let _was = reservation.foreign_holders.fetch_update(
                Ordering::AcqRel,
                Ordering::Acquire,
                |holders| holders.checked_sub(1),
            );
        }
    }

    /// Whether those that share an address with `lease` are held by no other client.
    pub(crate) fn are_clear(&self, lease: Lease) -> bool {
        self.overlapping(lease).all(Reservation::is_clear)
    }

    /// Whether any of them shares an address with `lease`.
    pub(crate) fn overlap(&self, lease: Lease) -> bool {
        self.overlapping(lease).next().is_some()
    }

    /// The reservation of exactly this lease.
    pub(crate) fn exact(&self, lease: Lease) -> Option<&Reservation> {
        let at = self.0.binary_search_by_key(&lease, |r| r.lease).ok()?;
        Some(&self.0[at])
    }

    fn overlapping(&self, lease: Lease) -> impl Iterator<Item = &Reservation> {
        let (first, last) = span(lease);
        let from = self.0.partition_point(|r| span(r.lease).1 < first);
        self.0[from..]
            .iter()
            .take_while(move |r| r.lease.addr <= last)
    }
}

/// First and last address of a lease.
pub(super) fn span(lease: Lease) -> (u128, u128) {
    let host_bits = u128::MAX.checked_shr(u32::from(lease.len)).unwrap_or(0);
    (lease.addr & !host_bits, lease.addr | host_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservations() -> Reservations {
        let lifetimes = Lifetimes {
            preferred_secs: 1,
            valid_secs: 1,
        };
        let leases = [(0x100, 120), (0x205, 128), (0x300, 124)];
        Reservations::new(
            leases
                .into_iter()
                .map(|(addr, len)| Reservation::new(Lease { addr, len }, LinkKey(0), lifetimes))
                .collect(),
        )
    }

    fn clear(all: &Reservations) -> Vec<bool> {
        all.0.iter().map(Reservation::is_clear).collect()
    }

    #[test]
    fn overlapping_holders_block_a_reservation_until_the_last_has_gone() {
        let all = reservations();
        let inside = [
            Lease {
                addr: 0x110,
                len: 124,
            },
            Lease {
                addr: 0x120,
                len: 128,
            },
        ];
        inside.iter().for_each(|lease| all.hold(*lease));
        assert_eq!(clear(&all), [false, true, true]);
        all.release(inside[0]);
        assert_eq!(clear(&all), [false, true, true]);
        all.release(inside[1]);
        assert_eq!(clear(&all), [true; 3]);
    }

    #[test]
    fn a_wide_holder_blocks_all_it_covers_and_a_neighbour_none() {
        let all = reservations();
        all.hold(Lease {
            addr: 0x200,
            len: 119,
        });
        assert_eq!(clear(&all), [true, false, false]);
        all.release(Lease {
            addr: 0x200,
            len: 119,
        });
        all.hold(Lease {
            addr: 0x206,
            len: 128,
        });
        assert_eq!(clear(&all), [true; 3]);
    }

    #[test]
    fn the_own_clients_release_counts_nothing_down() {
        let all = reservations();
        all.release(Lease {
            addr: 0x205,
            len: 128,
        });
        all.hold(Lease {
            addr: 0x205,
            len: 128,
        });
        assert_eq!(clear(&all), [true, false, true]);
    }
}
