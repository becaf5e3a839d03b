//! Datagrams with their destination or source address beside them.

use core::{mem, ptr};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Restricts a socket to one interface.
pub(crate) fn bind_to_device(socket: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    let (level, name) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    let (fd, len) = (socket.as_raw_fd(), interface.len() as libc::socklen_t);
    // SAFETY: pointer and length are those of the name.
    check(unsafe { libc::setsockopt(fd, level, name, interface.as_ptr().cast(), len) })?;
    Ok(())
}

/// A datagram that was read into the caller's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub len: usize,
    pub truncated: bool,
    pub source: Ipv6Addr,
    /// From IPV6_PKTINFO, which the socket must have been asked for.
    pub destination: Option<Ipv6Addr>,
}

/// Room for one `in6_pktinfo` with its header, aligned as headers must be.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// `recvmsg(2)` of a UDP socket with IPV6_RECVPKTINFO.
pub(crate) fn receive_datagram(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; 64]);
    // SAFETY: an address of zeros is a valid value.
    let mut source: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a header of zeros is a valid value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = ptr::from_mut(&mut source).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(&mut control).cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: the header's pointers and lengths are those of live values.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_DONTWAIT) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    Ok(Received {
        len,
        truncated: message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
        source: Ipv6Addr::from(source.sin6_addr.s6_addr),
        destination: packet_info(&message),
    })
}

/// The destination in a received header's control messages.
fn packet_info(message: &libc::msghdr) -> Option<Ipv6Addr> {
    // SAFETY: the header was filled by the kernel and its control buffer is alive.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: non-null headers lie inside the control buffer, aligned.
    while let Some(found) = unsafe { header.as_ref() } {
        if (found.cmsg_level, found.cmsg_type) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) {
            // SAFETY: the header has data behind it, as its type says.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: the data of this type is an in6_pktinfo; it may stand unaligned.
            let info = unsafe { data.cast::<libc::in6_pktinfo>().read_unaligned() };
            return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
        }
        // SAFETY: `header` is one of this message's.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// `sendmsg(2)` of a UDP socket from a given source address and interface.
pub(crate) fn send_datagram(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    peer: &SocketAddrV6,
    local: Ipv6Addr,
    ifindex: u32,
) -> io::Result<()> {
    let mut address = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as u16,
        sin6_port: peer.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr {
            s6_addr: peer.ip().octets(),
        },
        sin6_scope_id: peer.scope_id(),
    };
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr {
            s6_addr: local.octets(),
        },
        ipi6_ifindex: ifindex as _,
    };
    let info_len = size_of::<libc::in6_pktinfo>() as u32;
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    // SAFETY: a header of zeros is a valid value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = ptr::from_mut(&mut address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(&mut control).cast();
    // SAFETY: a computation on numbers.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(info_len) } as usize;
    // SAFETY: the header's control buffer is alive and has room for one message.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    let head = libc::cmsghdr {
        // SAFETY: a computation on numbers.
        cmsg_len: unsafe { libc::CMSG_LEN(info_len) } as usize,
        cmsg_level: libc::IPPROTO_IPV6,
        cmsg_type: libc::IPV6_PKTINFO,
    };
    // SAFETY: the first header lies at the start of the control buffer, aligned.
    unsafe { header.write(head) };
    // SAFETY: the header has data behind it.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: CMSG_SPACE left room for the data, which may stand unaligned.
    unsafe { data.cast::<libc::in6_pktinfo>().write_unaligned(info) };
    // SAFETY: the header's pointers and lengths are those of live values.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_DONTWAIT) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
