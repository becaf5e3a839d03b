//! The ordinary UDP socket of an interface.
//!
//! It joins the multicast groups, which AF_XDP cannot; it gets what the XDP program left to the
//! kernel, such as fragments; and without XDP it is the whole data path.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::{IPPROTO_IPV6, SOL_SOCKET};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrV6, SocketFlags, SocketType, bind, socket_with};
use wire::frame::HOP_LIMIT_DEFAULT;
use wire::udp::SERVER_PORT;

use crate::interface::InterfaceFacts;
use crate::sys;

/// All_DHCP_Relay_Agents_and_Servers and All_DHCP_Servers (RFC 9915 §7.1).
const GROUPS: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2),
    Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3),
];
/// Octets the kernel may keep for us: tens of thousands of Solicits.
const RECEIVE_BUFFER: i32 = 8 << 20;
/// The longest UDP payload without a jumbogram.
const DATAGRAM_MAX: usize = 65_535;
/// `IPV6_MULTICAST_ALL` of linux/in6.h.
const IPV6_MULTICAST_ALL: i32 = 29;

/// The way back of a datagram that came by the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelPath {
    /// Who is answered.
    pub peer: Ipv6Addr,
    /// At which port.
    pub peer_port: u16,
    /// Where the answer comes from.
    pub local: Ipv6Addr,
}

/// The socket; any worker may answer by it, one reads it.
#[derive(Debug)]
pub(crate) struct KernelSocket {
    fd: OwnedFd,
    ifindex: u32,
}

impl AsFd for KernelSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl KernelSocket {
    /// Binds port 547 of the interface and joins the groups there.
    ///
    /// # Errors
    /// What the kernel says: AddrInUse if another server is there, PermissionDenied without the
    /// right to a low port.
    pub(crate) fn open(facts: &InterfaceFacts) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::INET6, SocketType::DGRAM, flags, None)?;
        sys::bind_to_device(fd.as_fd(), &facts.name)?;
        sockopt::set_ipv6_v6only(&fd, true)?;
        sys::set_option(fd.as_fd(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, &0_i32)?;
        sys::set_option(fd.as_fd(), IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1_i32)?;
        let force = sys::set_option(
            fd.as_fd(),
            SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            &RECEIVE_BUFFER,
        );
        if force.is_err() {
            // Without the right to more, the system's limit has to do.
            sockopt::set_socket_recv_buffer_size(&fd, RECEIVE_BUFFER as usize)?;
        }
        sockopt::set_ipv6_unicast_hops(&fd, Some(HOP_LIMIT_DEFAULT))?;
        sockopt::set_ipv6_multicast_hops(&fd, u32::from(HOP_LIMIT_DEFAULT))?;
        bind(
            &fd,
            &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0),
        )?;
        for group in GROUPS {
            sockopt::set_ipv6_add_membership(&fd, &group, facts.index)?;
        }
        Ok(Self {
            fd,
            ifindex: facts.index,
        })
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// What the kernel says, for instance that the peer is unreachable.
    pub(crate) fn send(&self, payload: &[u8], path: &KernelPath) -> io::Result<()> {
        let scope = match path.peer.is_unicast_link_local() {
            true => self.ifindex,
            false => 0,
        };
        let peer = SocketAddrV6::new(path.peer, path.peer_port, 0, scope);
        sys::send_datagram(self.as_fd(), payload, &peer, path.local, self.ifindex)
    }
}

/// A datagram as the kernel gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelDatagram<'f> {
    pub payload: &'f [u8],
    pub source: Ipv6Addr,
    pub destination: Ipv6Addr,
}

/// What reads a socket: a buffer for the longest datagram.
pub(crate) struct KernelReader {
    buffer: Box<[u8]>,
    /// Datagrams that did not fit the buffer, or came without their destination, since the start.
    pub truncated: u64,
}

impl KernelReader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; DATAGRAM_MAX].into_boxed_slice(),
            truncated: 0,
        }
    }

    /// Reads up to `budget` datagrams and calls `f` for each; how many were read.
    ///
    /// # Errors
    /// What the kernel says, unless it is that there are no more.
    pub(crate) fn receive(
        &mut self,
        socket: &KernelSocket,
        budget: usize,
        f: &mut impl FnMut(KernelDatagram<'_>),
    ) -> io::Result<usize> {
        let mut read = 0;
        while read < budget {
            let received = match sys::receive_datagram(socket.as_fd(), &mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            read += 1;
            match (received.destination, self.buffer.get(..received.len)) {
                (Some(destination), Some(payload)) if !received.truncated => f(KernelDatagram {
                    payload,
                    source: received.source,
                    destination,
                }),
                _ => self.truncated += 1,
            }
        }
        Ok(read)
    }
}
