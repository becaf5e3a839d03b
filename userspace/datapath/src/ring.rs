//! One end of a ring shared with the kernel: two cursors and an array of descriptors.
//!
//! A pure structure: it works as well over anonymous memory with both ends in userspace, which is
//! how it is tested. Cursors run free over the whole of `u32` and wrap; their difference is the
//! number of filled places. Each end keeps the other's cursor cached and reads it again only when
//! the cache says that there is nothing to do.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use crate::mmap::Mapping;

/// Where the parts of a ring lie in its mapping, in octets (`struct xdp_ring_offset`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub producer: usize,
    pub consumer: usize,
    pub flags: usize,
    pub descriptors: usize,
}

/// A type that the kernel and userspace exchange by value in rings.
///
/// # Safety
/// Any bit pattern is a value of the type, and it needs no more than 8-octet alignment.
pub(crate) unsafe trait Descriptor: Copy {}

// SAFETY: an integer.
unsafe impl Descriptor for u64 {}
// SAFETY: three integers, aligned to 8.
unsafe impl Descriptor for libc::xdp_desc {}

/// The memory of a ring. The pointers stay valid for as long as the mapping does.
struct Shared<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    descriptors: NonNull<T>,
    /// Number of places less one; the number is a power of two.
    mask: u32,
    _mapping: Arc<Mapping>,
}

// SAFETY: the pointers are into memory that the mapping keeps alive on whatever thread; the
// cursors are atomic, and descriptors are only touched in the places that the cursors give an end.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T: Descriptor> Shared<T> {
    /// # Panics
    /// If the layout is not inside the mapping or not aligned: the kernel told us so itself.
    fn new(mapping: Arc<Mapping>, layout: Layout, places: u32) -> Self {
        assert!(places.is_power_of_two(), "{places} places");
        let (base, len) = (mapping.base(), mapping.len());
        let cursor = |offset: usize| {
            assert!(
                offset.is_multiple_of(4) && offset + 4 <= len,
                "cursor at {offset} of {len}"
            );
            // SAFETY: the offset is inside the mapping, as was just checked.
            unsafe { base.add(offset) }.cast::<AtomicU32>()
        };
        let octets = places as usize * size_of::<T>();
        let at = layout.descriptors;
        assert!(
            at.is_multiple_of(8) && at + octets <= len,
            "descriptors at {at} of {len}"
        );
        // SAFETY: the offset is inside the mapping, as was just checked.
        let descriptors = unsafe { base.add(at) }.cast();
        Self {
            producer: cursor(layout.producer),
            consumer: cursor(layout.consumer),
            flags: cursor(layout.flags),
            descriptors,
            mask: places - 1,
            _mapping: mapping,
        }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: points into the mapping, aligned; shared with the kernel only as an atomic.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: points into the mapping, aligned; shared with the kernel only as an atomic.
        unsafe { self.consumer.as_ref() }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: points into the mapping, aligned; shared with the kernel only as an atomic.
        let flags = unsafe { self.flags.as_ref() };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn place(&self, cursor: u32) -> NonNull<T> {
        // SAFETY: masked, the index is below the number of places, all inside the mapping.
        unsafe { self.descriptors.add((cursor & self.mask) as usize) }
    }

    fn places(&self) -> u32 {
        self.mask + 1
    }
}

/// The end that fills places: FILL and TX rings.
pub(crate) struct Producer<T> {
    shared: Shared<T>,
    /// The next place to fill; published by [`Self::publish`].
    next: u32,
    cached_consumer: u32,
}

impl<T: Descriptor> Producer<T> {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout, places: u32) -> Self {
        let shared = Shared::new(mapping, layout, places);
        let next = shared.producer().load(Ordering::Relaxed);
        let cached_consumer = shared.consumer().load(Ordering::Acquire);
        Self {
            shared,
            next,
            cached_consumer,
        }
    }

    /// Fills the next place, unseen by the other end until [`Self::publish`]; gives the descriptor
    /// back when the ring is full.
    pub(crate) fn push(&mut self, descriptor: T) -> Result<(), T> {
        if self.next.wrapping_sub(self.cached_consumer) == self.shared.places() {
            self.cached_consumer = self.shared.consumer().load(Ordering::Acquire);
            if self.next.wrapping_sub(self.cached_consumer) == self.shared.places() {
                return Err(descriptor);
            }
        }
        let place = self.shared.place(self.next);
        // SAFETY: the place is between the producer's and the consumer's cursor, so it is ours.
        unsafe { place.write(descriptor) };
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Shows what was pushed to the other end.
    pub(crate) fn publish(&mut self) {
        self.shared.producer().store(self.next, Ordering::Release);
    }

    /// Places that the other end has not consumed yet, unpublished ones included.
    pub(crate) fn pending(&mut self) -> u32 {
        self.cached_consumer = self.shared.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.cached_consumer)
    }

    /// Whether the kernel asks to be woken before it looks at this ring again.
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.shared.needs_wakeup()
    }
}

/// The end that empties places: RX and COMPLETION rings.
pub(crate) struct Consumer<T> {
    shared: Shared<T>,
    /// The next place to read; given back by [`Self::release`].
    next: u32,
    cached_producer: u32,
}

impl<T: Descriptor> Consumer<T> {
    pub(crate) fn new(mapping: Arc<Mapping>, layout: Layout, places: u32) -> Self {
        let shared = Shared::new(mapping, layout, places);
        let next = shared.consumer().load(Ordering::Relaxed);
        let cached_producer = shared.producer().load(Ordering::Acquire);
        Self {
            shared,
            next,
            cached_producer,
        }
    }

    /// Takes the next filled place. The other end may not fill it again until [`Self::release`].
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the place is between the consumer's and the producer's cursor, so it is ours,
        // and the load with Acquire made what the producer wrote there visible.
        let descriptor = unsafe { self.shared.place(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(descriptor)
    }

    /// Whether there is nothing to take.
    pub(crate) fn is_empty(&mut self) -> bool {
        if self.next == self.cached_producer {
            self.cached_producer = self.shared.producer().load(Ordering::Acquire);
        }
        self.next == self.cached_producer
    }

    /// Gives the places that were taken back to the other end.
    pub(crate) fn release(&mut self) {
        self.shared.consumer().store(self.next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
