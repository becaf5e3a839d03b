//! What the operator says of a relationship, as the endpoint needs it.

use crate::digest::ConfigDigest;
use lease::Role;

/// A relationship's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name (RFC 8156 §5.5.14): the same on both servers, at most 255 octets.
    pub name: String,
    /// Which of the two servers this one is.
    pub role: Role,
    /// Maximum client lead time in seconds; on the secondary it counts only until the primary's is
    /// known.
    pub mclt_secs: u32,
    /// Seconds of silence after which the connection is taken for dead (FO_KEEPALIVE_TIME).
    pub keepalive_secs: u32,
    /// BNDUPDs that this server takes without having answered them (MAX_UNACKED_BNDUPD); not 0.
    pub max_unacked: u32,
    /// Seconds that STARTUP waits for the partner.
    pub startup_secs: u32,
    /// Seconds of COMMUNICATIONS-INTERRUPTED after which the partner is taken to be down; `None`:
    /// only the operator says so.
    pub auto_partner_down_secs: Option<u32>,
    /// Whether a server that never was in contact with its partner serves alone when STARTUP ends
    /// without it (RFC 8156 §8.3.2 step 1).
    pub serve_without_partner: bool,
    /// Seconds between a primary's attempts to connect; more after a rejection.
    pub connect_retry_secs: u32,
    /// The longest valid lifetime of any lease of the relationship, seconds.
    pub longest_valid_secs: u32,
    /// What links and pools the relationship has.
    pub digest: ConfigDigest,
}
