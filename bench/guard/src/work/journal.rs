//! Records of the journal, written and read.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use lease::{BindingDelta, BindingRecord};
use wire::{Duid, ShardId};

use super::Work;

const OPERATIONS: u64 = 256;
const SHARD: ShardId = ShardId(7);
/// As long as what a relay with an Interface-Id leaves.
const VIA: [u8; 67] = [7; 67];

pub fn run(work: &Work<'_>) -> Result<()> {
    let duid = Duid::new(&[7; 14]).context("a DUID of 14 octets")?;
    let record = network::record(duid, 1);
    let relayed = BindingRecord {
        via: &VIA,
        ..record
    };
    let put = |record| BindingDelta::Put {
        shard: SHARD,
        record,
    };
    let end = BindingDelta::Remove {
        shard: SHARD,
        lease: record.lease,
    };
    records(work, "put", &put(record))?;
    records(work, "put-relayed", &put(relayed))?;
    records(work, "remove", &end)
}

fn records(work: &Work<'_>, name: &str, delta: &BindingDelta<'_>) -> Result<()> {
    let mut octets = Vec::with_capacity(1 << 20);
    work.of(&format!("journal/encode-{name}"), OPERATIONS, || {
        for _ in 0..OPERATIONS {
            journal::encode(black_box(delta), &mut octets);
        }
    });
    let mut rest = &octets[..];
    let mut read = 0;
    work.of(&format!("journal/decode-{name}"), OPERATIONS, || {
        while let Ok((delta, len)) = journal::decode(rest) {
            black_box(&delta);
            rest = &rest[len..];
            read += 1;
        }
    });
    ensure!(
        read == OPERATIONS,
        "{read} of {OPERATIONS} records were read"
    );
    Ok(())
}
