//! The scenarios that need a server: each is one function that makes its ground and returns what it
//! found.

mod ceiling;
mod echo;
mod failover_cost;
mod fill;
mod ground;
mod hostile;
mod kea;
mod latency;
mod memory;
mod partners;
mod perfdhcp;
mod relays;
mod reload;
mod renew;
mod restart;
mod resync;
mod sarr;
mod scale;
mod storm;
mod takeover;

use anyhow::Result;

use crate::report::Findings;

/// Runs one scenario.
pub type Run = fn() -> Result<Findings>;

/// By name, in the order in which `all` runs them.
pub const SCENARIOS: [(&str, Run); 16] = [
    ("ceiling", ceiling::run),
    ("sarr", sarr::run),
    ("renew", renew::run),
    ("relays", relays::run),
    ("latency", latency::run),
    ("kea", kea::run),
    ("perfdhcp", perfdhcp::run),
    ("hostile", hostile::run),
    ("storm", storm::run),
    ("scale", scale::run),
    ("memory", memory::run),
    ("restart", restart::run),
    ("reload", reload::run),
    ("failover-cost", failover_cost::run),
    ("resync", resync::run),
    ("takeover", takeover::run),
];
