#![no_std]
#![forbid(unsafe_code)]
//! Bytes ↔ meaning for everything twinlease reads or writes: Ethernet to DHCPv6.
//!
//! Borrowed views that cannot panic on any input and never allocate; writers that never pass the
//! end of the buffer they were given. No clock, socket, file or thread.

pub mod duid;
pub mod steer;

pub use duid::{Duid, IaKey, IaKind, Iaid};
pub use steer::{SHARDS, ShardId, shard_of};
