//! Certificates, and a primary and a secondary on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use wire::failover::{Body, Connect, ProtocolVersion, TransactionId};

use crate::partner::tls::{Identity, TlsFiles};
use crate::partner::{
    Connection, Connector, Incoming, Listener, Partner, Security, SessionCounters, SetupError,
    Timing,
};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits as a server does, but tries again soon.
pub fn timing() -> Timing {
    Timing {
        retry: Duration::from_millis(20),
        retry_rejected_max: Duration::from_millis(80),
        ..Timing::default()
    }
}

pub struct Ca {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "failover test CA");
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { dir, issuer }
    }

    /// Files of a certificate for an address or DNS name.
    pub fn files(&self, name: &str) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |suffix: &str, pem: String| -> PathBuf {
            let path = self
                .dir
                .path()
                .join(format!("{}.{suffix}", name.replace(':', "-")));
            std::fs::write(&path, pem).unwrap();
            path
        };
        TlsFiles {
            certificate: file("pem", certificate.pem()),
            key: file("key", key.serialize_pem()),
            ca: self.dir.path().join("ca.pem"),
            partner_name: None,
        }
    }

    /// TLS with a certificate for `name`, for a partner at `::1`.
    pub fn tls(&self, name: &str) -> Security {
        tls(&self.files(name))
    }
}

pub fn tls(files: &TlsFiles) -> Security {
    let identity = Identity::load(files, "::1".parse().unwrap()).unwrap();
    Security::Tls(Arc::new(identity))
}

pub fn insecure() -> Security {
    Security::Insecure
}

pub fn contact(id: u32) -> Vec<u8> {
    frame(&Body::Contact, id)
}

pub fn connect(relationship: &str) -> Vec<u8> {
    let connect = Connect {
        protocol_version: Some(ProtocolVersion::RFC8156),
        relationship_name: Some(relationship.as_bytes()),
        ..Connect::default()
    };
    frame(&Body::Connect(connect), 1)
}

fn frame(body: &Body<'_>, id: u32) -> Vec<u8> {
    let mut frame = vec![0; 200];
    let len = body.write(&mut frame, TransactionId::new(id)).unwrap();
    frame.truncate(len);
    frame
}

/// Both ends of the channel a listener gives connections to.
pub struct Out {
    pub give: Option<Sender<Incoming>>,
    pub take: Receiver<Incoming>,
}

pub fn listener(local: SocketAddr, security: Security) -> (Listener, Out) {
    listener_with(local, security, timing(), Arc::default())
}

pub fn listener_with(
    local: SocketAddr,
    security: Security,
    timing: Timing,
    counters: Arc<SessionCounters>,
) -> (Listener, Out) {
    let partner = Partner {
        address: "[::1]:647".parse().unwrap(),
        security,
    };
    let (give, take) = channel(16);
    let give = Some(give);
    (
        Listener::new(local, [partner], timing, counters),
        Out { give, take },
    )
}

pub fn connector(address: SocketAddr, security: Security) -> Connector {
    Connector {
        local: "[::1]:647".parse().unwrap(),
        partner: Partner { address, security },
        timing: timing(),
        counters: Arc::default(),
        told: Default::default(),
    }
}

/// A secondary that listens.
pub struct Secondary {
    pub address: SocketAddr,
    pub counters: Arc<SessionCounters>,
    pub incoming: Receiver<Incoming>,
}

impl Secondary {
    pub async fn new(security: Security) -> Self {
        Self::with(security, timing()).await
    }

    pub async fn with(security: Security, timing: Timing) -> Self {
        let socket = TcpListener::bind("[::1]:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let counters = Arc::new(SessionCounters::default());
        let (listener, out) = listener_with(address, security, timing, Arc::clone(&counters));
        let (give, incoming) = (out.give.unwrap(), out.take);
        tokio::spawn(listener.serve_on(socket, give));
        Self {
            address,
            counters,
            incoming,
        }
    }

    /// Waits until something was refused for this reason.
    pub async fn refused(&self, reason: &str) {
        refused(&self.counters, reason).await;
    }
}

pub async fn refused(counters: &SessionCounters, reason: &str) {
    let index = SetupError::REASONS
        .iter()
        .position(|r| *r == reason)
        .unwrap();
    let counted = async {
        while counters.refused.of(index).get() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let counted = tokio::time::timeout(PATIENCE, counted).await;
    let count = |reason: &&str| {
        let index = SetupError::REASONS
            .iter()
            .position(|r| r == reason)
            .unwrap();
        counters.refused.of(index).get() > 0
    };
    let others: Vec<_> = SetupError::REASONS.into_iter().filter(count).collect();
    assert!(counted.is_ok(), "not {reason} but {others:?}");
}

/// A primary and a secondary.
pub struct Servers {
    pub secondary: Secondary,
    pub connector: Connector,
}

/// Tries until a connection is made.
pub async fn dial(connector: &Connector) -> Connection {
    let made = async {
        loop {
            if let Some(connection) = connector.dial().await {
                return connection;
            }
            tokio::time::sleep(connector.timing.retry).await;
        }
    };
    tokio::time::timeout(PATIENCE, made).await.expect("in time")
}

pub async fn serve(primary: Security, secondary: Security) -> Servers {
    let secondary = Secondary::new(secondary).await;
    let connector = connector(secondary.address, primary);
    Servers {
        secondary,
        connector,
    }
}

impl Servers {
    /// The primary's next connection, on which it has sent CONNECT.
    pub async fn primary(&self) -> Connection {
        let connection = dial(&self.connector).await;
        let _ = connection.sender.send(connect("edge-a"));
        connection
    }

    /// The secondary's next connection.
    pub async fn secondary(&mut self) -> Incoming {
        let next = tokio::time::timeout(PATIENCE, self.secondary.incoming.recv()).await;
        next.expect("in time").expect("a listener")
    }
}

/// The two ends of a connection over which CONNECT has gone.
pub async fn pair(primary: Security, secondary: Security) -> Option<(Connection, Connection)> {
    let mut servers = serve(primary, secondary).await;
    let primary = servers.primary().await;
    let mut incoming = servers.secondary().await;
    assert_eq!(incoming.relationship_name.as_deref(), Some(&b"edge-a"[..]));
    let batch = incoming.connection.received.recv().await.unwrap();
    assert_eq!(batch.messages().count(), 1, "the CONNECT");
    Some((primary, incoming.connection))
}
