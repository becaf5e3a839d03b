//! One safe wrapper for each system call that no dependency wraps.

mod interface;
mod udp;

pub(crate) use interface::{driver, mac, mtu, receive_channels};
pub(crate) use udp::{bind_to_device, receive_datagram, send_datagram};

use core::ffi::c_int;
use core::ptr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A type that the kernel reads or writes whole in a socket option.
///
/// # Safety
/// `repr(C)`, without padding, and any bit pattern is a value.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for c_int {}
// SAFETY: two 64-bit and four 32-bit integers.
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: six 64-bit integers.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: sixteen 64-bit integers.
unsafe impl Plain for libc::xdp_mmap_offsets {}

/// `socket(AF_XDP, SOCK_RAW)`.
pub(crate) fn xdp_socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `setsockopt(2)`.
pub(crate) fn set_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let value = ptr::from_ref(value).cast();
    // SAFETY: the pointer and length are those of one plain value.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len) })?;
    Ok(())
}

/// `getsockopt(2)`; what the kernel does not know stays as it is in `value`.
pub(crate) fn get_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    mut value: T,
) -> io::Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    let place = ptr::from_mut(&mut value).cast();
    // SAFETY: pointer and length are those of one plain value, which any bits may be written to.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, place, &mut len) })?;
    Ok(value)
}

/// `bind(2)` of an AF_XDP socket.
pub(crate) fn bind_xdp(socket: BorrowedFd<'_>, address: &libc::sockaddr_xdp) -> io::Result<()> {
    let len = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    let address = ptr::from_ref(address).cast();
    // SAFETY: pointer and length are those of one address.
    check(unsafe { libc::bind(socket.as_raw_fd(), address, len) })?;
    Ok(())
}

/// Wakes the kernel to send what is in a TX ring.
pub(crate) fn kick_transmit(socket: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: an empty message and no address.
    let sent = unsafe { libc::sendto(socket.as_raw_fd(), ptr::null(), 0, flags, ptr::null(), 0) };
    ignore_busy(sent)
}

/// Wakes the kernel to take frames from a FILL ring.
pub(crate) fn kick_receive(socket: BorrowedFd<'_>) -> io::Result<()> {
    let (null, flags) = (ptr::null_mut(), libc::MSG_DONTWAIT);
    // SAFETY: an empty buffer and no place for an address.
    let received = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            ptr::null_mut(),
            0,
            flags,
            null,
            ptr::null_mut(),
        )
    };
    ignore_busy(received)
}

/// EAGAIN, EBUSY and ENOBUFS say that the kernel is at it already or will be asked again.
fn ignore_busy(result: isize) -> io::Result<()> {
    if result >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => Ok(()),
        _ => Err(error),
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
