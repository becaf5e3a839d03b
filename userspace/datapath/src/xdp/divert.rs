//! The XDP program of a raw port: all DHCPv6 packets of a queue to the socket of that queue.

use std::os::fd::{AsRawFd, BorrowedFd};

use aya::EbpfLoader;
use aya::maps::XskMap;
use aya::programs::Xdp;
use aya::programs::links::FdLink;

use super::{AttachMode, XdpError, attach, object};

const PROGRAM: &str = "divert";
const SOCKETS: &str = "SOCKETS";

/// The loaded program, attached for as long as the value lives.
pub(crate) struct Divert {
    // The link goes first: the program must not run when its map is gone.
    _link: FdLink,
    _ebpf: aya::Ebpf,
}

impl Divert {
    /// Loads the program, registers the sockets of queues 0, 1, … and attaches it.
    ///
    /// # Errors
    /// The binary has no program, or the kernel refuses it, a socket or the mode.
    pub(crate) fn attach(
        ifindex: u32,
        mode: AttachMode,
        sockets: &[BorrowedFd<'_>],
    ) -> Result<Self, XdpError> {
        let object = object::DIVERT.ok_or(XdpError::NotBuilt)?;
        let mut ebpf = EbpfLoader::new().load(object)?;
        let map = ebpf.map_mut(SOCKETS).ok_or(XdpError::Missing(SOCKETS))?;
        let mut map: XskMap<_> = map.try_into()?;
        for (socket, queue) in sockets.iter().zip(0..) {
            map.set(queue, socket.as_raw_fd(), 0)?;
        }
        let program = ebpf
            .program_mut(PROGRAM)
            .ok_or(XdpError::Missing(PROGRAM))?;
        let program: &mut Xdp = program.try_into()?;
        program.load()?;
        let link = attach(program, ifindex, mode)?;
        Ok(Self {
            _link: link,
            _ebpf: ebpf,
        })
    }
}
