//! One safe wrapper for each system call that no dependency wraps.

use core::ffi::c_int;
use core::{mem, ptr};
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

/// An interface's name as ioctls take it.
#[derive(Clone, Copy)]
pub(crate) struct InterfaceName([u8; libc::IFNAMSIZ]);

impl InterfaceName {
    /// `None` for what cannot be the name of an interface.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let mut octets = [0; libc::IFNAMSIZ];
        let fits = !name.is_empty() && name.len() < octets.len() && !name.contains('\0');
        let place = octets.get_mut(..name.len()).filter(|_| fits)?;
        place.copy_from_slice(name.as_bytes());
        Some(Self(octets))
    }
}

/// `struct ifreq` with its union as octets.
#[repr(C, align(8))]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    data: [u8; 24],
}

const _: () = assert!(size_of::<InterfaceRequest>() >= size_of::<libc::ifreq>());

/// The Ethernet address of an interface; all zero if it has none.
pub(crate) fn hardware_address(socket: BorrowedFd<'_>, name: InterfaceName) -> io::Result<[u8; 6]> {
    let mut request = InterfaceRequest {
        name: name.0,
        data: [0; 24],
    };
    let place = ptr::from_mut(&mut request);
    // SAFETY: the kernel reads the name and writes a `sockaddr` within the request.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, place) })?;
    let [
        high,
        low,
        mac @ ..,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = request.data;
    match u16::from_ne_bytes([high, low]) {
        libc::ARPHRD_ETHER => Ok(mac),
        _ => Ok([0; 6]),
    }
}

/// The MTU of an interface in octets.
pub(crate) fn mtu(socket: BorrowedFd<'_>, name: InterfaceName) -> io::Result<u32> {
    let mut request = InterfaceRequest {
        name: name.0,
        data: [0; 24],
    };
    let place = ptr::from_mut(&mut request);
    // SAFETY: the kernel reads the name and writes an integer within the request.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, place) })?;
    let [a, b, c, d, ..] = request.data;
    Ok(u32::from_ne_bytes([a, b, c, d]))
}

/// Whether an interface is up and has a carrier, or something like it.
pub(crate) fn is_running(socket: BorrowedFd<'_>, name: InterfaceName) -> io::Result<bool> {
    let mut request = InterfaceRequest {
        name: name.0,
        data: [0; 24],
    };
    let place = ptr::from_mut(&mut request);
    // SAFETY: the kernel reads the name and writes a short integer within the request.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, place) })?;
    let [low, high, ..] = request.data;
    let flags = i32::from(i16::from_ne_bytes([low, high]));
    Ok(flags & libc::IFF_UP != 0 && flags & libc::IFF_RUNNING != 0)
}

/// `adjtimex(2)`, asking only: whether the clock is kept synchronised by anything, and the
/// estimated error in microseconds.
pub(crate) fn clock_state() -> io::Result<(bool, i64)> {
    // SAFETY: integers and padding, for which zeros are values; no mode is set, so nothing changes.
    let mut timex: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: the pointer is that of one live structure, which the kernel writes whole.
    check(unsafe { libc::adjtimex(&mut timex) })?;
    Ok((timex.status & libc::STA_UNSYNC == 0, timex.esterror))
}

/// What an ethtool request reads and writes, its command first.
///
/// # Safety
/// `repr(C)`, the very structure that the kernel has for the command it carries.
pub(crate) unsafe trait Ethtool: Copy {}

/// `struct ethtool_drvinfo`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct DriverInfo {
    command: u32,
    /// The driver's name, ended by a zero.
    pub driver: [u8; 32],
    rest: [u8; 160],
}

impl DriverInfo {
    /// `ETHTOOL_GDRVINFO`.
    pub(crate) const REQUEST: Self = Self {
        command: 0x03,
        driver: [0; 32],
        rest: [0; 160],
    };
}

