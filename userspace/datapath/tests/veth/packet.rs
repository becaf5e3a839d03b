//! Whole Ethernet frames of an interface, by AF_PACKET.

use std::io;
use std::mem::size_of;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::Namespace;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with, sockopt};
use wire::udp::{CLIENT_PORT, SERVER_PORT};
use wire::{ReplyPath, VlanTags};

use crate::link::{ALL_SERVERS, solicit};

/// Octets of both MAC addresses, behind which the tags stand.
const TAGS_AT: usize = 12;

/// A socket that sends and receives whole frames, tags and all.
pub struct PacketSocket(OwnedFd);

/// Room for the one control message that is asked for; as CMSG_SPACE(3) lays it out.
#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    auxiliary: libc::tpacket_auxdata,
}

impl PacketSocket {
    /// Opens the interface; a receive call gives up after `patience`.
    pub fn open(namespace: &Namespace, interface: &str, patience: Duration) -> Result<Self> {
        let (index, _) = namespace.link(interface)?;
        let fd = namespace.inside(|| {
            let (family, flags) = (AddressFamily::PACKET, SocketFlags::CLOEXEC);
            Ok(socket_with(family, SocketType::RAW, flags, None)?)
        })?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(patience))?;
        let socket = Self(fd);
        socket.ask_for_tags().context("PACKET_AUXDATA")?;
        socket.bind(index).context("bind to the interface")?;
        Ok(socket)
    }

    fn ask_for_tags(&self) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads an integer of the length given, which lives until the call ends.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as u32,
            )
        };
        check(result as isize).map(drop)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        // SAFETY: the kernel reads an address of the length given, which lives until the call ends.
        let result = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as u32,
            )
        };
        check(result as isize).map(drop)
    }

    /// Sends a frame as it is.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        send(&self.0, frame, SendFlags::empty())?;
        Ok(())
    }

    /// The next frame of either direction. The kernel takes the outermost tag out of what it
    /// receives and tells it apart; here it stands in its place again.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0_u8; 2048];
        let mut control = Control {
            header: libc::cmsghdr {
                cmsg_len: 0,
                cmsg_level: 0,
                cmsg_type: 0,
            },
            auxiliary: libc::tpacket_auxdata {
                tp_status: 0,
                tp_len: 0,
                tp_snaplen: 0,
                tp_mac: 0,
                tp_net: 0,
                tp_vlan_tci: 0,
                tp_vlan_tpid: 0,
            },
        };
        let mut part = libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: frame.len(),
        };
        let mut header = libc::msghdr {
            msg_name: core::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: &raw mut part,
            msg_iovlen: 1,
            msg_control: (&raw mut control).cast(),
            msg_controllen: size_of::<Control>(),
            msg_flags: 0,
        };

        // SAFETY: the kernel writes into `frame` and `control` within the lengths given; both live
        // until the call ends, and any octets are a value of theirs.
        let received = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut header, 0) };
        frame.truncate(check(received)?);
        let is_auxiliary = control.header.cmsg_level == libc::SOL_PACKET
            && control.header.cmsg_type == libc::PACKET_AUXDATA;
        let auxiliary = &control.auxiliary;
        if is_auxiliary && auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
            let tag = [
                auxiliary.tp_vlan_tpid.to_be_bytes(),
                auxiliary.tp_vlan_tci.to_be_bytes(),
            ];
            frame.splice(TAGS_AT..TAGS_AT, tag.concat());
        }
        Ok(frame)
    }
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A Solicit behind tags, as a whole frame of a made-up client, and the client's MAC address.
pub fn tagged(vlan: VlanTags) -> Result<(Vec<u8>, [u8; 6])> {
    let mac = [2, 0, 0, 0, 5, 46];
    let path = ReplyPath {
        src_mac: mac,
        dst_mac: [0x33, 0x33, 0, 1, 0, 2],
        vlan,
        src: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 5, 46).to_bits(),
        dst: ALL_SERVERS.to_bits(),
        src_port: CLIENT_PORT,
        dst_port: SERVER_PORT,
        hop_limit: 1,
    };
    let mut frame = vec![0; path.header_len()];
    frame.extend(solicit(1));
    path.write(&mut frame, solicit(1).len())?;
    Ok((frame, mac))
}
