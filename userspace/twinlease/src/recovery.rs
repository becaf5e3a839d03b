//! What the journal holds, brought back into shards and pools before anything is served.

use anyhow::Context as _;
use engine::{Adopted, Adopting, Model};
use journal::{Apply, Disk, Recovered};
use lease::{BindingDelta, Lease, Shard};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Instant;
use wire::{SHARDS, ShardId};

/// The shards of one thread while the journal is replayed into them, by their ids.
struct Replay {
    shards: Vec<Option<Shard>>,
}

impl Apply for Replay {
    fn apply(&mut self, delta: &BindingDelta<'_>) {
        self.apply_batch(std::slice::from_ref(delta));
    }

    fn apply_batch(&mut self, deltas: &[BindingDelta<'_>]) {
        engine::restore_batch(&mut self.shards, deltas);
    }

    fn expect(&mut self, bindings: u64) {
        // DUIDs are spread over the shards by a hash.
        let each = bindings.div_ceil(SHARDS as u64) as usize;
        for shard in self.shards.iter_mut().flatten() {
            shard.reserve(each.saturating_sub(shard.len()));
        }
    }
}

/// What recovery gives the workers.
pub struct Restored {
    /// Each worker's shards.
    pub shards: Vec<Vec<Shard>>,
    /// Bindings removed because another one has their lease; to be journaled, not released.
    pub conflicting: Vec<(ShardId, Lease)>,
    /// To go on with.
    pub journal: Recovered,
}

/// Which worker owns which shard: round robin, so that any number of workers share evenly.
pub fn owners(workers: usize) -> [u8; SHARDS] {
    std::array::from_fn(|shard| (shard % workers) as u8)
}

/// Replays the journal in `dir` on every core there is, however few of them workers have, and takes
/// in the pools what is bound. `disk` is the journal's directory.
///
/// # Errors
/// The journal cannot be read, is in use, or is damaged beyond what may be passed over unasked.
pub fn restore(
    disk: Disk,
    accept_damage: bool,
    model: &Model,
    owner: &[u8; SHARDS],
    workers: usize,
) -> anyhow::Result<Restored> {
    let started = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let replayer = owners(threads.clamp(1, SHARDS));
    let replays = (0..threads.clamp(1, SHARDS))
        .map(|thread| Replay {
            shards: shards_of(thread, &replayer),
        })
        .collect();
    let replayer_of = |shard: ShardId| usize::from(replayer[usize::from(shard.0)]);
    let (replays, recovered) =
        journal::recover_from(Arc::new(disk), accept_damage, replays, &replayer_of)
            .context("the journal cannot be recovered")?;
    for line in &recovered.report {
        tracing::warn!("journal: {line}");
    }
    let replayed = started.elapsed();
    let mut parts: Vec<Vec<Shard>> = replays
        .into_iter()
        .map(|replay| replay.shards.into_iter().flatten().collect())
        .collect();
    parts.iter_mut().flatten().for_each(Shard::presume_sent);
    let (adopted, conflicting) = adopt_all(model, &mut parts);
    if adopted.conflicting > 0 {
        tracing::error!(
            bindings = adopted.conflicting,
            "bindings removed because another binding has their lease; clients of both were told \
             the same lease: find them in the log and clear the conflict"
        );
    }
    tracing::info!(
        bindings = adopted.claimed + adopted.outside,
        outside_pools = adopted.outside,
        records = recovered.records,
        cut_bytes = recovered.cut_bytes,
        replay_ms = replayed.as_millis() as u64,
        took_ms = started.elapsed().as_millis() as u64,
        "bindings recovered"
    );
    let mut shards: Vec<Vec<Shard>> = (0..workers).map(|_| Vec::new()).collect();
    for shard in parts.into_iter().flatten() {
        shards[usize::from(owner[usize::from(shard.id().0)])].push(shard);
    }
    Ok(Restored {
        shards,
        conflicting,
        journal: recovered,
    })
}

fn shards_of(thread: usize, owner: &[u8; SHARDS]) -> Vec<Option<Shard>> {
    let shard = |id: u8| {
        // The table seeds need to be unknown outside, not to be the same again.
        let seed = std::hash::RandomState::new().build_hasher().finish();
        Shard::new(ShardId(id), seed)
    };
    let ids = 0..=u8::MAX;
    ids.map(|id| (usize::from(owner[usize::from(id)]) == thread).then(|| shard(id)))
        .collect()
}

/// Both steps of adoption, each finished in all shards before the next begins.
fn adopt_all(model: &Model, shards: &mut [Vec<Shard>]) -> (Adopted, Vec<(ShardId, Lease)>) {
    let mut total = Adopted::default();
    let mut conflicting = Vec::new();
    for which in [Adopting::Foreign, Adopting::Own] {
        let parts = std::thread::scope(|scope| {
            let threads: Vec<_> = shards
                .iter_mut()
                .map(|own| scope.spawn(move || adopt_part(model, own, which)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("adopting does not panic"))
                .collect::<Vec<_>>()
        });
        for (adopted, removed) in parts {
            total.add(adopted);
            conflicting.extend(removed);
        }
    }
    (total, conflicting)
}

fn adopt_part(
    model: &Model,
    shards: &mut [Shard],
    which: Adopting,
) -> (Adopted, Vec<(ShardId, Lease)>) {
    let mut total = Adopted::default();
    let mut removed = Vec::new();
    for shard in shards {
        total.add(engine::adopt(model, shard, which, &mut |delta| {
            if let BindingDelta::Remove { shard, lease } = delta {
                tracing::error!(%lease, "a second binding for one lease was removed");
                removed.push((*shard, *lease));
            }
        }));
    }
    (total, removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{LinkSpec, ModelBuilder, PoolConfig};
    use journal::{Journal, Options, Wake};
    use lease::{
        AbsTime, AllocationKey, BindingRecord, BindingStatus, LinkKey, PartnerTimes, PoolSpec,
    };
    use wire::{Duid, IaKind, Iaid, shard_of};

    struct Nobody;

    impl Wake for Nobody {
        fn wake(&self) {}
    }

    fn model() -> Model {
        let address = |text: &str| text.parse().unwrap();
        let spec = PoolSpec::addresses(address("2001:db8::10"), address("2001:db8::1f")).unwrap();
        ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16]))
            .link(LinkSpec {
                name: "lan".into(),
                pools: vec![PoolConfig::new(spec)],
                ..LinkSpec::default()
            })
            .build()
            .unwrap()
    }

