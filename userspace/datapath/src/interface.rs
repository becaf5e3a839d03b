//! What the kernel says of a network interface.
//!
//! It is asked by ioctls on a socket, which speak of the thread's own network namespace; sysfs
//! shows the namespace it was mounted from, so it is believed only about the same interface.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use crate::sys::{self, Channels, DriverInfo, InterfaceName};

/// Facts that hold while the interface is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceFacts {
    pub name: String,
    /// The kernel's index of it.
    pub index: u32,
    /// All zero on an interface that has none, such as `lo`.
    pub mac: [u8; 6],
    /// Octets of the longest IPv6 packet.
    pub mtu: u32,
    /// Receive queues in use; at least one.
    pub queues: u32,
    /// The driver's name, if it has one.
    pub driver: Option<String>,
    pub is_veth: bool,
}

/// Asks the kernel for what it knows of an interface.
///
/// # Errors
/// `NotFound` if the thread's network namespace has no interface of this name.
pub(crate) fn interface_facts(name: &str) -> Result<InterfaceFacts, io::Error> {
    let socket = socket_with(
        AddressFamily::INET6,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let socket = socket.as_fd();
    let request = InterfaceName::new(name).ok_or_else(|| not_found(name))?;
    let index = netdevice::name_to_index(socket, name).map_err(|_| not_found(name))?;
    let mac = sys::hardware_address(socket, request)?;
    let driver = driver(socket, request);
    Ok(InterfaceFacts {
        name: name.to_owned(),
        index,
        mac,
        mtu: sys::mtu(socket, request)?,
        queues: queues(socket, request, name, index, mac),
        is_veth: driver.as_deref() == Some("veth"),
        driver,
    })
}

/// Whether packets can come and go by an interface: it is there, up, and has a carrier.
pub(crate) fn is_running(name: &str) -> io::Result<bool> {
    let socket = socket_with(
        AddressFamily::INET6,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let request = InterfaceName::new(name).ok_or_else(|| not_found(name))?;
    sys::is_running(socket.as_fd(), request)
}

fn not_found(name: &str) -> io::Error {
    let message = format!("there is no network interface '{name}' in this network namespace");
    io::Error::new(io::ErrorKind::NotFound, message)
}

fn driver(socket: BorrowedFd<'_>, name: InterfaceName) -> Option<String> {
    let info = sys::ethtool(socket, name, DriverInfo::REQUEST).ok()?;
    let text = info.driver.split(|octet| *octet == 0).next()?;
    let text = String::from_utf8_lossy(text).into_owned();
    (!text.is_empty()).then_some(text)
}

/// Drivers that know no channels are asked by sysfs; where that is another namespace's, one queue
/// is what every interface has.
fn queues(
    socket: BorrowedFd<'_>,
    request: InterfaceName,
    name: &str,
    index: u32,
    mac: [u8; 6],
) -> u32 {
    let channels = sys::ethtool(socket, request, Channels::REQUEST);
    let by_driver = channels.map_or(0, |found| {
        found.rx_count.saturating_add(found.combined_count)
    });
    if by_driver > 0 {
        return by_driver;
    }
    queues_in_sysfs(name, index, mac).unwrap_or(1).max(1)
}

fn queues_in_sysfs(name: &str, index: u32, mac: [u8; 6]) -> Option<u32> {
    let directory = format!("/sys/class/net/{name}");
    let read = |file: &str| fs::read_to_string(format!("{directory}/{file}")).ok();
    let same_index = read("ifindex")?.trim() == index.to_string();
    let same_mac = read("address")?.trim() == mac.map(|octet| format!("{octet:02x}")).join(":");
    if !(same_index && same_mac) {
        return None;
    }
    let entries = fs::read_dir(format!("{directory}/queues")).ok()?;
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    let receiving = names.filter(|name| name.as_encoded_bytes().starts_with(b"rx-"));
    u32::try_from(receiving.count()).ok()
}

#[cfg(test)]
mod tests {
    use super::interface_facts;
    use std::io::ErrorKind;

    #[test]
    fn loopback_is_known() {
        let lo = interface_facts("lo").unwrap();
        assert_eq!(
            (lo.name.as_str(), lo.mac, lo.is_veth),
            ("lo", [0; 6], false)
        );
        assert!(lo.index > 0 && lo.queues > 0 && lo.mtu >= 1280);
    }

    #[test]
    fn an_unknown_interface_is_named_in_the_error() {
        for name in ["tl-none", "", "a-name-longer-than-the-kernel-takes", "a\0b"] {
            let error = interface_facts(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{name:?}");
            assert!(error.to_string().contains(name));
        }
    }
}
