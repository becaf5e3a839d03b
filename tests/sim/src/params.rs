//! What differs from run to run: drawn from the seed.

use crate::mutation::Mutation;
use crate::rng::Rng;
use crate::site::{self, Device, Reservation};
use wire::ShardId;

/// How many shards the clients are of: what happens between two shards happens between four.
const SHARDS: usize = 4;

#[derive(Clone, Debug)]
pub struct Params {
    pub clients: Vec<Device>,
    pub reserved: Vec<Reservation>,
    /// Whether that is so from the beginning, or an operator says so later.
    pub reserves_at_once: bool,
    /// Whether link 1 tells its clients apart by their lines.
    pub by_line: bool,
    pub shard_ids: Vec<ShardId>,
    /// Workers of each server, which share the shards.
    pub workers: usize,
    pub mclt_secs: u32,
    pub valid_secs: u32,
    pub quarantine_secs: u32,
    pub keepalive_secs: u32,
    pub startup_secs: u32,
    pub auto_partner_down_secs: Option<u32>,
    pub max_unacked: u32,
    /// Addresses of each of the two links.
    pub addresses: u64,
    /// 2 to this power prefixes of each link.
    pub prefix_bits: u8,
    /// Whether the operator may say what is not true, and clocks may jump.
    pub lies: bool,
    pub mutation: Option<Mutation>,
    /// Lines of the story that are kept; 0: none is told.
    pub story: usize,
}

impl Params {
    pub fn draw(rng: &mut Rng, mutation: Option<Mutation>, story: usize) -> Self {
        let clients = rng.within(16, 41) as usize;
        let shard_ids: Vec<ShardId> = (0..SHARDS as u8).map(ShardId).collect();
        let mut params = Self {
            clients: site::devices(rng, clients, &shard_ids),
            reserved: Vec::new(),
            reserves_at_once: rng.chance(500),
            by_line: rng.chance(400),
            shard_ids,
            workers: rng.pick(&[1, 2, 4]),
            mclt_secs: rng.pick(&[20, 40, 60, 90]),
            valid_secs: rng.pick(&[60, 120, 240, 400]),
            quarantine_secs: rng.pick(&[30, 120]),
            keepalive_secs: rng.pick(&[8, 15, 30]),
            startup_secs: rng.pick(&[15, 30]),
            auto_partner_down_secs: rng.pick(&[None, None, None, Some(60)]),
            max_unacked: rng.pick(&[1, 4, 64]),
            addresses: rng.pick(&[8, 12, 16, 24]),
            prefix_bits: rng.pick(&[3, 4, 5]),
            lies: rng.chance(150),
            mutation,
            story,
        };
        if rng.chance(600) {
            params.reserve(rng);
        }
        params
    }
}
