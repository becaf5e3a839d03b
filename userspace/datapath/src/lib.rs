//! Packets in and out: AF_XDP rings, the XDP program, and the kernel's UDP socket.
//!
//! The one home of ring and UMEM `unsafe`. It knows Ethernet, IPv6 and UDP, and nothing of DHCPv6
//! but its ports and the type of a relay's message.
//!
//! [`RawPort`] is for the other end of the wire: whole frames, for a load generator.
//!
//! [`open`] climbs the ladder for every interface and gives each worker its [`WorkerIo`]: [`Rx`]
//! delivers datagrams, [`Tx`] takes answers. Frames are tokens that are neither copied nor lost.

mod addresses;
mod counters;
mod datapath;
mod error;
mod inspect;
mod interface;
mod kernel;
mod ladder;
mod mmap;
mod probe;
mod queue;
mod raw;
mod reply;
mod ring;
mod rx;
mod socket;
mod spec;
mod sys;
mod tx;
mod umem;
mod waker;
mod worker_io;
pub mod xdp;

pub use counters::{IoCounters, IoDrop};
pub use datapath::{Datapath, InterfaceStatus, open};
pub use error::DatapathError;
pub use inspect::{Clock, Inspection, Offloads, clock, frame_memory, inspect};
pub use ladder::Refusal;
pub use raw::{RawDrops, RawPort};
pub use reply::{Reply, ReplyTo};
pub use rx::{Datagram, Rx};
pub use spec::{
    InterfaceId, InterfaceSpec, IoMode, PathId, QueueId, Rung, UnknownWord, VerifyChecksums,
};
pub use tx::Tx;
pub use umem::lost_frames;
pub use waker::Waker;
pub use worker_io::WorkerIo;
