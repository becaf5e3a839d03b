//! What the server uses: every default filled in, every override resolved, every reference checked.
//!
//! Made only by [`super::load`] and [`super::parse`], so a value that exists is one that may be served.

use engine::{ClassSpec, OptionValues, ReservationTable};
use lease::Lengths;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;
use wire::{IaKind, OptionCode};

use super::value::{Prefix, Secs};
use crate::partner::tls::TlsFiles;

/// A configuration without faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The text that it was read from.
    pub text: Arc<str>,
    /// Where journal, snapshots and the server's identity are kept.
    pub state_dir: PathBuf,
    /// The server DUID, if the file fixes it; else the one kept in `state_dir`.
    pub duid: Option<Box<[u8]>>,
    /// The allocation key, if the file fixes it; else the one kept in `state_dir`.
    pub allocation_key: Option<[u8; 16]>,
    /// OPTION_PREFERENCE in Advertise, if not 0 (RFC 9915 §21.8).
    pub preference: u8,
    /// One pinned worker for each core, in this order.
    pub cores: Vec<usize>,
    /// What a worker does when there is no work.
    pub idle: Idle,
    /// The interfaces served; at least one.
    pub interfaces: Vec<Interface>,
    /// Whether a Solicit with Rapid Commit is answered by a Reply (RFC 9915 §18.3.1).
    pub rapid_commit: bool,
    /// Lifetimes where nothing overrides them.
    pub lifetimes: Lifetimes,
    /// Options where nothing overrides them.
    pub options: OptionValues,
    /// Whether a Renew of an unknown IA makes a binding (RFC 9915 §18.3.4).
    pub bind_on_renew: bool,
    /// Whether clients that accept Reconfigure messages are given keys (RFC 9915 §18.3.11).
    pub reconfigure: bool,
    /// What those keys are made of, if the file fixes it; else the one kept in `state_dir`.
    pub reconfigure_secret: Option<Box<[u8]>>,
    /// How long a declined address rests; the engine's own default if `None`.
    pub quarantine: Option<Secs>,
    /// Addresses that one client can have in quarantine; the engine's own default if `None`.
    pub declines_per_client: Option<u32>,
    /// Options that relays may supply (RFC 6422 §6); the engine's own default if `None`.
    pub relay_supplied_options: Option<Vec<OptionCode>>,
    /// The client classes, in the order of the file.
    pub classes: Vec<ClassSpec>,
    /// The links, in the order of the file.
    pub links: Vec<Link>,
    /// What is reserved on them, by the config and by the reservations file.
    pub reservations: Arc<ReservationTable>,
    /// The reservations file, if there is one.
    pub reservations_file: Option<PathBuf>,
    /// The failover relationships, in the order of the file.
    pub failover: Vec<Failover>,
    /// The control socket.
    pub control_socket: PathBuf,
    /// Where Prometheus may scrape; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
}

/// What a worker does when there is no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Never sleeps: lowest latency, a whole core.
    BusyPoll,
    /// Spins for a short while, then sleeps.
    Adaptive,
    /// Sleeps at once.
    Sleep,
}

impl Idle {
    /// As the config file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BusyPoll => "busy-poll",
            Self::Adaptive => "adaptive",
            Self::Sleep => "sleep",
        }
    }
}

/// How packets get in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// The best rung that passes its self-test.
    Auto,
    /// AF_XDP zero-copy or nothing.
    ZeroCopy,
    /// AF_XDP in copy mode under native XDP or nothing.
    Copy,
    /// AF_XDP under generic XDP or nothing.
    Generic,
    /// The kernel's UDP socket only.
    Socket,
}

/// Whether UDP checksums of received packets are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyChecksums {
    /// On, except where the peer is known to leave them unfinished (veth).
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// One `[[interface]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's name of it.
    pub name: String,
    /// How packets get in and out.
    pub io: Io,
    /// Whether received checksums are verified.
    pub verify_checksums: VerifyChecksums,
    /// Unicast addresses served besides those the kernel has on the interface.
    pub addresses: Vec<Ipv6Addr>,
    /// What the XDP program steers packets by.
    pub steer_by: wire::ClientKey,
}

