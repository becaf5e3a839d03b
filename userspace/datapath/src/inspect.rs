//! What a machine offers, for an operator who wants to know before it serves.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::addresses::Addresses;
use crate::interface::{interface_facts, is_running};
use crate::queue::partition;
use crate::sys::{self, EthtoolValue, InterfaceName};
use crate::umem::FRAME_LEN;

/// What the kernel says of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The kernel's index of it.
    pub index: u32,
    /// Octets of the longest IPv6 packet.
    pub mtu: u32,
    /// Receive queues in use; at least one.
    pub queues: u32,
    /// The driver's name, if it has one.
    pub driver: Option<String>,
    /// It is up and has a carrier.
    pub is_running: bool,
    /// Its link-local address, if it has one that is not tentative (RFC 4862 §5.4).
    pub link_local: Option<Ipv6Addr>,
    /// Work that the NIC takes over; `None` if the driver does not tell.
    pub offloads: Option<Offloads>,
}

/// Work that a NIC takes over from the kernel and that XDP does not go well with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// VLAN tags are taken off before the XDP program sees the frame.
    pub rx_vlan: bool,
    /// Received packets are merged (large receive offload).
    pub lro: bool,
}

impl Offloads {
    /// `ETH_FLAG_RXVLAN` and `ETH_FLAG_LRO`.
    const RX_VLAN: u32 = 1 << 8;
    const LRO: u32 = 1 << 15;

    fn of_flags(flags: u32) -> Self {
        Self {
            rx_vlan: flags & Self::RX_VLAN != 0,
            lro: flags & Self::LRO != 0,
        }
    }
}

/// Asks the kernel about an interface of the thread's network namespace.
///
/// # Errors
/// `NotFound` if there is none of this name; else what asking says.
pub fn inspect(name: &str) -> io::Result<Inspection> {
    let facts = interface_facts(name)?;
    let addresses = Addresses::read(name, &[])?;
    Ok(Inspection {
        index: facts.index,
        mtu: facts.mtu,
        queues: facts.queues,
        driver: facts.driver,
        is_running: is_running(name)?,
        link_local: addresses.link_local,
        offloads: offloads(name),
    })
}

fn offloads(name: &str) -> Option<Offloads> {
    let (family, kind) = (AddressFamily::INET6, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None).ok()?;
    let request = InterfaceName::new(name)?;
    let flags = sys::ethtool(socket.as_fd(), request, EthtoolValue::FLAGS).ok()?;
    Some(Offloads::of_flags(flags.data))
}

/// Octets that the frames of one receive queue take, in memory that is locked.
pub fn frame_memory(workers: usize) -> usize {
    partition(workers).frames() as usize * FRAME_LEN
}

/// How well the machine's clock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Something keeps it synchronised.
    pub is_synchronised: bool,
    /// What the kernel is told about how far it is off.
    pub estimated_error: Duration,
}

/// Asks the kernel about the clock.
///
/// # Errors
/// What the system call says.
pub fn clock() -> io::Result<Clock> {
    let (is_synchronised, micros) = sys::clock_state()?;
    Ok(Clock {
        is_synchronised,
        estimated_error: Duration::from_micros(micros.try_into().unwrap_or(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_inspected() {
        let lo = inspect("lo").unwrap();
        assert!(lo.index > 0 && lo.mtu >= 1280 && lo.driver.is_none());
        assert_eq!(
            inspect("tl-none").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn offloads_are_read_from_their_bits() {
        let both = Offloads::of_flags(1 << 8 | 1 << 15);
        assert!(both.rx_vlan && both.lro);
        assert_eq!(Offloads::of_flags(!(1 << 8 | 1 << 15)), Offloads::default());
    }

    #[test]
    fn more_workers_take_no_less_memory() {
        let of = [1, 2, 8, 64].map(frame_memory);
        assert!(of.is_sorted() && of[0] >= 8 << 20, "{of:?}");
    }

    #[test]
    fn the_clock_tells_its_state() {
        clock().unwrap();
    }
}
