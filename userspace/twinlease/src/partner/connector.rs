//! The primary's side: connects, and keeps trying (RFC 8156 §6.1).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::connection::{Connection, End, start};
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
    /// Connects until dropped, or until nobody takes connections from `out`: one connection at a
    /// time, the next attempt when the last one has been dropped.
    pub async fn serve(self, out: mpsc::Sender<Connection>) {
        let mut pause = Pause::new(&self.timing);
        loop {
            let (ended, end) = oneshot::channel();
            let rejected = match self.connect(ended).await {
                Ok(connection) => {
                    self.made();
                    if out.send(connection).await.is_err() {
                        return;
                    }
                    end.await.unwrap_or(false)
                }
                Err(error) => {
                    self.refuse(&error);
                    error.is_rejection()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause.next(rejected)) => {}
                () = out.closed() => return,
            }
        }
    }

    /// One attempt; `None`: it failed, and the log says why. After a rejection by TLS that takes as
    /// long as it is of no use to try again (RFC 8156 §6.1).
    pub async fn dial(&self) -> Option<Connection> {
        let (ended, _) = oneshot::channel();
        match self.connect(ended).await {
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

    async fn connect(&self, ended: oneshot::Sender<bool>) -> Result<Connection, SetupError> {
        let timing = &self.timing;
        let connecting = tcp_connect(self.local, self.partner.address);
        let stream = within(timing.step, "TCP connection", connecting).await?;
        let stream = stream.map_err(SetupError::Unreachable)?;
        no_delay(&stream);
        let secured = secure(stream, &self.partner.security, timing.step).await?;
        let end = End::tell(ended);
        let peer = self.partner.address;
        Ok(start(
            secured.stream,
            peer,
            secured.is_tls,
            None,
            timing.stall,
            end,
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

/// How long to wait before the next attempt.
#[derive(Debug)]
struct Pause {
    usual: Duration,
    rejected: Duration,
    rejected_max: Duration,
}

impl Pause {
    fn new(timing: &Timing) -> Self {
        Self {
            usual: timing.retry,
            rejected: timing.retry,
            rejected_max: timing.retry_rejected_max.max(timing.retry),
        }
    }

    /// After rejections in a row twice as long each time; otherwise the usual time.
    fn next(&mut self, rejected: bool) -> Duration {
        if !rejected {
            self.rejected = self.usual;
            return self.usual;
        }
        self.rejected = (self.rejected * 2).min(self.rejected_max);
        self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8156_6_1_rejections_slow_it_down_and_it_never_stops() {
        let mut pause = Pause::new(&Timing::default());
        let secs = |pause: &mut Pause, rejected| pause.next(rejected).as_secs();
        assert_eq!(secs(&mut pause, false), 5);
        let rejected: Vec<_> = (0..6).map(|_| secs(&mut pause, true)).collect();
        assert_eq!(rejected, [10, 20, 40, 60, 60, 60]);
        assert_eq!(secs(&mut pause, false), 5);
        assert_eq!(secs(&mut pause, true), 10);
    }
}
