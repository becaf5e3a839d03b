//! Two servers' pools, and blocks that change sides as frames.

use super::*;
use lease::{AllocationKey, PoolSpec, Shard};
use wire::failover::{Body, FailoverMessage};
use wire::{Duid, IaKey, IaKind, Iaid, ShardId};

const HALF: PrefixShare = PrefixShare(500);
const NOW: AbsTime = AbsTime(800_000_000);

fn pool(role: Role) -> Pool {
    let prefix = Lease {
        addr: 0x2001_0db8 << 96,
        len: 48,
    };
    let spec = PoolSpec::prefixes(prefix, 56).unwrap();
    let key = AllocationKey::new([7; 16]);
    Pool::new(spec, &key, 1).unwrap().split_for(role).unwrap()
}

/// Carries a transfer to the other server and its answer back.
fn carry(transfer: Transfer, primary: &Pool, secondary: &Pool) -> Result<(), u16> {
    let mut frame = [0; BLOCK_FRAME_LEN_MAX];
    let id = TransactionId::new(0x1_0000);
    let len = write_bndupd(transfer, id, NOW, &mut frame).unwrap();
    let message = FailoverMessage::parse(&frame[2..len]).unwrap();
    let Ok(Body::Bndupd(Container::Prefix(prefix))) = message.body() else {
        panic!("a top-level prefix");
    };
    let verdict = receive(Role::Secondary, Some(secondary), &prefix);
    let mut answer = [0; BLOCK_FRAME_LEN_MAX];
    let len = write_bndreply(&prefix, verdict.rejection, id, &mut answer).unwrap();
    let message = FailoverMessage::parse(&answer[2..len]).unwrap();
    assert_eq!(message.transaction_id, id);
    let Ok(Body::Bndreply(Container::Prefix(reply))) = message.body() else {
        panic!("a top-level prefix");
    };
    assert_eq!(reply.options.binding_status, prefix.options.binding_status);
    match reply.options.rejection() {
        Some(status) => Err(status.code.0),
        None => {
            agreed(primary, transfer);
            Ok(())
        }
    }
}

fn delegate(pool: &Pool, shard: &Shard, client: u8) -> Option<Lease> {
    let duid = [0, 3, 0, 1, client];
    let ia = IaKey {
        duid: Duid::new(&duid).unwrap(),
        kind: IaKind::Pd,
        iaid: Iaid(1),
    };
    let role = pool.side().unwrap();
    pool.claim_among(shard, &ia, share_of(role))
}

fn share_of(role: Role) -> lease::Share {
    lease::Leeway::startup(role, 3_600).share()
}

#[test]
fn rfc8156_4_2_2_a_share_that_is_far_off_is_made_right_and_a_near_one_left_alone() {
    let sides = |primary, secondary| Sides { primary, secondary };
    assert_eq!(due(sides(256, 0), HALF), Some((128, Role::Secondary)));
    assert_eq!(due(sides(128, 128), HALF), None);
    assert_eq!(due(sides(150, 106), HALF), None);
    assert_eq!(due(sides(160, 96), HALF), Some((32, Role::Secondary)));
    assert_eq!(due(sides(96, 160), HALF), Some((32, Role::Primary)));
    assert_eq!(due(sides(3, 0), HALF), Some((1, Role::Secondary)));
    assert_eq!(due(sides(0, 0), HALF), None);
    assert_eq!(due(sides(100, 0), PrefixShare::of_thousand(0)), None);
    let all = PrefixShare::of_thousand(2_000);
    assert_eq!(due(sides(50, 50), all), Some((50, Role::Secondary)));
}

#[test]
fn rfc8156_4_2_2_a_top_up_moves_big_blocks_and_both_servers_agree() {
    let (primary, secondary) = (pool(Role::Primary), pool(Role::Secondary));
    let mut moved = 0;
    while let Some((count, to)) = due(primary.sides().unwrap(), HALF) {
        let transfer = next_transfer(&primary, count, to).unwrap();
        carry(transfer, &primary, &secondary).unwrap();
        moved += 1;
    }
    assert_eq!(moved, 1, "half of a pool is one block");
    assert_eq!(primary.sides(), secondary.sides());
    let shard = Shard::new(ShardId(0), 0);
    for client in 0..128 {
        let one = delegate(&primary, &shard, client).unwrap();
        assert!(one.addr >> 79 & 1 != delegate(&secondary, &shard, client).unwrap().addr >> 79 & 1);
    }
    assert_eq!(delegate(&primary, &shard, 200), None);
}

