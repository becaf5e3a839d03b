//! A received frame as the walk in `steer` reads it: the one place with packet pointers.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;

use crate::steer::{FRAME_LEN_MAX, Octets};

/// The frame of an XDP context.
///
/// Every load is checked against the frame's end here, and by the kernel's verifier again.
pub struct Frame {
    data: usize,
    data_end: usize,
}

impl Frame {
    /// The frame that the program was called for.
    #[inline(always)]
    pub fn new(context: &XdpContext) -> Self {
        Self {
            data: context.data(),
            data_end: context.data_end(),
        }
    }
}

impl Octets for Frame {
    #[inline(always)]
    fn size(&self) -> usize {
        self.data_end - self.data
    }

    #[inline(always)]
    fn load<const N: usize>(&self, at: usize) -> Option<&[u8; N]> {
        let start = self.data + bounded(at);
        if start + N > self.data_end {
            return None;
        }
        // SAFETY: `start..start + N` is within `data..data_end`, which the kernel keeps readable
        // and unchanged while the program runs; octets need no alignment.
        Some(unsafe { &*(start as *const [u8; N]) })
    }

    #[inline(always)]
    fn bounded(&self, offset: usize) -> usize {
        bounded(offset)
    }

    #[inline(always)]
    fn sign(&self, mut value: usize) -> usize {
        // SAFETY: computes on one register.
        unsafe {
            asm!("{0} s>>= 63", inout(reg) value, options(pure, nomem, nostack));
        }
        value
    }

    #[inline(always)]
    fn unknown(&self, mut mask: usize) -> usize {
        // SAFETY: computes on one register.
        unsafe {
            asm!("{0} = be64 {0}", inout(reg) mask, options(pure, nomem, nostack));
        }
        mask
    }

    #[inline(always)]
    fn masked(&self, mut value: usize, mask: usize) -> usize {
        // SAFETY: computes on two registers.
        unsafe {
            asm!("{0} &= {1}", inout(reg) value, in(reg) mask, options(pure, nomem, nostack));
        }
        value
    }
}

/// `at`, after an AND with `FRAME_LEN_MAX - 1` that the compiler cannot prove away: the verifier
/// learns a bound for the offset from it and forgets any narrower one. States that differ only in
/// how far the walk has come are then the same to it, and are followed once.
#[inline(always)]
fn bounded(mut at: usize) -> usize {
    // SAFETY: computes on one register.
    unsafe {
        asm!("{at} &= {mask}", at = inout(reg) at, mask = const FRAME_LEN_MAX - 1,
            options(pure, nomem, nostack));
    }
    at
}
