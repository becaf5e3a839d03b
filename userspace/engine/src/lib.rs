#![forbid(unsafe_code)]
//! RFC 9915 exchanges: what a server answers, as a function of (model, shard, message, now).
//!
//! Pure: no clock, socket, file or thread, and no allocation once a shard's tables have grown. Bytes
//! and `now` come in; a reply is written into the caller's buffer, and every change to a lease comes
//! out as a [`BindingDelta`](lease::BindingDelta).

pub mod drop_reason;
pub mod ingress;
pub mod lifetime;
pub mod model;

pub use drop_reason::DropReason;
pub use ingress::{Ingress, InterfaceId};
pub use lifetime::{LifetimeCap, Lifetimes};
pub use model::{
    Link, LinkId, LinkSpec, Model, ModelBuilder, ModelError, OptionError, OptionValues, PoolConfig,
    PoolId, ReservationSpec, ServedPool,
};
