#![deny(unsafe_code)]
//! What is bound to whom: bindings, the shards that hold them, the pools they are drawn from.
//!
//! Pure: no clock, socket, file or thread. `now` comes in; [`BindingDelta`]s come out.

pub mod binding;
pub mod delta;
pub mod leeway;
pub mod pool;
pub mod shard;
pub mod subscriber;
pub mod time;

mod prefetch;
mod sip;

pub use binding::{
    BindingRecord, BindingState, BindingStatus, Lease, LinkKey, PartnerTimes, VIA_LEN_MAX,
};
pub use delta::BindingDelta;
pub use leeway::{Answers, Leeway, LifetimeCap, Prefixes, Role};
pub use pool::{
    AllocationKey, Lengths, Pool, PoolCounts, PoolError, PoolSpec, Positions, Share, Sides,
};
pub use shard::{Ahead, Answer, Answered, BindingId, Shard, UnackedCounts};
pub use subscriber::subscriber_key;
pub use time::AbsTime;
pub use wire::SubscriberIa;
