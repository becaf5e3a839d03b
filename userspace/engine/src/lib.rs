#![forbid(unsafe_code)]
//! RFC 9915 exchanges: what a server answers, as a function of (model, shard, message, now).
//!
//! Pure: no clock, socket, file or thread, and no allocation once a shard's tables have grown. Bytes
//! and `now` come in; a reply is written into the caller's buffer, and every change to a lease comes
//! out as a [`BindingDelta`](lease::BindingDelta).
//!
//! The way of a message: [`parse`] reads it, [`answer`] finds its link, decides for every IA, writes
//! and commits; a [`Batch`] of messages has its cache misses asked for together. [`expire`] ends bindings; [`restore_batch`] and [`adopt`] bring them back after a restart.

pub mod batch;
pub mod drop_reason;
pub mod exchange;
pub mod failover;
pub mod handover;
pub mod identity;
pub mod ingress;
pub mod lifetime;
pub mod model;
pub mod operator;
pub mod reconfigure;
pub mod recovery;

mod attributes;
mod lengths;
mod plan;
mod policy;
mod relay;
mod reply;
mod subscriber;
mod via;

pub use attributes::Attribute;
pub use batch::{BATCH_MAX, Batch};
pub use drop_reason::DropReason;
pub use exchange::{Context, Outcome, answer};
pub use failover::reclaim;
pub use handover::Handover;
pub use identity::{LinkLayerAddress, LinkLayerSource, RemoteId};
pub use ingress::{Ingress, InterfaceId, Parsed, parse};
pub use lifetime::Lifetimes;
pub use model::{
    AttributeValue, CLASSES_MAX, Clash, ClashOver, ClassMatch, ClassSet, ClassSpec, KEY_LEN_MAX,
    KeyKind, Link, LinkId, LinkSpec, Membership, Model, ModelBuilder, ModelError, OptionError,
    OptionValue, OptionValues, Pattern, PoolConfig, PoolId, RESERVED_MAX, Relationship,
    ReservationChanges, ReservationError, ReservationKey, ReservationTable,
    ReservationTableBuilder, ReservationTerms, ReservedLease, ServedPool, TERMS_MAX,
    is_configurable,
};
pub use operator::{Imported, NotImported, end, foreign_owner, import, take_for_import};
pub use reconfigure::Rkap;
pub use recovery::{Adopted, Adopting, adopt, expire, restore, restore_batch};
pub use subscriber::{Clients, SUBSCRIBER_IAS_MAX};
pub use via::relayed_option;
