//! What an operator is told as it happens: one line each, to be logged.

use crate::connect::ConnectError;
use crate::digest::Differences;
use crate::event::Ending;
use crate::state::ServerState;
use core::fmt;
use lease::AbsTime;
use wire::MessageType;
use wire::failover::TransactionId;

/// Something worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The endpoint's state changed.
    State {
        /// Before.
        from: ServerState,
        /// After.
        to: ServerState,
        /// Why.
        cause: Cause,
    },
    /// Communications with the partner are OK.
    CommunicationsOk,
    /// A connection ended, or an attempt at one.
    Ended(Ending),
    /// A CONNECT of the partner was rejected.
    Rejected(ConnectError),
    /// The partner is in another state.
    Partner {
        /// The state it names.
        state: ServerState,
        /// Whether it is in STARTUP and the state is the one before.
        startup: bool,
    },
    /// The partner has other links, pools or reservations.
    ConfigDiffers(Differences),
    /// The partner set another MCLT, seconds.
    McltAdopted {
        /// Before, if there was one.
        from: Option<u32>,
        /// In force now.
        to: u32,
    },
    /// This server has lost its bindings: it never was in contact with the partner, as far as it
    /// knows, and the partner knows better.
    StorageLost,
    /// An answer to nothing that was asked; ignored.
    UnknownTransaction(MessageType, TransactionId),
    /// This server takes part again.
    HealthyAgain,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look at it.
    Warning,
    /// RFC 8156 wants an alarm: the pair does not protect its clients now (§8.9, §8.11).
    Alarm,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The partner's state.
    Partner(ServerState),
    /// Communications failed.
    CommunicationsFailed,
    /// This server stops, as it was told to.
    Shutdown,
    /// The operator said that the partner is down.
    Operator {
        /// Since when.
        since: AbsTime,
    },
    /// Communications have failed for the time of auto-partner-down, seconds.
    AutoPartnerDown(u32),
    /// The partner could not be reached during STARTUP.
    StartupOver,
    /// Likewise, and the configuration says to serve without it.
    WithoutPartner,
    /// STARTUP is over since the partner was reached.
    PartnerReached,
    /// The partner entered PARTNER-DOWN after this server last operated.
    PartnerDownLater {
        /// When it did.
        since: AbsTime,
    },
    /// The partner entered PARTNER-DOWN while this server may have operated.
    PartnerDownEarlier {
        /// When it did.
        since: AbsTime,
    },
    /// The partner's UPDDONE.
    UpdateDone,
    /// MCLT has passed since this server failed.
    WaitOver,
    /// Neither server has ever run failover: there is nothing to wait for.
    NeverRan,
}

impl Note {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::State {
                cause: Cause::Shutdown,
                ..
            } => Severity::Info,
            Self::State { from, to, .. } => match (from, to) {
                (ServerState::Normal, ServerState::CommunicationsInterrupted)
                | (_, ServerState::ResolutionInterrupted) => Severity::Alarm,
                (_, ServerState::PotentialConflict | ServerState::PartnerDown) => Severity::Warning,
                _ => Severity::Info,
            },
            Self::Ended(Ending::Aside(_)) | Self::StorageLost => Severity::Alarm,
            Self::Ended(Ending::Shutdown | Ending::Replaced) => Severity::Info,
            Self::Ended(_)
            | Self::Rejected(_)
            | Self::ConfigDiffers(_)
            | Self::UnknownTransaction(..) => Severity::Warning,
            Self::CommunicationsOk
            | Self::Partner { .. }
            | Self::McltAdopted { .. }
            | Self::HealthyAgain => Severity::Info,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State { from, to, cause } => write!(f, "{from} -> {to}: {cause}"),
            Self::CommunicationsOk => f.write_str("communications OK"),
            Self::Ended(ending) => ending.fmt(f),
            Self::Rejected(error) => write!(f, "partner's CONNECT rejected: {error}"),
            Self::Partner { state, startup } => {
                let starting = if *startup { ", starting" } else { "" };
                write!(f, "partner is in {state}{starting}")
            }
            Self::ConfigDiffers(differences) => write!(
                f,
                "partner has other {differences} configured for this relationship: make both alike"
            ),
            Self::McltAdopted { from: None, to } => write!(f, "MCLT is {to} s"),
            Self::McltAdopted {
                from: Some(from),
                to,
            } => write!(f, "MCLT is {to} s, it was {from} s"),
            Self::StorageLost => f.write_str(
                "this server has lost its bindings, its partner knows of earlier contact: \
                 all bindings are fetched from there",
            ),
            Self::UnknownTransaction(message, id) => {
                write!(
                    f,
                    "{message} for transaction {id}, of which nothing is known"
                )
            }
            Self::HealthyAgain => f.write_str("this server takes part again"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partner(state) => write!(f, "partner is in {state}"),
            Self::CommunicationsFailed => f.write_str("communications failed"),
            Self::Shutdown => f.write_str("this server stops"),
            Self::Operator { since } => {
                write!(f, "operator: partner is down since {}", since.unix_secs())
            }
            Self::AutoPartnerDown(secs) => {
                write!(f, "no communications for {secs} s (auto-partner-down)")
            }
            Self::StartupOver => f.write_str("partner not reached during startup"),
            Self::WithoutPartner => {
                f.write_str("partner not reached during startup (without-partner = \"serve\")")
            }
            Self::PartnerReached => f.write_str("partner reached"),
            Self::PartnerDownLater { since } => write!(
                f,
                "partner is in PARTNER-DOWN since {}, after this server last operated",
                since.unix_secs()
            ),
            Self::PartnerDownEarlier { since } => write!(
                f,
                "partner is in PARTNER-DOWN since {}, while this server may have operated",
                since.unix_secs()
            ),
            Self::UpdateDone => f.write_str("partner has sent all that was asked for"),
            Self::WaitOver => f.write_str("MCLT has passed since this server failed"),
            Self::NeverRan => f.write_str("neither server has run failover before"),
        }
    }
}