/// Lifetimes as told to clients; `preferred <= valid`, `valid > 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Preferred lifetime.
    pub preferred: Secs,
    /// Valid lifetime.
    pub valid: Secs,
}

/// One `[[link]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Unique name.
    pub name: String,
    /// Index into [`Config::interfaces`] of the interface on whose link clients sit directly.
    pub interface: Option<usize>,
    /// A relay's link-address inside one of these means this link; longest prefix wins.
    pub link_addresses: Vec<Prefix>,
    /// Lifetimes where no pool or reservation overrides them.
    pub lifetimes: Lifetimes,
    /// The network that it shares with other links of the same name here.
    pub shared_network: Option<String>,
    /// How it tells its clients apart.
    pub clients: engine::Clients,
    /// Options that it overrides.
    pub options: OptionValues,
    /// Address and prefix pools, in the order of the file, addresses first.
    pub pools: Vec<Pool>,
}

/// One `[[link.address-pool]]` or `[[link.prefix-pool]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Addresses or delegated prefixes.
    pub kind: IaKind,
    /// As the file writes it: the pool's name in status, logs and metrics.
    pub range: String,
    /// The first address, or the first address of the first delegated prefix.
    pub first: u128,
    /// Number of leases of this length, at least 1.
    pub count: u128,
    /// Length of a lease: 128, or the delegated length, the longest of several.
    pub unit_len: u8,
    /// The other delegated lengths, if there are several.
    pub lengths: Option<Lengths>,
    /// Lifetimes of leases from here.
    pub lifetimes: Lifetimes,
    /// Options that it overrides.
    pub options: OptionValues,
    /// An IA gets a lease from each group of pools.
    pub group: Option<String>,
    /// The classes whose clients draw from it; none: all clients of the link.
    pub classes: Vec<String>,
    /// Length of the prefix excluded from each delegated one (RFC 6603).
    pub excluded_len: Option<u8>,
}

impl Pool {
    /// The last address covered.
    pub fn last(&self) -> u128 {
        let unit = 1u128 << (128 - u32::from(self.unit_len));
        self.first + (self.count - 1) * unit + (unit - 1)
    }
}

/// One `[[failover]]`: a relationship with another server (RFC 8156 §3).
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    /// OPTION_F_RELATIONSHIP_NAME; unique.
    pub name: String,
    /// Which of the two servers this one is.
    pub role: Role,
    /// Where a secondary listens; from whose address a primary connects.
    pub local: SocketAddrV6,
    /// Where the partner is.
    pub partner: SocketAddrV6,
    /// Indexes into [`Config::links`]; no link is in two relationships.
    pub links: Vec<usize>,
    /// Maximum Client Lead Time. A secondary uses the primary's once it has heard it.
    pub mclt: Secs,
    /// Silence after which the connection is given up (RFC 8156 §6.5, FO_KEEPALIVE_TIME).
    pub keepalive: Secs,
    /// How long communications may be interrupted before PARTNER-DOWN is entered without an
    /// operator (RFC 8156 §8.9); `None`: for ever.
    pub auto_partner_down: Option<Secs>,
    /// How long STARTUP waits for the partner.
    pub startup: Secs,
    /// What follows when STARTUP ends without contact.
    pub without_partner: WithoutPartner,
    /// The secondary's share of the available delegable prefixes, 0 to 1.
    pub prefix_share: f64,
    /// Between two attempts to connect.
    pub connect_retry: Secs,
    /// The certificates; `None`: insecure, as the file says in so many words.
    pub tls: Option<TlsFiles>,
}

/// Which of the two servers of a relationship one is (RFC 8156 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Connects; answers all clients while both servers work.
    Primary,
    /// Listens; answers its own clients while both servers work.
    Secondary,
}

/// What a server does when it starts and does not find its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutPartner {
    /// Goes on from the state it was in.
    Wait,
    /// Enters PARTNER-DOWN.
    Serve,
}
