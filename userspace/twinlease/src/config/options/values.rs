//! Kinds of value that only options have.

use std::net::Ipv6Addr;

use toml::de::DeValue;
use wire::OptionCode;
use wire::options::dns::encode_name;
use wire::options::scalar::{IRT_MINIMUM_SECS, MAX_RT_SECS};

use super::super::value::{DomainName, FromToml, Secs, Wrong, wrong, wrong_type};
use super::{KEYS, code_of, is_server};

/// The wire form of a name that the reader has checked.
pub fn encoded_name(name: &DomainName) -> Vec<u8> {
    encode_name(&name.0)
        .map(|name| name.to_vec())
        .unwrap_or_default()
}

/// A server's address: neither multicast nor unspecified.
#[derive(Clone, Copy)]
pub struct Unicast(pub Ipv6Addr);

impl FromToml for Unicast {
    const EXPECTED: &'static str = Ipv6Addr::EXPECTED;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match Ipv6Addr::from_toml(value)? {
            address if is_server(address) => Ok(Self(address)),
            address => wrong(
                format!("{address} cannot be a server"),
                "write a unicast address",
            ),
        }
    }
}

/// An NTP server as RFC 5908 §4 knows them.
pub enum NtpServer {
    /// By address (§4.1).
    Address(Ipv6Addr),
    /// By the group it sends to (§4.2).
    Group(Ipv6Addr),
    /// By name (§4.3).
    Name(DomainName),
}

impl NtpServer {
    /// The suboption.
    pub fn encode(&self, data: &mut Vec<u8>) {
        let (code, body) = match self {
            Self::Address(address) => (1_u16, address.octets().to_vec()),
            Self::Group(address) => (2, address.octets().to_vec()),
            Self::Name(name) => (3, encoded_name(name)),
        };
        data.extend(code.to_be_bytes());
        data.extend((body.len() as u16).to_be_bytes());
        data.extend(body);
    }
}

impl FromToml for NtpServer {
    const EXPECTED: &'static str = "an address, a multicast address or a name, in quotes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
        match value {
            DeValue::String(text) if is_address(text) => match Ipv6Addr::from_toml(value)? {
                group if group.is_multicast() => Ok(Self::Group(group)),
                _ => Unicast::from_toml(value).map(|server| Self::Address(server.0)),
            },
            DeValue::String(_) => DomainName::from_toml(value).map(Self::Name),
            other => wrong_type::<Self>(other),
        }
    }
}

/// SOL_MAX_RT or INF_MAX_RT (RFC 9915 §21.24, §21.25).
pub struct MaxRt(pub u32);

impl FromToml for MaxRt {
    const EXPECTED: &'static str = Secs::EXPECTED;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match Secs::from_toml(value)?.0 {
            secs if MAX_RT_SECS.contains(&secs) => Ok(Self(secs)),
            _ => wrong("is out of range", "write a duration from \"60s\" to \"1d\""),
        }
    }
}

/// Information Refresh Time (RFC 9915 §21.23).
pub struct RefreshTime(pub u32);

impl FromToml for RefreshTime {
    const EXPECTED: &'static str = Secs::EXPECTED;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match Secs::from_toml(value)?.0 {
            secs if secs >= IRT_MINIMUM_SECS => Ok(Self(secs)),
            _ => wrong("is too short", "write at least \"10m\""),
        }
    }
}

/// An option named in a list: by its key, or by number.
#[derive(Clone, Copy)]
pub struct Named(pub OptionCode);

impl FromToml for Named {
    const EXPECTED: &'static str = "an option's key in quotes, or its number";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let code = match value {
            DeValue::String(name) => code_of(name),
            DeValue::Integer(number) => number.as_str().parse().ok().map(OptionCode),
            other => return wrong_type::<Self>(other),
        };
        match code {
            Some(code) => Ok(Self(code)),
            None => {
                let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
                wrong(
                    "names no option",
                    format!("write a number, or one of: {}", keys.join(", ")),
                )
            }
        }
    }
}
