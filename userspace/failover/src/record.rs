//! What an endpoint keeps on stable storage (RFC 8156 §8.2): without it a server that starts does
//! not know whether it may serve.

use crate::mclt::{Lingering, Mclt};
use lease::{AbsTime, Role};
use thiserror::Error;
use wire::failover::{ServerFlags, ServerState};

/// Most octets of an encoded [`EndpointRecord`].
pub const RECORD_LEN_MAX: usize = 64;

const VERSION: u8 = 1;

/// The partner as its last STATE described it (RFC 8156 §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartnerRecord {
    /// Its state; in STARTUP, the one it was in before.
    pub state: ServerState,
    /// Since when it is in that state, by its own clock.
    pub since: AbsTime,
    /// Its flags.
    pub flags: ServerFlags,
    /// Since when it has held this server to be down; only of a partner in PARTNER-DOWN.
    pub partner_down_time: Option<AbsTime>,
}

/// An endpoint's state and what outlives a restart with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointRecord {
    /// This server's role when it was written.
    pub role: Role,
    /// The endpoint's state; never STARTUP.
    pub state: ServerState,
    /// The state before, if there was one.
    pub previous: Option<ServerState>,
    /// When it entered `state`.
    pub since: AbsTime,
    /// In PARTNER-DOWN: since when the partner has not been serving. The waits of §8.4.1 count
    /// from it. Entry into the state, or before it if the operator knew better.
    pub partner_down_since: Option<AbsTime>,
    /// The partner; `None` before its first STATE.
    pub partner: Option<PartnerRecord>,
    /// When the last message of the partner came.
    pub last_heard: Option<AbsTime>,
    /// A time after which this server has certainly not served clients, unless a later record says
    /// so: written ahead while it serves. `None`: it never has. It is the TIME-OF-FAILURE of
    /// §8.3.2 after a restart.
    pub operating_until: Option<AbsTime>,
    /// The MCLT in force, and an older one that still counts.
    pub mclt: Mclt,
    /// Both servers have been NORMAL together: the C flag of STATE (§5.5.15).
    pub communicated: bool,
    /// This server lost its bindings and has not yet got all of the partner's: it asks with
    /// UPDREQALL, through whatever states that takes.
    pub needs_all: bool,
    /// This server lost its bindings, and with them what it promised, and has not served since: it
    /// does not before MCLT has passed from its start.
    pub lost_promises: bool,
    /// The partner asked for everything and has not yet acknowledged it all: whatever it asks for
    /// next is answered with everything.
    pub owes_all: bool,
}

/// Why octets are no endpoint record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Written by a newer version of this program.
    #[error(
        "failover state has format {0}, this program reads {VERSION}: start the newer version again"
    )]
    Version(u8),
    /// Shorter or longer than its format, or with a value that has no meaning.
    #[error("failover state of {len} octets is damaged at octet {at}")]
    Damaged {
        /// Its length in octets.
        len: usize,
        /// The first octet that makes no sense.
        at: usize,
    },
}

impl EndpointRecord {
    /// Of an endpoint of which nothing is stored (RFC 8156 §8.3.2 step 1). RECOVER for both roles:
    /// a primary that lost its disk must not start to serve. (§8.2 would put it in PARTNER-DOWN.)
    pub fn initial(role: Role, now: AbsTime) -> Self {
        Self {
            role,
            state: ServerState::Recover,
            previous: None,
            since: now,
            partner_down_since: None,
            partner: None,
            last_heard: None,
            operating_until: None,
            mclt: Mclt::default(),
            communicated: false,
            needs_all: false,
            lost_promises: false,
            owes_all: false,
        }
    }

    /// Appends its octets, at most [`RECORD_LEN_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.push(match self.role {
            Role::Primary => 0,
            Role::Secondary => 1,
        });
        out.push(self.state as u8);
        out.push(self.previous.map_or(0, |state| state as u8));
        out.push(
            u8::from(self.communicated)
                | u8::from(self.needs_all) << 1
                | u8::from(self.owes_all) << 2
                | u8::from(self.lost_promises) << 3,
        );
        let partner = self.partner;
        out.push(partner.map_or(0, |partner| partner.state as u8));
        out.push(partner.map_or(0, |partner| partner.flags.0));
        let mclt = &self.mclt;
        for number in [
            self.since.0,
            time(self.partner_down_since),
            time(self.last_heard),
            time(self.operating_until),
            partner.map_or(0, |partner| partner.since.0),
            time(partner.and_then(|partner| partner.partner_down_time)),
            mclt.agreed_secs.unwrap_or(0),
            mclt.lingering.map_or(0, |old| old.secs),
            mclt.lingering.map_or(0, |old| old.until.0),
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`RecordError`]; there is no part of a damaged record that could be trusted.
    pub fn decode(octets: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader { octets, at: 0 };
        let version = reader.octet()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let role = match reader.octet()? {
            0 => Role::Primary,
            1 => Role::Secondary,
            _ => return Err(reader.damaged()),
        };
        let state = reader.state()?.ok_or_else(|| reader.damaged())?;
        let previous = reader.state()?;
        let marks = reader.octet()?;
        if marks >= 1 << 4 {
            return Err(reader.damaged());
        }
        let partner_state = reader.state()?;
        let flags = ServerFlags(reader.octet()?);
        let since = AbsTime(reader.number()?);
        let partner_down_since = reader.time()?;
        let last_heard = reader.time()?;
        let operating_until = reader.time()?;
        let partner_since = AbsTime(reader.number()?);
        let partner_down_time = reader.time()?;
        let agreed_secs = Some(reader.number()?).filter(|&secs| secs != 0);
        let (secs, until) = (reader.number()?, AbsTime(reader.number()?));
        if reader.at != octets.len() {
            return Err(reader.damaged());
        }
        Ok(Self {
            role,
            state,
            previous,
            since,
            partner_down_since,
            partner: partner_state.map(|state| PartnerRecord {
                state,
                since: partner_since,
                flags,
                partner_down_time,
            }),
            last_heard,
            operating_until,
            mclt: Mclt {
                agreed_secs,
                lingering: (secs != 0).then_some(Lingering { secs, until }),
            },
            communicated: marks & 1 != 0,
            needs_all: marks & 2 != 0,
            owes_all: marks & 4 != 0,
            lost_promises: marks & 8 != 0,
        })
    }
}

/// 0 stands for "never": no server that writes this runs in the second in which 2000 began.
fn time(time: Option<AbsTime>) -> u32 {
    time.map_or(0, |time| time.0)
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let octets = self.octets.get(self.at..).and_then(<[u8]>::first_chunk);
        let octets = *octets.ok_or_else(|| self.damaged())?;
        self.at += N;
        Ok(octets)
    }

    fn octet(&mut self) -> Result<u8, RecordError> {
        self.take().map(|[octet]| octet)
    }

    fn number(&mut self) -> Result<u32, RecordError> {
        self.take().map(u32::from_be_bytes)
    }

    fn time(&mut self) -> Result<Option<AbsTime>, RecordError> {
        let number = self.number()?;
        Ok((number != 0).then_some(AbsTime(number)))
    }

    /// A state that can be stored, or none.
    fn state(&mut self) -> Result<Option<ServerState>, RecordError> {
        match self.octet()? {
            0 => Ok(None),
            value => match ServerState::from_wire(value) {
                None | Some(ServerState::Startup) => Err(self.damaged()),
                state => Ok(state),
            },
        }
    }

    fn damaged(&self) -> RecordError {
        RecordError::Damaged {
            len: self.octets.len(),
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests;
