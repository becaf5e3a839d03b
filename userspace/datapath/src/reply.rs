//! The way back to whoever sent a datagram, and an answer in the making.

use crate::kernel::KernelPath;
use crate::spec::PathId;
use crate::umem::Frame;
use wire::ReplyPath;

/// The way back of a datagram. It may be copied to another worker, which answers by its own
/// sockets.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo {
    pub(crate) path: PathId,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// By the TX ring of the queue that the datagram came in on.
    Queue(ReplyPath),
    /// By the interface's kernel socket.
    Kernel(KernelPath),
}

impl ReplyTo {
    /// What the datagram came in on.
    pub fn path(&self) -> PathId {
        self.path
    }

    /// Whether it came by the kernel's socket.
    pub fn is_kernel(&self) -> bool {
        matches!(self.way, Way::Kernel(_))
    }
}

/// An answer being written, in a frame or buffer of its own: send it or discard it.
#[derive(Debug)]
#[must_use = "a reply holds a frame until it is sent or discarded"]
pub struct Reply {
    pub(crate) to: ReplyTo,
    pub(crate) place: Place,
}

#[derive(Debug)]
pub(crate) enum Place {
    /// In the UMEM of this queue; the payload stands behind room for the headers.
    Frame(Frame),
    /// In memory of the worker's own.
    Buffer(Box<[u8]>),
}
