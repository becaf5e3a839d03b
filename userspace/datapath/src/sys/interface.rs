//! Questions about interfaces.

use core::{mem, ptr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The MAC address of an interface; zeros where it has none of six octets.
pub(crate) fn mac(socket: BorrowedFd<'_>, interface: &str) -> io::Result<[u8; 6]> {
    let mut request = interface_request(interface)?;
    ioctl(socket, libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: this request fills this member.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let mut mac = [0; 6];
    for (octet, from) in mac.iter_mut().zip(address.sa_data) {
        *octet = from as u8;
    }
    Ok(mac)
}

/// The MTU of an interface, octets.
pub(crate) fn mtu(socket: BorrowedFd<'_>, interface: &str) -> io::Result<u32> {
    let mut request = interface_request(interface)?;
    ioctl(socket, libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: this request fills this member.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(mtu.max(0) as u32)
}

/// `struct ethtool_drvinfo` of linux/ethtool.h.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels` of linux/ethtool.h.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const ETHTOOL_GDRVINFO: u32 = 0x3;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// The name of an interface's driver.
pub(crate) fn driver(socket: BorrowedFd<'_>, interface: &str) -> io::Result<String> {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    ethtool(socket, interface, &mut info)?;
    let name = info
        .driver
        .split(|octet| *octet == 0)
        .next()
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// How many receive queues of an interface are in use.
pub(crate) fn receive_channels(socket: BorrowedFd<'_>, interface: &str) -> io::Result<u32> {
    let mut channels = Channels {
        command: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    ethtool(socket, interface, &mut channels)?;
    Ok(channels.rx + channels.combined)
}

/// `T` begins with the command and is the structure of that command.
fn ethtool<T>(socket: BorrowedFd<'_>, interface: &str, data: &mut T) -> io::Result<()> {
    let mut request = interface_request(interface)?;
    request.ifr_ifru.ifru_data = ptr::from_mut(data).cast();
    ioctl(socket, libc::SIOCETHTOOL, &mut request)
}

fn interface_request(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: a request of zeros is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, octet) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = octet as libc::c_char;
    }
    Ok(request)
}

fn ioctl(
    socket: BorrowedFd<'_>,
    command: libc::c_ulong,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: each of the commands used here reads and writes one ifreq, and what it points to.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), command as _, ptr::from_mut(request)) })?;
    Ok(())
}
