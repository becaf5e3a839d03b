//! Leases of another length than the pool's.

use super::tests::{pool, prefixes, shard, with_ia};
use super::*;

fn lease(text: &str, len: u8) -> Lease {
    let addr = text.parse::<core::net::Ipv6Addr>().expect("an address");
    Lease {
        addr: addr.to_bits(),
        len,
    }
}

fn overlap(a: Lease, b: Lease) -> bool {
    let len = a.len.min(b.len);
    (a.addr ^ b.addr) >> (128 - u32::from(len)) == 0
}

#[test]
fn what_a_longer_lease_covers_is_not_given_until_it_ends() {
    let pool = pool(prefixes("2001:db8::", 48, 60));
    let (shard, before) = (shard(1), lease("2001:db8:0:100::", 56));
    pool.block(before);
    assert_eq!(pool.counts().bound, 16);
    let given: Vec<Lease> = (0..)
        .map_while(|number| with_ia(number, |ia| pool.claim(&shard, ia)))
        .collect();
    assert_eq!(given.len(), 4096 - 16);
    assert!(given.iter().all(|given| !overlap(*given, before)));
    assert!(!pool.claim_exact(&shard, lease("2001:db8:0:130::", 60)));
    pool.release(before);
    assert_eq!(pool.counts().free, 16);
    assert!(pool.claim_exact(&shard, lease("2001:db8:0:130::", 60)));
}

#[test]
fn shorter_leases_keep_the_one_around_them_until_the_last_has_ended() {
    let pool = pool(prefixes("2001:db8::", 48, 56));
    let shard = shard(1);
    let within = [lease("2001:db8:0:301::", 64), lease("2001:db8:0:3ff::", 64)];
    let around = lease("2001:db8:0:300::", 56);
    within.iter().for_each(|lease| pool.block(*lease));
    assert_eq!(pool.counts().bound, 1);
    pool.release(within[0]);
    assert!(!pool.claim_exact(&shard, around));
    pool.release(within[1]);
    assert!(pool.claim_exact(&shard, around));
    pool.release(within[1]);
    assert!(!pool.claim_exact(&shard, around), "ended once and for all");
}

#[test]
fn a_sparse_pool_leaves_alone_what_a_longer_lease_covers() {
    let pool = pool(prefixes("2001:db0::", 28, 56));
    let shard = shard(1);
    let before = lease("2001:db8::", 44);
    let mut inside = (0..1 << 12).map(|n| Lease {
        addr: before.addr | n << 72,
        len: 56,
    });
    let own = inside
        .find(|lease| pool.owner(*lease) == Some(shard.id()))
        .expect("every shard owns one in 256");
    pool.block(before);
    assert!(!pool.claim_exact(&shard, own));
    assert!(pool.claim_exact(&shard, {
        let far = (0..1 << 12).map(|n| Lease {
            addr: lease("2001:db0::", 44).addr | n << 72,
            len: 56,
        });
        far.into_iter()
            .find(|lease| pool.owner(*lease) == Some(shard.id()))
            .expect("every shard owns one in 256")
    }));
    pool.release(before);
    assert!(pool.claim_exact(&shard, own));
}

#[test]
fn positions_that_were_taken_already_are_not_given_back_with_the_misfit() {
    let pool = pool(prefixes("2001:db8::", 48, 60));
    let shard = shard(1);
    let own = lease("2001:db8:0:130::", 60);
    assert!(pool.claim_exact(&shard, own));
    pool.block(lease("2001:db8:0:100::", 56));
    pool.release(lease("2001:db8:0:100::", 56));
    assert!(
        !pool.claim_exact(&shard, own),
        "its own holder has it still"
    );
}