    fn record<'d>(model: &Model, duid: &'d [u8], last: u16) -> BindingRecord<'d> {
        let LinkKey(link) = model.links()[0].key();
        BindingRecord {
            duid: Duid::new(duid).unwrap(),
            kind: IaKind::Na,
            iaid: Iaid(1),
            subscriber: None,
            lease: Lease::address([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()),
            link: LinkKey(link),
            status: BindingStatus::Active,
            preferred_secs: 50,
            valid_secs: 100,
            cltt: AbsTime(1),
            status_since: AbsTime(1),
            expires: AbsTime(101),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: false,
            via: &[],
        }
    }

    /// Two clients hold leases, a third one's moved to a fourth in another shard; a binding lies
    /// outside every pool.
    #[test]
    fn a_restart_with_other_workers_brings_back_bindings_and_pools() {
        let dir = tempfile::tempdir().unwrap();
        let clients: Vec<[u8; 4]> = (0_u32..4).map(|n| (n + 7).to_be_bytes()).collect();
        let before = model();
        let fresh = restore(
            Disk::open(dir.path()).unwrap(),
            false,
            &before,
            &owners(1),
            1,
        )
        .unwrap();
        assert_eq!(fresh.shards[0].len(), SHARDS);
        let wakers: Vec<Arc<dyn Wake>> = vec![Arc::new(Nobody)];
        let options = Options {
            segment_len: 4 << 20,
            ..Options::default()
        };
        let (journal, mut appenders) = Journal::start(fresh.journal, options, wakers).unwrap();
        let mut put = |client: &[u8], last| {
            let record = record(&before, client, last);
            appenders[0].append(&BindingDelta::Put {
                shard: shard_of(client),
                record,
            });
        };
        put(&clients[0], 0x10);
        put(&clients[1], 0xff);
        put(&clients[2], 0x12);
        let moved = record(&before, &clients[2], 0x12).lease;
        appenders[0].append(&BindingDelta::Remove {
            shard: shard_of(&clients[2]),
            lease: moved,
        });
        let now_of = record(&before, &clients[3], 0x12);
        appenders[0].append(&BindingDelta::Put {
            shard: shard_of(&clients[3]),
            record: now_of,
        });
        appenders[0].submit();
        drop(appenders);
        assert_eq!(journal.close(), journal::Health::Ok);

        let after = model();
        let owner = owners(3);
        let restored = restore(Disk::open(dir.path()).unwrap(), false, &after, &owner, 3).unwrap();
        assert_eq!(restored.shards.iter().map(Vec::len).sum::<usize>(), SHARDS);
        for (worker, shards) in restored.shards.iter().enumerate() {
            assert!(
                shards
                    .iter()
                    .all(|s| usize::from(owner[usize::from(s.id().0)]) == worker)
            );
        }
        let holder = |lease| {
            let mut shards = restored.shards.iter().flatten();
            let found = shards.find_map(|shard| shard.by_lease(lease));
            found.map(|(_, record)| record.duid.octets().to_vec())
        };
        assert_eq!(holder(moved), Some(clients[3].to_vec()));
        assert_eq!(
            holder(record(&after, &clients[0], 0x10).lease),
            Some(clients[0].to_vec())
        );
        assert_eq!(
            holder(record(&after, &clients[1], 0xff).lease),
            Some(clients[1].to_vec())
        );
        assert!(restored.conflicting.is_empty());
        assert_eq!(
            after.pools()[0].pool().counts().bound,
            2,
            "the third is outside the pool"
        );
    }
}
