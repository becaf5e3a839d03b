//! The primary's side: connects, and keeps trying (RFC 8156 §6.1).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpSocket, TcpStream};

use super::connection::{Connection, start};
use super::error::SetupError;
use super::listener::no_delay;
use super::starttls::{secure, within};
use super::{Partner, SessionCounters, Timing};

/// Connects to one partner for one relationship.
#[derive(Debug)]
pub struct Connector {
    /// Of this only the IP address counts: by it the partner knows who connects.
    pub local: SocketAddr,
    /// Where the partner listens, and how the connection is protected.
    pub partner: Partner,
    /// How long to wait.
    pub timing: Timing,
    /// Counts attempts.
    pub counters: Arc<SessionCounters>,
    /// The reason of the last failure, which is told once.
    pub told: Told,
}

/// Why the last attempt failed, if it did.
#[derive(Debug, Default)]
pub struct Told(Mutex<Option<&'static str>>);

impl Connector {
    /// One attempt; `None`: it failed, and the log says why. After a rejection by TLS that takes as
    /// long as it is of no use to try again (RFC 8156 §6.1).
    pub async fn dial(&self) -> Option<Connection> {
        match self.connect().await {
            Ok(connection) => {
                self.made();
                Some(connection)
            }
            Err(error) => {
                self.refuse(&error);
                if error.is_rejection() {
                    tokio::time::sleep(self.timing.retry_rejected_max).await;
                }
                None
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<&'static str>> {
        self.told.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) {
        *self.last() = None;
        self.counters.connections.add(1);
    }

    /// A partner that is down is tried for days: a reason is told once until it changes.
    fn refuse(&self, error: &SetupError) {
        self.counters.refuse(error);
        let partner = self.partner.address;
        if self.last().replace(error.reason()) == Some(error.reason()) {
            tracing::debug!(%partner, %error, "no failover connection");
        } else {
            tracing::warn!(%partner, %error, "no failover connection; will keep trying");
        }
    }

    async fn connect(&self) -> Result<Connection, SetupError> {
        let timing = &self.timing;
        let connecting = tcp_connect(self.local, self.partner.address);
        let stream = within(timing.step, "TCP connection", connecting).await?;
        let stream = stream.map_err(SetupError::Unreachable)?;
        no_delay(&stream);
        let secured = secure(stream, &self.partner.security, timing.step).await?;
        let peer = self.partner.address;
        Ok(start(
            secured.stream,
            peer,
            secured.is_tls,
            None,
            timing.stall,
            None,
        ))
    }
}

async fn tcp_connect(local: SocketAddr, partner: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = match partner {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let mut from = local;
    from.set_port(0);
    socket.bind(from)?;
    socket.connect(partner).await
}
