//! CONNECT and CONNECTREPLY: what is said and what is checked (RFC 8156 §6.1).

use crate::config::Config;
use crate::digest::{ConfigDigest, VENDOR_LEN};
use crate::keepalive::{SKEW_MAX_SECS, Skew};
use lease::{AbsTime, Role};
use thiserror::Error;
use wire::StatusCode;
use wire::failover::{Connect, ConnectFlags, ProtocolVersion};

/// The most BNDUPDs that are sent without an answer, whatever the partner would take.
pub const WINDOW_MAX: u32 = 1 << 16;

/// What this server says of itself in CONNECT or CONNECTREPLY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    mclt_secs: u32,
    keepalive_secs: u32,
    max_unacked: u32,
    /// Only in CONNECT.
    name: Option<String>,
    vendor: [u8; VENDOR_LEN],
}

impl Greeting {
    /// A CONNECT (§6.1.1): the MCLT is the configured one.
    pub fn connect(config: &Config) -> Self {
        Self {
            name: Some(config.name.clone()),
            ..Self::reply(config, config.mclt_secs)
        }
    }

    /// A CONNECTREPLY that accepts (§6.1.2): the MCLT is the one received.
    pub fn reply(config: &Config, mclt_secs: u32) -> Self {
        Self {
            mclt_secs,
            keepalive_secs: config.keepalive_secs,
            max_unacked: config.max_unacked,
            name: None,
            vendor: config.digest.vendor_data(),
        }
    }

    /// The options.
    pub fn body(&self) -> Connect<'_> {
        Connect {
            status: None,
            protocol_version: Some(ProtocolVersion::RFC8156),
            mclt_secs: Some(self.mclt_secs),
            keepalive_secs: Some(self.keepalive_secs),
            max_unacked_bndupd: Some(self.max_unacked),
            relationship_name: self.name.as_ref().map(String::as_bytes),
            // Every pool of ours delegates prefixes of one length.
            flags: Some(ConnectFlags::FIXED_PD_LENGTH),
            vendor_opts: Some(&self.vendor),
        }
    }
}

/// What both servers hold to on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// MCLT in seconds: the primary's.
    pub mclt_secs: u32,
    /// The partner's FO_KEEPALIVE_TIME in seconds.
    pub partner_keepalive_secs: u32,
    /// BNDUPDs that may be sent without an answer: not 0.
    pub window: u32,
    /// The partner's configuration, if it told.
    pub digest: Option<ConfigDigest>,
}

/// Why a connection is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The clocks differ by more than five seconds (§6.1.2).
    #[error("clocks differ by {0} s, more than {SKEW_MAX_SECS}: set both by NTP")]
    Skew(i32),
    /// Another protocol.
    #[error("failover protocol version {0} is not supported, 1.0 is")]
    Version(ProtocolVersion),
    /// Not a relationship that this endpoint serves.
    #[error("no such relationship, or not with this server as its secondary")]
    Relationship,
    /// An option that must be there is not (§6.1.1).
    #[error("{0} is missing")]
    Missing(wire::OptionCode),
    /// An option says what cannot be.
    #[error("{0} is 0")]
    Zero(wire::OptionCode),
    /// The partner delegates prefixes of several lengths out of one delegable prefix.
    #[error("prefixes of several lengths out of one delegable prefix are not supported")]
    VariablePrefixLengths,
    /// The secondary did not take the primary's MCLT (§6.1.3).
    #[error("secondary answered with an MCLT of {got} s, not {want} s")]
    Mclt {
        /// Of the CONNECTREPLY, seconds.
        got: u32,
        /// Of the CONNECT, seconds.
        want: u32,
    },
}

impl ConnectError {
    /// The status to refuse with. RFC 8156 names the first two; the others are what fits best.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Skew(_) => StatusCode::EXCESSIVE_TIME_SKEW,
            Self::Version(_) | Self::VariablePrefixLengths => StatusCode::NOT_SUPPORTED,
            Self::Relationship | Self::Mclt { .. } => StatusCode::CONFIGURATION_CONFLICT,
            Self::Missing(_) => StatusCode::MISSING_BINDING_INFORMATION,
            Self::Zero(_) => StatusCode::UNSPEC_FAIL,
        }
    }
}

/// The secondary's checks of a CONNECT, in the order of §6.1.2. A CONNECT without name means the
/// only relationship between the two servers; whether there is but one, the caller knows.
///
/// # Errors
/// [`ConnectError`]: to be answered with a CONNECTREPLY of that status.
pub fn check_connect(
    config: &Config,
    connect: &Connect<'_>,
    sent_time: u32,
    received: AbsTime,
) -> Result<Agreed, ConnectError> {
    check_skew(sent_time, received)?;
    check_version(connect)?;
    let named = connect
        .relationship_name
        .is_none_or(|name| name == config.name.as_bytes());
    if config.role != Role::Secondary || !named {
        return Err(ConnectError::Relationship);
    }
    agreed(connect)
}

/// The primary's checks of a CONNECTREPLY that carries no error (§6.1.3).
///
/// # Errors
/// [`ConnectError`]: to be answered with a DISCONNECT of that status.
pub fn check_connectreply(
    config: &Config,
    reply: &Connect<'_>,
    sent_time: u32,
    received: AbsTime,
) -> Result<Agreed, ConnectError> {
    check_skew(sent_time, received)?;
    check_version(reply)?;
    let agreed = agreed(reply)?;
    if agreed.mclt_secs != config.mclt_secs {
        return Err(ConnectError::Mclt {
            got: agreed.mclt_secs,
            want: config.mclt_secs,
        });
    }
    Ok(agreed)
}

fn check_skew(sent_time: u32, received: AbsTime) -> Result<(), ConnectError> {
    let travel = Skew::travel_secs(sent_time, received);
    if travel.unsigned_abs() > SKEW_MAX_SECS {
        return Err(ConnectError::Skew(travel));
    }
    Ok(())
}

fn check_version(connect: &Connect<'_>) -> Result<(), ConnectError> {
    let version = connect
        .protocol_version
        .ok_or(ConnectError::Missing(wire::OptionCode::F_PROTOCOL_VERSION))?;
    // A larger minor number means small changes (§5.5.11): those of ours are the older.
    if version.major != ProtocolVersion::RFC8156.major {
        return Err(ConnectError::Version(version));
    }
    Ok(())
}

fn agreed(connect: &Connect<'_>) -> Result<Agreed, ConnectError> {
    use wire::OptionCode as Code;
    let flags = connect
        .flags
        .ok_or(ConnectError::Missing(Code::F_CONNECT_FLAGS))?;
    if !flags.contains(ConnectFlags::FIXED_PD_LENGTH) {
        return Err(ConnectError::VariablePrefixLengths);
    }
    Ok(Agreed {
        mclt_secs: number(connect.mclt_secs, Code::F_MCLT)?,
        partner_keepalive_secs: number(connect.keepalive_secs, Code::F_KEEPALIVE_TIME)?,
        window: number(connect.max_unacked_bndupd, Code::F_MAX_UNACKED_BNDUPD)?.min(WINDOW_MAX),
        digest: connect.vendor_opts.and_then(ConfigDigest::from_vendor_data),
    })
}

/// A number that must be there and cannot be 0.
fn number(value: Option<u32>, code: wire::OptionCode) -> Result<u32, ConnectError> {
    match value {
        None => Err(ConnectError::Missing(code)),
        Some(0) => Err(ConnectError::Zero(code)),
        Some(value) => Ok(value),
    }
}

#[cfg(test)]
mod tests;