#[test]
fn rfc8156_4_2_2_a_take_back_is_refused_where_something_is_delegated() {
    let (primary, secondary) = (pool(Role::Primary), pool(Role::Secondary));
    let given = next_transfer(&primary, 128, Role::Secondary).unwrap();
    carry(given, &primary, &secondary).unwrap();
    let shard = Shard::new(ShardId(0), 0);
    let leased = delegate(&secondary, &shard, 1).unwrap();
    let back = Transfer {
        block: given.block,
        to: Role::Primary,
    };
    assert_eq!(carry(back, &primary, &secondary), Err(19));
    assert_eq!(primary.sides().unwrap().secondary, 128);
    assert_eq!(secondary.sides().unwrap().secondary, 127);
    let one = Lease { len: 56, ..leased };
    let elsewhere = Lease {
        addr: one.addr ^ 1 << 72,
        len: 56,
    };
    let back = Transfer {
        block: elsewhere,
        to: Role::Primary,
    };
    assert_eq!(carry(back, &primary, &secondary), Ok(()));
    assert_eq!(primary.sides().unwrap().secondary, 127);
}

#[test]
fn a_transfer_whose_answer_was_lost_belongs_to_nobody_until_it_is_announced() {
    let (primary, secondary) = (pool(Role::Primary), pool(Role::Secondary));
    // Given, and never heard of.
    let given = next_transfer(&primary, 64, Role::Secondary).unwrap();
    assert_eq!(secondary.sides().unwrap().secondary, 0);
    assert_eq!(primary.sides().unwrap().primary, 192);
    let again: Vec<_> = announcements(&primary).collect();
    assert_eq!(again, [given]);
    carry(given, &primary, &secondary).unwrap();
    assert_eq!(primary.sides(), secondary.sides());
    // Said twice it is no different.
    carry(given, &primary, &secondary).unwrap();
    assert_eq!(primary.sides(), secondary.sides());
}

#[test]
fn blocks_of_no_pool_and_words_of_the_wrong_server_are_rejected() {
    let primary = pool(Role::Primary);
    let data = |status| PrefixData {
        prefix: wire::IaPrefix {
            prefix: 0x2001_0db8 << 96,
            prefix_len: 50,
            preferred: 0,
            valid: 0,
            options: wire::Options::default(),
        },
        options: LeaseOptions {
            binding_status: status,
            ..LeaseOptions::default()
        },
    };
    let free = data(Some(BindingStatus::Free as u8));
    let backup = data(Some(BindingStatus::FreeBackup as u8));
    let foreign = Verdict::rejected(Rejection::NotOfRelationship);
    assert_eq!(receive(Role::Secondary, None, &free), foreign);
    assert_eq!(receive(Role::Primary, Some(&primary), &free), foreign);
    let taken = receive(Role::Primary, Some(&primary), &backup);
    assert_eq!((taken.record.is_some(), taken.rejection), (true, None));
    for status in [None, Some(1), Some(99)] {
        let got = receive(Role::Primary, Some(&primary), &data(status));
        assert_eq!(got, Verdict::rejected(Rejection::Missing));
    }
}

/// The primary stood alone and used, and got back, what was the secondary's.
#[test]
fn what_the_secondary_renounces_is_the_primarys_and_nobody_elses() {
    let secondary = pool(Role::Secondary);
    let half = secondary.find_block(Role::Primary, 128).unwrap();
    assert!(secondary.give_block(half, Role::Secondary));
    let given = renounce(&secondary);
    assert_eq!(
        given,
        [Transfer {
            block: half,
            to: Role::Primary
        }]
    );
    assert_eq!(
        secondary.sides().unwrap(),
        Sides {
            primary: 256,
            secondary: 0
        }
    );
    assert!(renounce(&secondary).is_empty());
}

/// What the secondary gave back was given to it again before it has it free.
#[test]
fn a_gift_of_what_is_on_its_way_to_be_free_is_taken_in_two_steps() {
    let (primary, secondary) = (pool(Role::Primary), pool(Role::Secondary));
    let given = next_transfer(&primary, 128, Role::Secondary).unwrap();
    carry(given, &primary, &secondary).unwrap();
    let shard = Shard::new(ShardId(0), 0);
    let ending = delegate(&secondary, &shard, 1).unwrap();
    assert_eq!(carry(given, &primary, &secondary), Err(19));
    assert_eq!(secondary.sides().unwrap().secondary, 127, "the rest stays");
    secondary.release(ending);
    assert_eq!(secondary.sides().unwrap().secondary, 127);
    assert_eq!(still_given(&primary, given), [given], "and is told again");
    carry(given, &primary, &secondary).unwrap();
    assert_eq!(primary.sides(), secondary.sides());
}

/// Between the choice of a block and its BNDUPD one of its prefixes was delegated and came back.
#[test]
fn what_came_back_meanwhile_is_not_told_to_be_the_secondarys() {
    let primary = pool(Role::Primary);
    let given = next_transfer(&primary, 4, Role::Secondary).unwrap();
    let one = Lease {
        addr: given.block.addr + (2 << 72),
        len: 56,
    };
    assert!(primary.adopt(ShardId(0), one));
    primary.release(one);
    let parts: Vec<Lease> = still_given(&primary, given)
        .iter()
        .map(|part| part.block)
        .collect();
    let block = |n: u128, len| Lease {
        addr: given.block.addr + (n << 72),
        len,
    };
    assert_eq!(parts, [block(0, 55), block(3, 56)]);
    let back = Transfer {
        to: Role::Primary,
        ..given
    };
    assert_eq!(still_given(&primary, back), [back]);
}
