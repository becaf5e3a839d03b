#![forbid(unsafe_code)]
//! DHCPv6 Failover (RFC 8156), sans-IO: every rule as a function of (state, event, now).
//!
//! The way in: an [`Endpoint`] is one side of one relationship. It is told [`Event`]s and says
//! [`Effect`]s; the states and their transitions are data in [`state`]. What goes between two shards
//! is in [`updates`], what is believed of it in [`reconcile`], who may delegate which prefix in
//! [`balance`]; each is called by whoever owns the shard or the pools. No clock, socket, disk,
//! thread or randomness: a session carries the effects out, and so does a simulator.

pub mod balance;
pub mod config;
pub mod connect;
pub mod digest;
pub mod endpoint;
pub mod event;
pub mod keepalive;
pub mod mclt;
pub mod message;
pub mod note;
pub mod reconcile;
pub mod record;
pub mod state;
pub mod time;
pub mod updates;
mod vendor;
pub mod violation;
pub mod window;

pub use config::Config;
pub use digest::ConfigDigest;
pub use endpoint::{Endpoint, OrderError, RestoreError};
pub use event::{ConnectionId, Effect, Ending, Event, Owed, Received, Round};
pub use message::{Message, Reason};
pub use note::{Cause, Note, Severity};
pub use record::{EndpointRecord, PartnerRecord};
pub use state::ServerState;
pub use time::{Monotonic, Now};
pub use violation::Violation;
pub use window::Window;
