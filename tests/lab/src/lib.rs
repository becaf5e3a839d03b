//! The namespace lab: a server, clients and relays in network namespaces of one machine.
//!
//! Everything the lab makes carries the name `tl-<pid>-<start time>-<n>`, so that the leavings of
//! a run that was killed can be told from those of a living one, and are cleaned by the next.
//! Programs that the lab starts die with the thread that started them (`PR_SET_PDEATHSIG`), are
//! stopped by their process id when their handle is dropped, and whatever is still inside a
//! namespace is stopped before the namespace is deleted.
//!
//! What it is not: a test framework. [`run`] wraps one test: it skips without root, and shows the
//! logs of every program when the test fails.

#![forbid(unsafe_code)]

/// Captures on the wire and tshark's judgement of them.
pub mod capture;
/// The real programs: ISC dhclient, dhcpcd, ISC dhcrelay.
pub mod clients;
/// A pair of servers that are failover partners.
pub mod failover;
/// A run of the lab: names, scratch directory, cleaning up.
mod lab;
/// DHCPv6 messages as the lab's own client writes and reads them.
pub mod message;
/// One network namespace and what is done inside it.
mod namespace;
/// A DHCPv6 client and relay of our own on plain UDP sockets.
pub mod probe;
/// Programs in the background, and commands with a time limit.
mod process;
/// The server under test.
pub mod server;
/// The networks the tests use: a LAN, and a LAN behind a relay.
pub mod topology;
/// Waiting with a time limit, and stopping early when interrupted.
mod wait;

pub use lab::{Lab, clean_stale, is_root, remove_named, run};
pub use namespace::{Address, Namespace};
pub use process::{Process, Signal, output_of};
pub use wait::{interrupt_flag, interrupted, wait_until};
