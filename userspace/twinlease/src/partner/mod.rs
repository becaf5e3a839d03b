//! The TCP session with failover partners: connecting, listening, STARTTLS, TLS, framing
//! (RFC 8156 §5.1, §6.1; RFC 7653 §8.2, §9.1).
//!
//! A secondary's [`Listener`] and a primary's [`Connector`] do all that comes before the first
//! failover message counts, and give out a [`Connection`]. From there on nothing is decided here:
//! the endpoint reads [`Batch`]es of whole messages and writes frames.
//!
//! ```text
//! Connector ── Connection ──▶ endpoint     sends CONNECT first
//! Listener ─── Incoming ────▶ endpoint     its first batch is the partner's CONNECT
//! ```
//!
//! The one rule of the reader: it never waits for the endpoint. What the endpoint has not taken is
//! bounded by the window it announced (MAX_UNACKED_BNDUPD); a partner that sends far beyond it is
//! cut off ([`Lost::Backlog`]). Sent-times are stamped when octets go to the socket, and received
//! times taken when they come from it, so that queues on this side do not look like clock skew.

mod connection;
mod connector;
mod error;
pub mod exchange;
mod listener;
mod reader;
pub mod relationship;
pub mod settings;
pub mod start;
mod starttls;
#[cfg(test)]
mod tests;
pub mod tls;
mod writer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::counters::{Counter, Drops};

pub use connection::{Batch, Connection, Received, Sender};
pub use connector::{Connector, Told};
pub use error::{Lost, NotSent, SetupError};
pub use listener::{Incoming, Listener};

/// How the connection to a partner is protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS, both sides with certificates.
    Tls(Arc<tls::Identity>),
    /// Nothing, as the operator said in so many words.
    Insecure,
}

/// The other server of one or more relationships.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Where a secondary listens; of a primary only the IP address counts.
    pub address: SocketAddr,
    /// How the connection is protected.
    pub security: Security,
}

/// How long a session waits.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For each step of the set-up: TCP connect, STARTTLS, its answer, TLS handshake, CONNECT.
    pub step: Duration,
    /// For the partner to take what is written.
    pub stall: Duration,
    /// Between two attempts to connect, or to listen.
    pub retry: Duration,
    /// Between two attempts to connect to a partner that keeps rejecting, at most.
    pub retry_rejected_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            step: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            retry: Duration::from_secs(5),
            retry_rejected_max: Duration::from_secs(60),
        }
    }
}

/// What the sessions count; on the control thread only.
#[derive(Debug)]
pub struct SessionCounters {
    /// Connections given to an endpoint.
    pub connections: Counter,
    /// Connections that were not, by [`SetupError::reason`].
    pub refused: Drops,
}

impl Default for SessionCounters {
    fn default() -> Self {
        Self {
            connections: Counter::default(),
            refused: Drops::new(SetupError::REASONS),
        }
    }
}

impl SessionCounters {
    fn refuse(&self, error: &SetupError) {
        let reasons = SetupError::REASONS.iter();
        if let Some(index) = reasons.clone().position(|reason| *reason == error.reason()) {
            self.refused.of(index).add(1);
        }
    }
}
