//! What an operator is told while clients are reconfigured: a line of JSON each.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReconfigureLine {
    /// What became of a client.
    Client(ReconfiguredClient),
    /// How far it has come, every few seconds.
    Progress(ReconfigureTally),
    /// Every client has its result.
    Done(ReconfigureTally),
    /// It goes no further, and why; the clients not named yet may or may not have been sent
    /// something.
    Failed(String),
}

/// The result of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReconfiguredClient {
    /// The client, in hexadecimal with colons.
    pub duid: String,
    /// The lease whose binding says how it is reached.
    pub lease: String,
    /// `answered`, `no-answer`, or why it was sent nothing (more).
    pub result: String,
    /// Reconfigure messages sent.
    pub transmissions: u8,
    /// The result in words, where one is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReconfigureTally {
    /// Clients that it has come to.
    pub clients: u64,
    /// Reconfigure messages sent.
    pub sent: u64,
    /// Clients that are waited for.
    pub waiting: u64,
    /// Clients by result.
    pub results: BTreeMap<String, u64>,
}

impl ReconfigureTally {
    /// Clients that have done what they were asked for.
    pub fn answered(&self) -> u64 {
        self.results.get("answered").copied().unwrap_or(0)
    }
}
