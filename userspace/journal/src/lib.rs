//! The journal: bindings are on disk before a client hears of them.
//!
//! Workers append [`lease::BindingDelta`]s, and whoever speaks with the failover partner
//! [`ControlDelta`]s, through an [`Appender`] and hold each reply until
//! [`Appender::committed`] reaches its [`Ticket`]. One thread gathers what all workers submitted
//! while the last write was in flight and makes it durable with one write (group commit).
//! [`recover`] brings every acknowledged change back. `record`, `segment`, `group` and `pace` are pure;
//! `file`, `snapshot`, `recover` and `writer` do the work on disk.
//!
//! Invariant: what was acknowledged is recovered, in order, or its loss is reported.
#![forbid(unsafe_code)]

mod chunk;
mod control;
mod entry;
mod error;
mod file;
mod group;
mod journal;
mod pace;
mod record;
mod recover;
mod segment;
mod shared;
mod snapshot;
mod spare;
mod writer;

#[cfg(test)]
mod tests;

pub use chunk::{Appender, SnapshotFeed, Ticket};
pub use control::{ControlDelta, ControlRecovered, RELATIONSHIP_STATE_LEN_MAX};
pub use entry::Entry;
pub use error::JournalError;
pub use file::{Disk, File, OpenFor, Storage};
pub use group::Lsn;
pub use journal::{Journal, Options};
pub use record::{RECORD_LEN_MAX, RecordError, decode, encode};
pub use recover::{Apply, Recovered, recover, recover_from};
pub use shared::{Health, LATENCY_BUCKETS, SnapshotState, Stats, Wake};
