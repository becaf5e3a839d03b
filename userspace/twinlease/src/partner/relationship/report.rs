//! What an operator is shown of a relationship.

use super::Relationship;
use super::traffic::TrafficReport;
use crate::control::view::Moment;
use failover::reconcile::Rejection;
use lease::{AbsTime, Lease, Role};
use serde::{Deserialize, Serialize};
use wire::failover::ServerFlags;

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// BNDUPDs made for the partner.
    pub updates_sent: u64,
    /// BNDUPDs of the partner.
    pub updates_received: u64,
    /// BNDREPLYs sent.
    pub replies_sent: u64,
    /// BNDREPLYs of the partner.
    pub replies_received: u64,
    /// BNDREPLYs of the partner to nothing that was outstanding.
    pub replies_unasked: u64,
    /// Leases of the partner that were not taken over.
    pub updates_rejected: u64,
    /// Other messages of the partner.
    pub messages_received: u64,
    /// Changes of the endpoint's state.
    pub state_changes: u64,
}

/// A lease of the partner that was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The lease.
    pub lease: Lease,
    /// Why.
    pub rejection: Rejection,
    /// When.
    pub at: AbsTime,
}

/// One relationship at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailoverReport {
    /// Its name.
    pub name: String,
    /// `primary` or `secondary`: this server's role.
    pub role: String,
    /// This server's state in the words of RFC 8156 §8.
    pub state: String,
    /// Since when.
    pub since: Moment,
    /// Seconds since then.
    pub state_secs: u32,
    /// The state before; in STARTUP the one that it goes on from.
    pub previous: Option<String>,
    /// The partner as it last was.
    pub partner: Option<PartnerReport>,
    /// Whether communications are OK.
    pub communications_ok: bool,
    /// The connection's other end.
    pub peer: Option<String>,
    /// Whether the connection is protected by TLS.
    pub tls: bool,
    /// When the partner was last heard.
    pub last_heard: Option<Moment>,
    /// MCLT in force, seconds.
    pub mclt_secs: u32,
    /// What this server waits for, in words.
    pub waiting: String,
    /// Until when, if not for somebody.
    pub until: Option<Moment>,
    /// BNDUPDs sent that the partner has not acknowledged.
    pub unacked: u32,
    /// BNDUPDs that the partner takes at once.
    pub window: u32,
    /// BNDUPDs of the partner that have not been answered yet.
    pub unanswered: u32,
    /// Free delegable prefixes by side.
    pub prefixes: PrefixesReport,
    /// What has happened since the start.
    #[serde(flatten)]
    pub counters: Counters,
    /// What went over its connections since the start.
    pub traffic: TrafficReport,
    /// The last leases of the partner that were not taken over.
    pub rejected: Vec<RejectedReport>,
}

/// The partner as it last described itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartnerReport {
    /// Its state.
    pub state: String,
    /// Whether it is starting, and `state` the one it goes on from.
    pub starting: bool,
    /// Since when, by its own clock.
    pub since: Moment,
}

/// Free delegable prefixes by side (RFC 8156 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrefixesReport {
    /// FREE.
    pub primary: u64,
    /// FREE-BACKUP.
    pub secondary: u64,
}

/// A lease of the partner that was not taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RejectedReport {
    /// The address or prefix.
    pub lease: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Moment,
}

impl Relationship {
    /// What is to be shown now.
    pub fn report(&self) -> FailoverReport {
        let now = self.now();
        let status = self.endpoint.status(now);
        let flow = self.flow.as_ref();
        let connection = flow.and_then(|flow| self.connections.get(&flow.connection));
        let sides = self.blocks.sides(&self.model.load());
        FailoverReport {
            name: self.name().to_owned(),
            role: match self.role() {
                Role::Primary => "primary".to_owned(),
                Role::Secondary => "secondary".to_owned(),
            },
            state: status.state.name().to_owned(),
            since: status.since.into(),
            state_secs: status.since.secs_until(now.wall),
            previous: status.previous.map(|state| state.name().to_owned()),
            partner: status.partner.map(|partner| PartnerReport {
                state: partner.state.name().to_owned(),
                starting: partner.flags.contains(ServerFlags::STARTUP),
                since: partner.since.into(),
            }),
            communications_ok: status.communications_ok,
            peer: connection.map(|open| open.peer.to_string()),
            tls: connection.is_some_and(|open| open.is_tls),
            last_heard: status.last_heard.map(Moment::from),
            mclt_secs: status.mclt_secs,
            waiting: status.waiting.to_string(),
            until: status.until.map(|until| {
                let secs = until.millis_since(now.mono).div_ceil(1_000);
                now.wall
                    .plus(u32::try_from(secs).unwrap_or(u32::MAX))
                    .into()
            }),
            unacked: flow.map_or(0, super::Flow::outstanding),
            window: flow.map_or(0, super::Flow::width),
            unanswered: flow.map_or(0, |flow| flow.unanswered),
            prefixes: PrefixesReport {
                primary: sides.primary,
                secondary: sides.secondary,
            },
            counters: self.counters,
            traffic: self.traffic.report(),
            rejected: self.rejected.iter().rev().map(rejected).collect(),
        }
    }
}

fn rejected(rejected: &Rejected) -> RejectedReport {
    RejectedReport {
        lease: rejected.lease.to_string(),
        reason: rejected.rejection.text().to_owned(),
        at: rejected.at.into(),
    }
}
