//! What the kernel says of a network interface.
//!
//! By ioctls, which speak of the calling thread's network namespace, where a mounted /sys may
//! show another one.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::sys;

/// Facts that hold as long as the interface is served.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceFacts {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Octets of the largest IP packet.
    pub mtu: u32,
    /// Receive queues in use.
    pub queues: u32,
    /// The driver, as far as it says so.
    pub driver: Option<String>,
    /// Whether it is one end of a veth pair.
    pub is_veth: bool,
}

/// Asks the kernel.
///
/// # Errors
/// There is no such interface.
pub(crate) fn interface_facts(name: &str) -> io::Result<InterfaceFacts> {
    let fd = socket(AddressFamily::INET6, SocketType::DGRAM, None)?;
    let index = name_to_index(&fd, name)?;
    let driver = sys::driver(fd.as_fd(), name).ok();
    Ok(InterfaceFacts {
        name: name.to_owned(),
        index,
        mac: sys::mac(fd.as_fd(), name)?,
        mtu: sys::mtu(fd.as_fd(), name)?,
        queues: sys::receive_channels(fd.as_fd(), name)
            .ok()
            .filter(|channels| *channels > 0)
            .unwrap_or_else(|| queues_in_sysfs(name, index)),
        is_veth: driver.as_deref() == Some("veth"),
        driver,
    })
}

/// For drivers that do not tell their channels; 1 if /sys is that of another namespace.
fn queues_in_sysfs(name: &str, index: u32) -> u32 {
    let dir = format!("/sys/class/net/{name}");
    let same = fs::read_to_string(format!("{dir}/ifindex"))
        .is_ok_and(|text| text.trim() == index.to_string());
    if !same {
        return 1;
    }
    let queues = fs::read_dir(format!("{dir}/queues")).map_or(0, |entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("rx-"))
            .count()
    });
    (queues as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_and_nonsense_is_not() {
        let lo = interface_facts("lo").unwrap();
        assert_eq!((lo.index, lo.mac, lo.is_veth), (1, [0; 6], false));
        assert!(lo.mtu >= 1280 && lo.queues >= 1);
        assert!(interface_facts("no-such-if").is_err());
        assert!(interface_facts("a-name-that-is-far-too-long").is_err());
    }
}
