//! Anything at all, in any order.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Grant(bool, u8, u8),
    Release(bool, u8),
    Pass(u16),
    Exchange(bool),
    Lose(bool),
    Retry,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<bool>(), 0..6_u8, 0..6_u8)
            .prop_map(|(side, who, what)| Step::Grant(side, who, what)),
        (any::<bool>(), 0..6_u8).prop_map(|(side, what)| Step::Release(side, what)),
        (0..80_u16).prop_map(Step::Pass),
        any::<bool>().prop_map(Step::Exchange),
        any::<bool>().prop_map(Step::Lose),
        Just(Step::Retry),
    ]
}

proptest! {
    /// Whatever happens at two servers, after they have told each other everything they hold the
    /// same leases for the same clients, and each lease once.
    #[test]
    fn two_servers_come_to_hold_the_same(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut primary, mut secondary) = pair();
        for step in steps {
            let sides = [&mut primary, &mut secondary];
            match step {
                Step::Grant(second, who, what) => {
                    let side = sides.into_iter().nth(usize::from(second)).unwrap();
                    grant(side, who, what);
                }
                Step::Release(second, what) => {
                    let side = sides.into_iter().nth(usize::from(second)).unwrap();
                    let lease = address(u128::from(what));
                    if side.get(lease).is_some_and(|r| r.status == BindingStatus::Active) {
                        side.end(lease, BindingStatus::Released);
                    }
                }
                Step::Pass(secs) => {
                    for side in sides {
                        side.now = side.now.plus(u32::from(secs));
                        expire(side);
                    }
                }
                Step::Exchange(true) => { exchange(&mut primary, &mut secondary); }
                Step::Exchange(false) => { exchange(&mut secondary, &mut primary); }
                // Sent, taken, and the answer lost.
                Step::Lose(true) => lose(&mut primary, &mut secondary),
                Step::Lose(false) => lose(&mut secondary, &mut primary),
                Step::Retry => for side in sides {
                    side.shards.iter_mut().for_each(Shard::retry_rejected);
                }
            }
        }
        // Leases that two clients were given end in time; then everything is told.
        for round in 0..6 {
            for side in [&mut primary, &mut secondary] {
                side.now = side.now.plus(if round == 3 { 400 } else { 1 });
                expire(side);
                side.shards.iter_mut().for_each(Shard::retry_rejected);
            }
            exchange(&mut primary, &mut secondary);
            exchange(&mut secondary, &mut primary);
        }
        for what in 0..6 {
            let lease = address(what);
            let (here, there) = (primary.get(lease), secondary.get(lease));
            prop_assert_eq!(here.is_some(), there.is_some(), "{:?} {:?}", here, there);
            if let (Some(here), Some(there)) = (here, there) {
                prop_assert_eq!(here.duid, there.duid);
                prop_assert_eq!(here.status, there.status);
            }
            for (side, held) in [(&primary, here), (&secondary, there)] {
                prop_assert_eq!(InPool(&side.pool, 7).is_taken(ShardId(0), lease), held.is_some());
            }
        }
    }
}

/// A client is given a lease of its server's half, or has it renewed wherever it is.
fn grant(side: &mut Side, who: u8, what: u8) {
    let (duid, lease) = (client(who), address(u128::from(what)));
    let now = side.now;
    let is_own = (lease.addr & 1 == 1) == (side.role == Role::Primary);
    match side.get(lease) {
        None if is_own => {
            side.put(&active(&duid, lease, now, 60));
        }
        Some(record) if record.duid.octets() == duid && record.status == BindingStatus::Active => {
            side.amend(lease, |record| {
                record.cltt = now;
                record.expires = record.expires.max(now.plus(60));
            });
        }
        _ => {}
    }
}

/// EXPIRED after ten seconds of grace.
fn expire(side: &mut Side) {
    for what in 0..6 {
        let lease = address(what);
        let ended = side.get(lease).is_some_and(|record| {
            record.status == BindingStatus::Active && side.now > record.expires.plus(10)
        });
        if ended {
            side.end(lease, BindingStatus::Expired);
        }
    }
}

fn lose(from: &mut Side, to: &mut Side) {
    for (frame, _) in from.offers() {
        to.receive(&frame);
    }
    from.lose_connection();
}
