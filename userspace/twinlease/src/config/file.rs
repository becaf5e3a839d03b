//! What the file says: every key that exists, as written, with its place. Nothing is filled in or
//! compared here; that is `check.rs`.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use engine::OptionValues;
use toml::de::DeValue;
use wire::ClientKey;

use super::class::{Class, ClassNames};
use super::clients::ClientKeys;
use super::delegated::DelegatedLength;
use super::failover::Failover;
use super::fault::{Findings, Place};
use super::model::{Idle, Io, VerifyChecksums};
use super::options;
use super::read::{Placed, Reader, document};
use super::reservations::Keys;
use super::value::{
    DuidOctets, FromToml, Identity, LinkLayerOctets, Octets, Prefix, Range, Secs, Within, Wrong,
    word,
};

pub(super) type Maybe<T> = Option<Placed<T>>;
pub(super) type List<T> = Option<Placed<Vec<Placed<T>>>>;

/// The whole file.
#[derive(Debug)]
pub struct File {
    pub server: Server,
    pub workers: Workers,
    pub interfaces: Vec<Interface>,
    pub lifetimes: Lifetimes,
    pub rapid_commit: Maybe<bool>,
    pub bind_on_renew: Maybe<bool>,
    pub decline: Decline,
    pub reconfigure: Reconfigure,
    pub options: OptionValues,
    pub classes: Vec<Class>,
    pub reservations: Reservations,
    pub links: Vec<Link>,
    pub failover: Vec<Failover>,
    pub control: Control,
}

/// `[server]`
#[derive(Debug)]
pub struct Server {
    pub state_dir: Maybe<PathBuf>,
    pub duid: Maybe<DuidOctets>,
    pub preference: Maybe<Within<0, 255>>,
    pub allocation_key: Maybe<Octets<16, 16>>,
    pub relay_supplied_options: List<Within<1, 65_535>>,
}

/// `[workers]`
#[derive(Debug)]
pub struct Workers {
    pub cores: List<Within<0, 1023>>,
    pub idle: Maybe<Idle>,
}

/// `[[interface]]`
#[derive(Debug)]
pub struct Interface {
    pub name: Maybe<String>,
    pub io: Maybe<Io>,
    pub verify_checksums: Maybe<VerifyChecksums>,
    pub steer_by: Maybe<ClientKey>,
    pub addresses: List<Ipv6Addr>,
}

/// `[lifetimes]` and `lifetimes = { … }`
#[derive(Debug)]
pub struct Lifetimes {
    pub preferred: Maybe<Secs>,
    pub valid: Maybe<Secs>,
}

/// `[decline]`
#[derive(Debug)]
pub struct Decline {
    pub quarantine: Maybe<Secs>,
    pub per_client: Maybe<Within<0, 65_535>>,
}

/// `[reconfigure]`
#[derive(Debug)]
pub struct Reconfigure {
    pub enabled: Maybe<bool>,
    pub secret: Maybe<Octets<16, 64>>,
}

/// `[[link]]`
#[derive(Debug)]
pub struct Link {
    pub place: Place,
    pub name: Maybe<String>,
    pub interface: Maybe<String>,
    pub link_addresses: List<Prefix>,
    pub shared_network: Maybe<String>,
    pub clients: ClientKeys,
    pub lifetimes: Lifetimes,
    pub options: OptionValues,
    pub address_pools: Vec<AddressPool>,
    pub prefix_pools: Vec<PrefixPool>,
    pub reservations: Vec<Reservation>,
}

/// `[[link.address-pool]]`
#[derive(Debug)]
pub struct AddressPool {
    pub range: Maybe<Range>,
    pub group: Maybe<String>,
    pub class: Maybe<ClassNames>,
    pub lifetimes: Lifetimes,
    pub options: OptionValues,
}

/// `[[link.prefix-pool]]`
#[derive(Debug)]
pub struct PrefixPool {
    pub prefix: Maybe<Prefix>,
    pub delegated_length: Maybe<DelegatedLength>,
    pub default_length: Maybe<Within<1, 127>>,
    pub excluded_length: Maybe<Within<1, 128>>,
    pub group: Maybe<String>,
    pub class: Maybe<ClassNames>,
    pub lifetimes: Lifetimes,
    pub options: OptionValues,
}

/// `[[link.reservation]]`
#[derive(Debug)]
pub struct Reservation {
    pub place: Place,
    pub key: Keys,
    pub addresses: Vec<Placed<Ipv6Addr>>,
    pub prefixes: Vec<Placed<Prefix>>,
    /// Neither address nor prefix is there, not even one at fault.
    pub is_empty: bool,
    pub lifetimes: Lifetimes,
    pub options: OptionValues,
}

/// `[reservations]`
#[derive(Debug)]
pub struct Reservations {
    /// JSON lines.
    pub file: Maybe<PathBuf>,
}

/// `[control]`
#[derive(Debug)]
pub struct Control {
    pub socket: Maybe<PathBuf>,
    pub metrics: Maybe<SocketAddr>,
}

