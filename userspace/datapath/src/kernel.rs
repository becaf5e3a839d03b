//! The kernel's UDP socket of an interface.
//!
//! It joins the groups that AF_XDP cannot join, takes what the XDP program leaves to the kernel
//! (fragments, extension headers), and is the whole data path where XDP cannot be had.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use arrayvec::ArrayVec;
use core::ffi::c_int;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, ipproto, socket_with,
    sockopt,
};
use wire::udp::SERVER_PORT;

use crate::interface::InterfaceFacts;
use crate::sys::{self, BATCH, Batch, Control};

/// All_DHCP_Relay_Agents_and_Servers and All_DHCP_Servers (RFC 9915 §7.1).
const GROUPS: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3),
];
/// Octets that may wait in the kernel: some thousands of messages, so that a worker's pause of a
/// few milliseconds loses none.
const RECEIVE_BUFFER: usize = 8 << 20;
/// What every packet leaves with, as the XDP side has it.
const HOP_LIMIT: u8 = 64;

/// The way of an answer through a kernel socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KernelPath {
    pub peer: Ipv6Addr,
    pub peer_port: u16,
    /// The source to answer from; the kernel chooses if it is unspecified.
    pub local: Ipv6Addr,
}

/// A UDP socket at port 547 of one interface. Any worker may send by it.
#[derive(Debug)]
pub(crate) struct KernelSocket {
    fd: OwnedFd,
    interface: u32,
}

impl AsFd for KernelSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl KernelSocket {
    /// Opens the socket and joins the groups on the interface.
    ///
    /// # Errors
    /// What the kernel says, with the step that failed: `PermissionDenied` names the missing
    /// capability, `AddrInUse` means that another program has the port. Its kind is kept.
    pub(crate) fn open(facts: &InterfaceFacts) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(ipproto::UDP);
        let fd = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, protocol)
            .map_err(|error| failed("no IPv6 UDP socket", error.into()))?;
        let interface = facts.index;
        configure(fd.as_fd()).map_err(|error| failed("options of the UDP socket", error))?;
        // Before the port is taken: sockets of two interfaces share it, those of one do not.
        let index = interface as c_int;
        sys::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, &index)
            .map_err(|error| failed("binding to the interface (needs CAP_NET_RAW)", error))?;
        let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0);
        bind(&fd, &any).map_err(|error| failed(bind_failure(error), error.into()))?;
        for group in &GROUPS {
            sockopt::set_ipv6_add_membership(&fd, group, interface)
                .map_err(|error| failed("joining the DHCPv6 multicast groups", error.into()))?;
        }
        Ok(Self { fd, interface })
    }

    /// Sends one datagram; the kernel makes fragments of what exceeds the MTU.
    ///
    /// # Errors
    /// `WouldBlock` when the send buffer is full, and what the kernel says, such as that there is
    /// no route or that `local` is not an address of this host.
    pub(crate) fn send(&self, payload: &[u8], path: &KernelPath) -> io::Result<()> {
        let peer = sys::socket_address(path.peer.octets(), path.peer_port, self.interface);
        let control = Control::packet_info(path.local.octets(), self.interface);
        sys::send_message(self.as_fd(), payload, &peer, &control)
    }
}

/// The address that the kernel would send from to `peer`, by its routes or by those of one
/// interface. Nothing is sent.
///
/// # Errors
/// There is no route, or no socket to be had.
pub(crate) fn source_towards(peer: Ipv6Addr, interface: Option<u32>) -> io::Result<Ipv6Addr> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(ipproto::UDP);
    let fd = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, protocol)?;
    if let Some(index) = interface {
        let index = index as c_int;
        sys::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, &index)?;
    }
    connect(&fd, &SocketAddrV6::new(peer, SERVER_PORT, 0, 0))?;
    match SocketAddrV6::try_from(getsockname(&fd)?) {
        Ok(address) => Ok(*address.ip()),
        Err(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

fn configure(fd: BorrowedFd<'_>) -> io::Result<()> {
    sockopt::set_ipv6_v6only(fd, true)?;
    sockopt::set_ipv6_unicast_hops(fd, Some(HOP_LIMIT))?;
    sockopt::set_ipv6_multicast_hops(fd, u32::from(HOP_LIMIT))?;
    sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1)?;
    // Not the groups that other programs joined.
    sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, &0)?;
    // Past the administrator's limit with CAP_NET_ADMIN, else up to it.
    if sockopt::set_socket_recv_buffer_size_force(fd, RECEIVE_BUFFER).is_err() {
        sockopt::set_socket_recv_buffer_size(fd, RECEIVE_BUFFER)?;
    }
    Ok(())
}

fn bind_failure(error: Errno) -> &'static str {
    match error {
        Errno::ACCESS | Errno::PERM => "UDP port 547 (needs CAP_NET_BIND_SERVICE)",
        Errno::ADDRINUSE => "UDP port 547 of this interface belongs to another program",
        _ => "UDP port 547",
    }
}

fn failed(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// A datagram that the kernel received.
pub(crate) struct KernelDatagram<'f> {
    /// The UDP payload.
    pub payload: &'f [u8],
    pub source: Ipv6Addr,
    pub source_port: u16,
    pub destination: Ipv6Addr,
}

/// Buffers of one worker to receive in.
pub(crate) struct KernelReader {
    batch: Batch,
    /// Datagrams that were not delivered because part of them, or their destination, was missing.
    pub truncated: u64,
}

impl KernelReader {
    pub(crate) fn new() -> Self {
        let batch = Batch::new();
        Self {
            batch,
            truncated: 0,
        }
    }

    /// Takes up to `budget` datagrams and calls `f` with those of each system call; how many were
    /// delivered. None is no error.
    ///
    /// # Errors
    /// What the kernel says before the first datagram; it says again what it said after it.
    pub(crate) fn receive(
        &mut self,
        socket: &KernelSocket,
        budget: usize,
        f: &mut impl FnMut(&[KernelDatagram<'_>]),
    ) -> io::Result<usize> {
        let (mut taken, mut delivered) = (0, 0);
        while taken < budget {
            let asked = (budget - taken).min(BATCH);
            let received = match self.batch.receive(socket.as_fd(), asked) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || taken > 0 => break,
                Err(error) => return Err(error),
            };
            taken += received;
            delivered += self.deliver(f);
            if received < asked {
                break;
            }
        }
        Ok(delivered)
    }

    fn deliver(&mut self, f: &mut impl FnMut(&[KernelDatagram<'_>])) -> usize {
        let mut whole = ArrayVec::<_, BATCH>::new();
        for datagram in self.batch.iter() {
            let Some(destination) = datagram.destination.filter(|_| !datagram.truncated) else {
                self.truncated += 1;
                continue;
            };
            whole.push(KernelDatagram {
                payload: datagram.payload,
                source: datagram.source.sin6_addr.s6_addr.into(),
                source_port: u16::from_be(datagram.source.sin6_port),
                destination: destination.into(),
            });
        }
        f(&whole);
        whole.len()
    }
}

#[cfg(test)]
mod tests;
