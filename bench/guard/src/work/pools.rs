//! Leases drawn from pools and given back.

use std::net::Ipv6Addr;

use anyhow::{Result, ensure};
use lease::{AllocationKey, Lease, Lengths, Pool, PoolSpec, Shard};
use network::Random;
use wire::{Duid, IaKey, IaKind, Iaid, SHARDS, ShardId};

use super::Work;

/// Leases that are drawn and given back.
const OPERATIONS: usize = 256;
/// Addresses of a dense pool.
const DENSE: u128 = 1 << 16;
const FIRST: u128 = 0x2001_0db8_0000_0001 << 64 | 1 << 32;

pub fn run(work: &Work<'_>) -> Result<()> {
    let shards: Vec<Shard> = (0..SHARDS)
        .map(|id| Shard::new(ShardId(id as u8), id as u64))
        .collect();
    let half = filled(addresses(DENSE)?, DENSE / 2, &shards)?;
    draw(work, "dense", &half, &shards)?;
    let nearly_full = DENSE - 2 * OPERATIONS as u128;
    draw(
        work,
        "dense-nearly-full",
        &filled(addresses(DENSE)?, nearly_full, &shards)?,
        &shards,
    )?;
    draw(
        work,
        "sparse",
        &filled(addresses(1 << 32)?, 0, &shards)?,
        &shards,
    )?;
    let quarter = filled(lengths()?, DENSE / 4, &shards)?;
    draw(work, "lengths", &quarter, &shards)?;
    draw(
        work,
        "lengths-nearly-full",
        &filled(lengths()?, nearly_full, &shards)?,
        &shards,
    )
}

fn addresses(count: u128) -> Result<PoolSpec> {
    let last = Ipv6Addr::from_bits(FIRST + count - 1);
    Ok(PoolSpec::addresses(Ipv6Addr::from_bits(FIRST), last)?)
}

/// As many /56 as a dense pool has addresses, or /48 to /64.
fn lengths() -> Result<PoolSpec> {
    let prefix = Lease {
        addr: 0x2001_0db8 << 96,
        len: 40,
    };
    let lengths = Lengths {
        shortest: 48,
        default: 56,
    };
    Ok(PoolSpec::prefixes_between(prefix, lengths, 64)?)
}

/// A pool of which so many leases are taken.
fn filled(spec: PoolSpec, taken: u128, shards: &[Shard]) -> Result<Pool> {
    let pool = Pool::new(spec, &AllocationKey::new([9; 16]), 1)?;
    let mut random = Random(3);
    for _ in 0..taken {
        let duid = duid(&mut random);
        let lease = key(&duid).and_then(|ia| pool.claim(&shards[0], &ia));
        ensure!(lease.is_some(), "the pool is full too early");
    }
    Ok(pool)
}

/// Draws for as many clients as there are shards, each in its own, and gives all back.
fn draw(work: &Work<'_>, name: &str, pool: &Pool, shards: &[Shard]) -> Result<()> {
    let mut random = Random(4);
    let duids: Vec<[u8; 14]> = (0..OPERATIONS).map(|_| duid(&mut random)).collect();
    let keys: Vec<IaKey<'_>> = duids.iter().filter_map(|duid| key(duid)).collect();
    let clients = || shards.iter().zip(&keys);
    let mut offered = 0;
    work.of(&format!("pools/offer-{name}"), OPERATIONS as u64, || {
        for (shard, ia) in clients() {
            offered += usize::from(pool.offer(shard, ia).is_some());
        }
    });
    let mut leases: Vec<Lease> = Vec::with_capacity(OPERATIONS);
    work.of(&format!("pools/claim-{name}"), OPERATIONS as u64, || {
        leases.extend(clients().filter_map(|(shard, ia)| pool.claim(shard, ia)));
    });
    ensure!(
        (offered, leases.len()) == (OPERATIONS, OPERATIONS),
        "the pool {name} had no lease"
    );
    work.of(&format!("pools/release-{name}"), OPERATIONS as u64, || {
        for &lease in &leases {
            pool.release(lease);
        }
    });
    let mut claimed = 0;
    let name = format!("pools/claim-exact-{name}");
    work.of(&name, OPERATIONS as u64, || {
        for (shard, &lease) in shards.iter().zip(&leases) {
            claimed += usize::from(pool.claim_exact(shard, lease));
        }
    });
    ensure!(claimed == OPERATIONS, "{name}: a lease was not given back");
    Ok(())
}

fn duid(random: &mut Random) -> [u8; 14] {
    let mut duid = [0, 1, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0];
    duid[6..].copy_from_slice(&random.draw().to_be_bytes());
    duid
}

fn key(duid: &[u8]) -> Option<IaKey<'_>> {
    Some(IaKey {
        duid: Duid::new(duid)?,
        kind: IaKind::Na,
        iaid: Iaid(1),
    })
}