impl File {
    /// Reads the text; `None` if it is not TOML. What is wrong is in `findings`.
    pub fn read(text: &str, findings: &mut Findings) -> Option<Self> {
        document(text, findings, |file| {
            let (lifetimes, rapid_commit, bind_on_renew) = file.table("lifetimes", |t| {
                (
                    Lifetimes::read(t),
                    t.get("rapid-commit"),
                    t.get("bind-on-renew"),
                )
            });
            Self {
                server: file.table("server", |t| Server {
                    state_dir: t.get("state-dir"),
                    duid: t.get("duid"),
                    preference: t.get("preference"),
                    allocation_key: t.get("allocation-key"),
                    relay_supplied_options: t.list("relay-supplied-options"),
                }),
                workers: file.table("workers", |t| Workers {
                    cores: t.list("cores"),
                    idle: t.get("idle"),
                }),
                interfaces: file.tables("interface", |t| Interface {
                    name: t.require("name"),
                    io: t.get("io"),
                    verify_checksums: t.get("verify-checksums"),
                    steer_by: t.get("steer-by"),
                    addresses: t.list("addresses"),
                }),
                lifetimes,
                rapid_commit,
                bind_on_renew,
                decline: file.table("decline", |t| Decline {
                    quarantine: t.get("quarantine"),
                    per_client: t.get("per-client"),
                }),
                reconfigure: file.table("reconfigure", |t| Reconfigure {
                    enabled: t.get("enabled"),
                    secret: t.get("secret"),
                }),
                options: file.table("options", options::read),
                classes: file.tables("class", Class::read),
                reservations: file.table("reservations", |t| Reservations {
                    file: t.get("file"),
                }),
                links: file.tables("link", Link::read),
                failover: file.tables("failover", Failover::read),
                control: file.table("control", |t| Control {
                    socket: t.get("socket"),
                    metrics: t.get("metrics"),
                }),
            }
        })
    }
}

impl Lifetimes {
    /// Whether either is there.
    pub fn says_anything(&self) -> bool {
        self.preferred.is_some() || self.valid.is_some()
    }

    /// Reads the table.
    pub fn read(t: &mut Reader<'_, '_>) -> Self {
        Self {
            preferred: t.get("preferred"),
            valid: t.get("valid"),
        }
    }
}

impl Link {
    /// Whether no pool stands there, not even one at fault.
    pub fn has_no_pool(&self) -> bool {
        self.address_pools.is_empty() && self.prefix_pools.is_empty()
    }

    fn read(t: &mut Reader<'_, '_>) -> Self {
        Self {
            place: t.place().clone(),
            name: t.require("name"),
            interface: t.get("interface"),
            link_addresses: t.list("link-addresses"),
            shared_network: t.get("shared-network"),
            clients: ClientKeys::read(t),
            lifetimes: t.table("lifetimes", Lifetimes::read),
            options: t.table("options", options::read),
            address_pools: t.tables("address-pool", |t| AddressPool {
                range: t.require("range"),
                group: t.get("group"),
                class: t.get("class"),
                lifetimes: t.table("lifetimes", Lifetimes::read),
                options: t.table("options", options::read),
            }),
            prefix_pools: t.tables("prefix-pool", |t| PrefixPool {
                prefix: t.require("prefix"),
                delegated_length: t.require("delegated-length"),
                default_length: t.get("default-length"),
                excluded_length: t.get("excluded-length"),
                group: t.get("group"),
                class: t.get("class"),
                lifetimes: t.table("lifetimes", Lifetimes::read),
                options: t.table("options", options::read),
            }),
            reservations: t.tables("reservation", |t| Reservation {
                place: t.place().clone(),
                key: keys(t),
                addresses: t.one_or_more("address"),
                prefixes: t.one_or_more("prefix"),
                is_empty: (["address", "prefix"].into_iter())
                    .all(|key| !t.has(key) || t.is_empty_list(key)),
                lifetimes: t.table("lifetimes", Lifetimes::read),
                options: t.table("options", options::read),
            }),
        }
    }
}

/// The keys of a reservation.
fn keys(t: &mut Reader<'_, '_>) -> Keys {
    let all = [
        "duid",
        "link-layer-address",
        "remote-id",
        "interface-id",
        "subscriber-id",
    ];
    let given = all.into_iter().filter(|key| t.has(key)).count();
    let id = |id: Placed<Identity>| id.value.0;
    Keys {
        duid: t.get("duid").map(|duid: Placed<DuidOctets>| duid.value.0),
        link_layer_address: (t.get("link-layer-address"))
            .map(|octets: Placed<LinkLayerOctets>| octets.value.0),
        remote_id: t.get("remote-id").map(id),
        enterprise: (t.get("enterprise-number"))
            .map(|number: Placed<Within<0, { u32::MAX as u64 }>>| number.value.0 as u32),
        interface_id: t.get("interface-id").map(id),
        subscriber_id: t.get("subscriber-id").map(id),
        given,
    }
}

/// Declares what word means which value of a type.
macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal => $value:expr),+ $(,)?) => {
        impl FromToml for $type {
            const EXPECTED: &'static str = $expected;

            fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
                word(value, &[$(($word, $value)),+])
            }
        }
    };
}

pub(super) use words;

words!(Idle, "\"busy-poll\", \"adaptive\" or \"sleep\"",
    "busy-poll" => Self::BusyPoll,
    "adaptive" => Self::Adaptive,
    "sleep" => Self::Sleep,
);
words!(Io, "\"auto\", \"zero-copy\", \"copy\", \"generic\" or \"socket\"",
    "auto" => Self::Auto,
    "zero-copy" => Self::ZeroCopy,
    "copy" => Self::Copy,
    "generic" => Self::Generic,
    "socket" => Self::Socket,
);
words!(VerifyChecksums, "\"auto\", \"on\" or \"off\"",
    "auto" => Self::Auto,
    "on" => Self::On,
    "off" => Self::Off,
);
