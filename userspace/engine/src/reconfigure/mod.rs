//! Reconfigure (RFC 9915 §18.3.11): the server has clients talk to it.
//!
//! A client that sends Reconfigure Accept gets a key in the Reply ([`Rkap`], §20.4); a
//! [`Reconfigure`](write()) that is authenticated by it makes the client send a Renew, a Rebind or an
//! Information-request. [`Schedule`] says when which client is sent one, without a clock.

mod message;
mod replay;
mod rkap;
mod schedule;
#[cfg(test)]
mod tests;

pub use message::{Letter, RequestedMessage, Unreachable, write};
pub use replay::Replay;
pub(crate) use rkap::give_key;
pub use rkap::{ReconfigureKey, Rkap, SECRET_LEN_MIN};
pub use schedule::{IN_FLIGHT_MAX, Next, Patience, Schedule};
