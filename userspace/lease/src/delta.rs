//! The one record of change: what journal, failover and metrics consume.

use crate::{AbsTime, BindingRecord, Lease};
use wire::ShardId;

/// A change to one lease, complete in itself: applying it twice, or after a later snapshot already
/// holds it, changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingDelta<'a> {
    /// The lease is now as this record says, whoever held it before.
    Put {
        /// The shard of the record's DUID.
        shard: ShardId,
        /// The lease's whole new state.
        record: BindingRecord<'a>,
    },
    /// Nobody holds the lease any more and nothing is remembered of it.
    Remove {
        /// The shard that held it.
        shard: ShardId,
        /// The lease that was held.
        lease: Lease,
    },
    /// The failover partner has acknowledged the lease's present state.
    Acked {
        /// The shard that holds it.
        shard: ShardId,
        /// The lease.
        lease: Lease,
        /// The record's acked-partner-lifetime from now on (RFC 8156 §7.7).
        acked_partner_lifetime: AbsTime,
    },
}

impl BindingDelta<'_> {
    /// The shard it is a change of.
    pub fn shard(&self) -> ShardId {
        match self {
            Self::Put { shard, .. } | Self::Remove { shard, .. } | Self::Acked { shard, .. } => {
                *shard
            }
        }
    }
}
