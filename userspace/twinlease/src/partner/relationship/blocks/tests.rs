//! Blocks while the journal has little room.

use super::*;
use engine::{LinkSpec, ModelBuilder, PoolConfig, Relationship};
use lease::{AllocationKey, PoolSpec};

/// A journal that has room for so many records until what it has is on disk.
struct Narrow {
    room: usize,
    full: usize,
    recorded: Vec<Transfer>,
}

impl Narrow {
    fn with_room(room: usize) -> Self {
        Self {
            room,
            full: room,
            recorded: Vec::new(),
        }
    }

    fn commit_all(&mut self) {
        self.room = self.full;
    }
}

impl Records for Narrow {
    fn has_room(&self) -> bool {
        self.room > 0
    }

    fn relationship(&mut self, _: u64, _: &[u8]) -> Ticket {
        panic!("blocks are no states")
    }

    fn ownership(&mut self, transfer: Transfer) -> Ticket {
        self.room = self
            .room
            .checked_sub(1)
            .expect("append only while has_room");
        self.recorded.push(transfer);
        self.committed()
    }

    fn committed(&mut self) -> Ticket {
        Ticket(self.recorded.len() as u64)
    }
}

/// A secondary with one pool of 256 prefixes, of which every other one is its own.
fn secondary() -> Model {
    let block = Lease {
        addr: 0x2001_0db9 << 96,
        len: 48,
    };
    let link = LinkSpec {
        name: "lan".into(),
        pools: vec![PoolConfig::new(PoolSpec::prefixes(block, 56).unwrap())],
        relationship: Some(Relationship {
            index: 0,
            role: Role::Secondary,
            mclt_secs: 600,
        }),
        ..LinkSpec::default()
    };
    let model = ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16])).link(link);
    let model = model.build().unwrap();
    let pool = model.pools()[0].pool();
    for number in (0..256_u128).step_by(2) {
        let one = Lease {
            addr: block.addr + (number << 72),
            len: 56,
        };
        assert!(pool.give_block(one, Role::Secondary));
    }
    model
}

#[test]
fn what_is_renounced_is_given_up_at_once_and_recorded_as_the_journal_has_room() {
    let model = secondary();
    let share = PrefixShare::of_thousand(500);
    let mut blocks = Blocks::new(0, Role::Secondary, share);
    let mut records = Narrow::with_room(50);
    blocks.renounce(&model, &mut records);
    assert_eq!(blocks.sides(&model).secondary, 0);
    for recorded in [50, 100, 128] {
        assert_eq!(records.recorded.len(), recorded);
        assert_eq!(blocks.is_recorded(), recorded == 128);
        assert_eq!(blocks.waits(), recorded < 128);
        records.commit_all();
        blocks.record(&mut records);
    }
    let addresses = records.recorded.iter().map(|transfer| transfer.block.addr);
    assert!(addresses.is_sorted());
}
