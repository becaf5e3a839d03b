//! Packets in and out: AF_XDP rings, the XDP program, and the kernel's UDP socket.
//!
//! The one home of ring and UMEM `unsafe`. It knows Ethernet, IPv6 and UDP, and nothing of DHCPv6.

mod mmap;
mod ring;
mod socket;
mod spec;
mod sys;
mod umem;
mod waker;
pub mod xdp;

pub use spec::{
    Idle, InterfaceId, InterfaceSpec, IoMode, PathId, QueueId, Rung, UnknownWord, VerifyChecksums,
};
pub use umem::lost_frames;
pub use waker::Waker;
