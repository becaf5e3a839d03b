#![no_std]
#![forbid(unsafe_code)]
//! Bytes ↔ meaning for everything twinlease reads or writes: Ethernet to DHCPv6.
//!
//! Borrowed views that cannot panic on any input and never allocate; writers that never pass the
//! end of the buffer they were given. No clock, socket, file or thread.
//!
//! The way in: [`Frame::parse`] finds the UDP payload, [`RelayChain::parse`] takes off the relay
//! layers, [`MessageIndex::new`] reads the message inside once, [`IaIndex::new`] one of its IAs.
//! The way out: [`ReplyWriter`] writes the payload, [`ReplyPath::write`] the headers before it.

pub mod checksum;
pub mod code;
pub mod duid;
pub mod eth;
pub mod failover;
pub mod frame;
pub mod ipv6;
pub mod malformed;
pub mod message;
pub mod option;
pub mod options;
pub mod relay;
pub mod reply;
pub mod steer;
pub mod subscriber;
pub mod udp;

pub use code::{MessageType, OptionCode, StatusCode};
pub use duid::{Duid, IaKey, IaKind, Iaid};
pub use eth::{VlanTag, VlanTags};
pub use frame::{Frame, FrameError, FrameTooSmall, HEADROOM_MAX, ReplyPath};
pub use malformed::{Fault, Malformed};
pub use message::{Message, MessageIndex};
pub use option::{Options, RawOption};
pub use options::ia::{Ia, IaAddress, IaIndex, IaPrefix};
pub use options::oro::Oro;
pub use options::status::Status;
pub use relay::{ChainError, HOP_COUNT_LIMIT, RelayChain, RelayForward};
pub use reply::{Mark, NoRoom, Open, ReplyWriter};
pub use steer::{ClientKey, SHARDS, ShardId, shard_of};
pub use subscriber::{SubscriberIa, SubscriberKey, SubscriberView};
