//! Asking the memory for something without waiting for it.
//!
//! A load that misses the caches keeps the processor only as far ahead as its reorder buffer
//! reaches, which is less than one message; a prefetch does not wait at all, so those of a whole
//! batch of messages are under way at once.

const LINE: usize = 64;

/// Asks for the cache line at this address, which need not be that of anything.
#[inline]
#[allow(unsafe_code, reason = "the intrinsic takes a raw pointer")]
pub(crate) fn line_at(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint: at no address does it fault, read or write anything.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::without_provenance(address));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for every cache line that `value` lies in.
#[inline]
pub(crate) fn value<T>(value: &T) {
    let first = core::ptr::from_ref(value).addr();
    let last = first + size_of::<T>().max(1) - 1;
    for address in (first..last).step_by(LINE) {
        line_at(address);
    }
    line_at(last);
}
