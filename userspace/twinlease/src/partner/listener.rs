//! The secondary's side: waits for primaries (RFC 8156 §6.1).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use wire::failover::{Body, FailoverMessage};

use super::connection::{Connection, start};
use super::error::SetupError;
use super::starttls::accept;
use super::{Partner, Security, SessionCounters, Timing};

/// Connections one partner may have at a time, those being set up included: one that works, one
/// that takes its place, and room for what the network has not yet told to be dead.
pub const CONNECTIONS_PER_PARTNER_MAX: usize = 4;

/// A connection whose first batch is the CONNECT.
#[derive(Debug)]
pub struct Incoming {
    /// OPTION_F_RELATIONSHIP_NAME of the CONNECT; `None`: the only relationship with the partner.
    /// Not checked: it is the endpoint that answers a name nobody knows.
    pub relationship_name: Option<Box<[u8]>>,
    /// The connection.
    pub connection: Connection,
}

/// Accepts connections from partners on one local address.
#[derive(Debug)]
pub struct Listener {
    local: SocketAddr,
    partners: BTreeMap<IpAddr, (Security, Arc<Semaphore>)>,
    timing: Timing,
    counters: Arc<SessionCounters>,
}

impl Listener {
    /// Will listen on `local` for `partners`; of each only the IP address counts. Two with the same
    /// address must not differ in their security.
    pub fn new(
        local: SocketAddr,
        partners: impl IntoIterator<Item = Partner>,
        timing: Timing,
        counters: Arc<SessionCounters>,
    ) -> Self {
        let partners = partners.into_iter().map(|partner| {
            let permits = Arc::new(Semaphore::new(CONNECTIONS_PER_PARTNER_MAX));
            (partner.address.ip(), (partner.security, permits))
        });
        Self {
            local,
            partners: partners.collect(),
            timing,
            counters,
        }
    }

    /// Listens until dropped, or until nobody takes connections from `out`. An address that cannot
    /// be listened on yet is tried again.
    pub async fn serve(self, out: mpsc::Sender<Incoming>) {
        let mut told = false;
        loop {
            match TcpListener::bind(self.local).await {
                Ok(listener) => return self.serve_on(listener, out).await,
                Err(error) if !told => {
                    told = true;
                    tracing::error!(local = %self.local, %error,
                        "cannot listen for failover partners; will try again");
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// As [`serve`](Self::serve), on a socket that listens already.
    pub async fn serve_on(self, listener: TcpListener, out: mpsc::Sender<Incoming>) {
        tracing::info!(local = %self.local, "listening for failover partners");
        let mut setups = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.begin(stream, peer, &out, &mut setups),
                    Err(error) => {
                        // Out of descriptors, most likely: that does not pass at once.
                        tracing::warn!(%error, "cannot accept a failover connection");
                        tokio::time::sleep(self.timing.retry).await;
                    }
                },
                Some(_) = setups.join_next() => {}
                () = out.closed() => return,
            }
        }
    }

    fn begin(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        out: &mpsc::Sender<Incoming>,
        setups: &mut JoinSet<()>,
    ) {
        let Some((security, permits)) = self.partners.get(&peer.ip()) else {
            return self.refuse(peer, &SetupError::UnknownSource);
        };
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            return self.refuse(peer, &SetupError::TooMany(CONNECTIONS_PER_PARTNER_MAX));
        };
        let (security, timing, out) = (security.clone(), self.timing, out.clone());
        let counters = Arc::clone(&self.counters);
        setups.spawn(async move {
            match set_up(stream, peer, &security, timing, permit).await {
                Ok(incoming) => {
                    counters.connections.add(1);
                    // Refused only while the server stops.
                    let _ = out.send(incoming).await;
                }
                Err(error) => refuse(&counters, peer, &error),
            }
        });
    }

    fn refuse(&self, peer: SocketAddr, error: &SetupError) {
        refuse(&self.counters, peer, error);
    }
}

fn refuse(counters: &SessionCounters, peer: SocketAddr, error: &SetupError) {
    counters.refuse(error);
    // Anybody can knock; the counters have the number.
    match error {
        SetupError::UnknownSource => tracing::debug!(%peer, %error, "failover connection refused"),
        _ => tracing::warn!(%peer, %error, "failover connection refused"),
    }
}

async fn set_up(
    stream: TcpStream,
    peer: SocketAddr,
    security: &Security,
    timing: Timing,
    permit: OwnedSemaphorePermit,
) -> Result<Incoming, SetupError> {
    no_delay(&stream);
    let (secured, frame) = accept(stream, security, timing.step).await?;
    let relationship_name = match FailoverMessage::parse(&frame[2..])?.body()? {
        Body::Connect(connect) => connect.relationship_name.map(Into::into),
        _ => None,
    };
    let stream = secured.stream;
    let is_tls = secured.is_tls;
    let connection = start(
        stream,
        peer,
        is_tls,
        Some(frame),
        timing.stall,
        Some(permit),
    );
    Ok(Incoming {
        relationship_name,
        connection,
    })
}

/// Writes are gathered before they reach the socket; waiting for more would only add delay.
pub(super) fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}