// SAFETY: a command, five texts of 32 octets, twelve octets, five integers: 196 octets.
unsafe impl Ethtool for DriverInfo {}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_channels`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Channels {
    command: u32,
    max: [u32; 4],
    /// Queues that only receive.
    pub rx_count: u32,
    tx_count: u32,
    other_count: u32,
    /// Queues that receive and send.
    pub combined_count: u32,
}

impl Channels {
    /// `ETHTOOL_GCHANNELS`.
    pub(crate) const REQUEST: Self = Self {
        command: 0x3c,
        max: [0; 4],
        rx_count: 0,
        tx_count: 0,
        other_count: 0,
        combined_count: 0,
    };
}

// SAFETY: nine integers, as the kernel has them.
unsafe impl Ethtool for Channels {}

/// `struct ethtool_value`: a setting or a set of flags.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct EthtoolValue {
    command: u32,
    /// What the command asks for.
    pub data: u32,
}

impl EthtoolValue {
    /// `ETHTOOL_GFLAGS`.
    pub(crate) const FLAGS: Self = Self {
        command: 0x25,
        data: 0,
    };
}

// SAFETY: two integers, as the kernel has them.
unsafe impl Ethtool for EthtoolValue {}

/// `ioctl(SIOCETHTOOL)`.
pub(crate) fn ethtool<T: Ethtool>(
    socket: BorrowedFd<'_>,
    name: InterfaceName,
    mut value: T,
) -> io::Result<T> {
    #[repr(C)]
    struct Request<T> {
        name: [u8; libc::IFNAMSIZ],
        data: *mut T,
        rest: [u8; 16],
    }
    let mut request = Request {
        name: name.0,
        data: &mut value,
        rest: [0; 16],
    };
    let place = ptr::from_mut(&mut request);
    // SAFETY: the request points at a structure of the size that its command implies.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, place) })?;
    Ok(value)
}

/// `sendmsg(2)` of one datagram with ancillary data.
pub(crate) fn send_message(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    peer: &libc::sockaddr_in6,
    control: &Control,
) -> io::Result<()> {
    let mut vector = libc::iovec {
        iov_base: payload.as_ptr().cast_mut().cast(),
        iov_len: payload.len(),
    };
    let mut message = empty_message();
    message.msg_name = ptr::from_ref(peer).cast_mut().cast();
    message.msg_namelen = ADDRESS_LEN;
    message.msg_iov = &mut vector;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_ref(control).cast_mut().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: every pointer and length is that of a live value, which the kernel only reads.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
/// Octets of a control message's header.
const CONTROL_HEADER_LEN: usize = size_of::<libc::cmsghdr>();
/// Octets of one control message that carries a `struct in6_pktinfo`, padded.
const CONTROL_LEN: usize = CONTROL_HEADER_LEN + 24;

/// Ancillary data with the one control message `IPV6_PKTINFO` (RFC 3542 §6).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; CONTROL_LEN]);

impl Control {
    const EMPTY: Self = Self([0; CONTROL_LEN]);

    /// To send from this address by this interface.
    pub(crate) fn packet_info(address: [u8; 16], interface: u32) -> Self {
        let mut control = Self::EMPTY;
        let len = CONTROL_HEADER_LEN + size_of::<libc::in6_pktinfo>();
        let kind = CONTROL_HEADER_LEN - 8;
        control.0[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
        control.0[kind..kind + 4].copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
        control.0[kind + 4..kind + 8].copy_from_slice(&libc::IPV6_PKTINFO.to_ne_bytes());
        let data = &mut control.0[CONTROL_HEADER_LEN..];
        data[..16].copy_from_slice(&address);
        data[16..20].copy_from_slice(&interface.to_ne_bytes());
        control
    }

    /// The address in a received control message.
    fn destination(&self) -> Option<[u8; 16]> {
        let kind = CONTROL_HEADER_LEN - 8;
        let is_info = self.0[kind..kind + 4] == libc::IPPROTO_IPV6.to_ne_bytes()
            && self.0[kind + 4..kind + 8] == libc::IPV6_PKTINFO.to_ne_bytes();
        let address = self.0.get(CONTROL_HEADER_LEN..CONTROL_HEADER_LEN + 16)?;
        address.try_into().ok().filter(|_| is_info)
    }
}

/// Datagrams received at one call.
pub(crate) const BATCH: usize = 32;
/// Octets for each: no UDP payload is longer without a jumbogram.
const DATAGRAM_LEN: usize = 64 * 1024;

/// Buffers for `recvmmsg(2)`, and what the last call put there.
pub(crate) struct Batch {
    /// Zeroed by the kernel page by page when first written to, so short datagrams cost little.
    octets: Box<[u8]>,
    slots: Box<[Slot; BATCH]>,
    received: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    source: libc::sockaddr_in6,
    control: Control,
    len: usize,
    flags: c_int,
}

/// A datagram of a [`Batch`].
pub(crate) struct BatchDatagram<'b> {
    pub payload: &'b [u8],
    pub source: &'b libc::sockaddr_in6,
    /// `None` if the kernel did not say.
    pub destination: Option<[u8; 16]>,
    /// The end is missing.
    pub truncated: bool,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let slot = Slot {
            source: socket_address([0; 16], 0, 0),
            control: Control::EMPTY,
            len: 0,
            flags: 0,
        };
        Self {
            octets: vec![0; BATCH * DATAGRAM_LEN].into_boxed_slice(),
            slots: Box::new([slot; BATCH]),
            received: 0,
        }
    }

    /// Replaces what is here by up to `max` datagrams that the socket has; how many.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, max: usize) -> io::Result<usize> {
        self.received = 0;
        let max = max.min(BATCH);
        let empty = libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        let mut vectors = [empty; BATCH];
        let mut messages = [libc::mmsghdr {
            msg_hdr: empty_message(),
            msg_len: 0,
        }; BATCH];
        let buffers = self
            .octets
            .chunks_exact_mut(DATAGRAM_LEN)
            .zip(self.slots.iter_mut());
        let places = messages.iter_mut().zip(&mut vectors).take(max);
        for ((message, vector), (octets, slot)) in places.zip(buffers) {
            slot.control = Control::EMPTY;
            vector.iov_base = octets.as_mut_ptr().cast();
            vector.iov_len = octets.len();
            message.msg_hdr.msg_name = ptr::from_mut(&mut slot.source).cast();
            message.msg_hdr.msg_namelen = ADDRESS_LEN;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = ptr::from_mut(&mut slot.control).cast();
            message.msg_hdr.msg_controllen = CONTROL_LEN as _;
        }
        let (fd, first, flags) = (
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            libc::MSG_DONTWAIT,
        );
        // SAFETY: `max` headers are filled with pointers into buffers that live and are ours alone.
        let count = unsafe { libc::recvmmsg(fd, first, max as _, flags as _, ptr::null_mut()) };
        self.received = check(count)? as usize;
        for (slot, message) in self.slots.iter_mut().zip(&messages[..self.received]) {
            slot.len = message.msg_len as usize;
            slot.flags = message.msg_hdr.msg_flags;
        }
        Ok(self.received)
    }

    /// What the last call received.
    pub(crate) fn iter(&self) -> impl Iterator<Item = BatchDatagram<'_>> {
        let filled = self
            .octets
            .chunks_exact(DATAGRAM_LEN)
            .zip(self.slots.iter());
        filled
            .take(self.received)
            .map(|(octets, slot)| BatchDatagram {
                payload: octets.get(..slot.len).unwrap_or(octets),
                source: &slot.source,
                destination: slot.control.destination(),
                truncated: slot.flags & libc::MSG_TRUNC != 0,
            })
    }
}

/// An IPv6 socket address.
pub(crate) fn socket_address(address: [u8; 16], port: u16, scope: u32) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: address },
        sin6_scope_id: scope,
    }
}

fn empty_message() -> libc::msghdr {
    // SAFETY: null pointers, no lengths, no flags; `zeroed` because some C libraries pad it.
    unsafe { mem::zeroed() }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
