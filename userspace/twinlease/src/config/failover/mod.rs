//! `[[failover]]`: what the file says; `check.rs` turns it into what the server uses.

mod check;

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::fault::Place;
use super::file::{List, Maybe, words};
use super::model::{Role, WithoutPartner};
use super::read::Reader;
use super::value::{FromToml, Secs, Share, Wrong, word};

pub use check::check;

/// `[[failover]]`
#[derive(Debug)]
pub struct Failover {
    pub place: Place,
    pub name: Maybe<String>,
    pub role: Maybe<Role>,
    pub local: Maybe<SocketAddr>,
    pub partner: Maybe<SocketAddr>,
    pub links: List<String>,
    pub mclt: Maybe<Secs>,
    pub keepalive: Maybe<Secs>,
    pub auto_partner_down: Maybe<OffOrSecs>,
    pub startup: Maybe<Secs>,
    pub without_partner: Maybe<WithoutPartner>,
    pub prefix_share: Maybe<Share>,
    pub connect_retry: Maybe<Secs>,
    pub insecure: Maybe<Insecure>,
    pub tls: Option<Tls>,
}

/// `[failover.tls]`
#[derive(Debug)]
pub struct Tls {
    pub place: Place,
    pub certificate: Maybe<PathBuf>,
    pub key: Maybe<PathBuf>,
    pub ca: Maybe<PathBuf>,
    pub partner_name: Maybe<String>,
}

impl Failover {
    pub fn read(t: &mut Reader<'_, '_>) -> Self {
        let tls = t.is_table("tls").then(|| t.table("tls", Tls::read));
        Self {
            place: t.place().clone(),
            name: t.require("name"),
            role: t.require("role"),
            local: t.require("local"),
            partner: t.require("partner"),
            links: t.list("links"),
            mclt: t.get("mclt"),
            keepalive: t.get("keepalive"),
            auto_partner_down: t.get("auto-partner-down"),
            startup: t.get("startup"),
            without_partner: t.get("without-partner"),
            prefix_share: t.get("prefix-share"),
            connect_retry: t.get("connect-retry"),
            insecure: match tls {
                Some(_) => None,
                None => t.require("tls"),
            },
            tls,
        }
    }
}

impl Tls {
    fn read(t: &mut Reader<'_, '_>) -> Self {
        Self {
            place: t.place().clone(),
            certificate: t.require("certificate"),
            key: t.require("key"),
            ca: t.require("ca"),
            partner_name: t.get("partner-name"),
        }
    }
}

words!(Role, "\"primary\" or \"secondary\"",
    "primary" => Self::Primary,
    "secondary" => Self::Secondary,
);
words!(WithoutPartner, "\"wait\" or \"serve\"",
    "wait" => Self::Wait,
    "serve" => Self::Serve,
);

/// `tls = "insecure"`.
#[derive(Clone, Copy, Debug)]
pub struct Insecure;
words!(Insecure, "\"insecure\", or a table [failover.tls]", "insecure" => Self);

/// `auto-partner-down`: a duration, or `None` for "off".
#[derive(Clone, Copy, Debug)]
pub struct OffOrSecs(pub Option<Secs>);

impl FromToml for OffOrSecs {
    const EXPECTED: &'static str = "\"off\" or a duration such as \"10m\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match value {
            DeValue::String(text) if text == "off" => Ok(Self(None)),
            other => Secs::from_toml(other).map(|secs| Self(Some(secs))),
        }
    }
}
