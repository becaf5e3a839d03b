//! The load generator: DHCPv6 clients and relays that are a function of their number.
//!
//! Everything but `port` and `drive` is pure: a [`flow::Flow`] is given frames and times and
//! gives messages to send, so that numbering, pacing, matching, classification and the search for
//! the highest rate are tested without a network. It works with any DHCPv6 server.

pub mod client;
pub mod drive;
pub mod envelope;
pub mod flow;
pub mod hostile;
pub mod message;
pub mod oracle;
pub mod pacing;
pub mod port;
pub mod reply;
pub mod search;
pub mod session;
pub mod storm;
pub mod tally;
pub mod timers;
