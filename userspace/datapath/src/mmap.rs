//! Memory mapped for as long as a value lives.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Size of a huge page asked for; the kernel's default on every machine this runs on.
const HUGE_PAGE: usize = 2 << 20;

/// A mapping of its own, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: memory is not bound to a thread; what is in it is the users' affair.
unsafe impl Send for Mapping {}
// SAFETY: the value itself never changes and gives out nothing but a raw pointer.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory of at least `len` octets.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// Zeroed memory, in huge pages when the machine has that many free, and whether it has.
    pub(crate) fn huge_if_any(len: usize) -> io::Result<(Self, bool)> {
        let flags =
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_POPULATE;
        match Self::map(len.next_multiple_of(HUGE_PAGE), flags, -1, 0) {
            Ok(mapping) => Ok((mapping, true)),
            Err(_) => Ok((Self::anonymous(len)?, false)),
        }
    }

    /// A ring that the kernel shares at `offset` of an AF_XDP socket.
    pub(crate) fn ring(socket: BorrowedFd<'_>, offset: i64, len: usize) -> io::Result<Self> {
        Self::map(
            len,
            libc::MAP_SHARED | libc::MAP_POPULATE,
            socket.as_raw_fd(),
            offset,
        )
    }

    fn map(len: usize, flags: i32, fd: i32, offset: i64) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without MAP_FIXED a new mapping touches no memory that is in use.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and whoever had a pointer into it held it alive.
        unsafe { libc::munmap(self.base.as_ptr().cast::<c_void>(), self.len) };
    }
}
