//! Which shard a client belongs to: the one definition, used by the XDP program and by workers.

/// Number of shards the DUID hash space is cut into. Constant over versions and machines, so that
/// the number of workers may change between runs while every binding keeps its shard.
pub const SHARDS: usize = 256;

/// A fixed slice of the DUID hash space; below [`SHARDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

/// The shard of the client with these DUID octets. Fixed for ever: it is written into snapshots
/// and, for sparse pools, into the addresses themselves.
pub fn shard_of(duid: &[u8]) -> ShardId {
    let mut hash: u64 = 0x9e37_79b9_7f4a_7c15 ^ duid.len() as u64;
    let mut words = duid.chunks_exact(8);
    for word in &mut words {
        let mut octets = [0; 8];
        octets.copy_from_slice(word);
        hash = mix(hash, u64::from_le_bytes(octets));
    }
    let mut tail = [0; 8];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    hash = mix(hash, u64::from_le_bytes(tail));
    ShardId((hash >> 56) as u8)
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 32)
}
