//! An endpoint alone, and two of them talking to each other in memory through their real frames.

mod machine;
mod pair;
mod rules;
mod sequences;
mod waits;

use super::*;
use crate::config::Config;
use crate::digest::ConfigDigest;

pub(super) const START: AbsTime = AbsTime(800_000_000);
pub(super) const MCLT: u32 = 3_600;

pub(super) fn config(role: Role) -> Config {
    Config {
        name: "pair-a".into(),
        role,
        mclt_secs: MCLT,
        keepalive_secs: 60,
        max_unacked: 256,
        startup_secs: 10,
        auto_partner_down_secs: None,
        serve_without_partner: false,
        connect_retry_secs: 5,
        longest_valid_secs: 345_600,
        digest: ConfigDigest::default(),
    }
}
