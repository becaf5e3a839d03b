//! Records that belong to no shard.

use super::disk::MemoryDisk;
use super::{SMALL, load, put, wait, wakers};
use crate::control::{ControlDelta, decode, encode};
use crate::{Appender, Health, Journal, RecordError};
use lease::Lease;
use proptest::prelude::*;

proptest! {
    #[test]
    fn they_come_back_as_they_were(
        key: u64, state in prop::collection::vec(any::<u8>(), 0..=512),
        addr: u128, len in 0u8..=128, backup: bool,
    ) {
        let block = Lease { addr, len };
        for delta in [
            ControlDelta::Relationship { key, state: &state },
            ControlDelta::Ownership { block, backup },
        ] {
            let mut octets = Vec::new();
            encode(&delta, &mut octets);
            prop_assert!(octets.len() <= crate::RECORD_LEN_MAX);
            prop_assert_eq!(decode(&octets), Ok((delta, octets.len())));
            for cut in 0..octets.len() {
                prop_assert!(decode(&octets[..cut]).is_err());
            }
        }
    }

    #[test]
    fn any_octets_are_one_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok((_, len)) = decode(&octets) {
            prop_assert!(len <= octets.len());
        }
    }
}

#[test]
fn what_cannot_have_been_written_is_refused() {
    let mut octets = Vec::new();
    let block = Lease { addr: 0, len: 56 };
    let delta = ControlDelta::Ownership {
        block,
        backup: true,
    };
    encode(&delta, &mut octets);
    let with = |at: usize, value| {
        let mut octets = octets.clone();
        octets[at] = value;
        decode(&octets).map(|_| ()).unwrap_err()
    };
    assert!(matches!(
        with(21, 2),
        RecordError::Value { field: "owner", .. }
    ));
    assert!(matches!(with(4, 129), RecordError::Value { .. }));
    assert_eq!(with(2, 77), RecordError::Kind(77));
    let len = (10 + crate::RELATIONSHIP_STATE_LEN_MAX + 1) as u16;
    let mut long = len.to_le_bytes().to_vec();
    long.extend([4, 0]);
    long.resize(2 + usize::from(len), 1);
    assert!(matches!(decode(&long), Err(RecordError::Value { .. })));
}

fn commit(appender: &mut Appender) {
    wait("commit", || {
        appender.submit();
        appender.committed() == appender.ticket()
    });
}

#[test]
fn they_keep_their_order_over_lanes_and_leave_bindings_alone() {
    let disk = MemoryDisk::default();
    let (_, recovered) = load(&disk).expect("an empty disk");
    let (journal, mut lanes) = Journal::start(recovered, SMALL, wakers(2)).expect("a start");
    let block = Lease {
        addr: 1 << 80,
        len: 48,
    };
    let ownership = |backup| ControlDelta::Ownership { block, backup };
    for turn in 0..6u8 {
        let lane = &mut lanes[usize::from(turn % 2)];
        let duid = u64::from(turn).to_be_bytes();
        lane.append(&put(&duid, u128::from(turn), 1));
        lane.append_control(&ownership(turn % 3 == 0));
        lane.append_control(&ControlDelta::Relationship {
            key: 1,
            state: &[turn],
        });
        commit(lane);
    }
    assert_eq!(journal.close(), Health::Ok);
    let (table, recovered) = load(&disk).expect("recovery");
    assert_eq!(table.len(), 6);
    let owners: Vec<bool> = recovered
        .control
        .ownership
        .iter()
        .map(|&(of, backup)| {
            assert_eq!(of, block);
            backup
        })
        .collect();
    assert_eq!(owners, [true, false, false, true, false, false]);
    assert_eq!(recovered.control.relationships[&1], [5]);
    assert_eq!(recovered.next_lsn.0, 19);
}
