use super::*;
use crate::model::{OptionError, OptionValues};
use wire::OptionCode;

const LINKS: [&str; 2] = ["a", "b"];

fn lease(addr: u128, len: u8) -> Lease {
    Lease { addr, len }
}

fn push(
    table: &mut ReservationTableBuilder,
    source: u32,
    key: ReservationKey<'_>,
    lease: Lease,
) -> Result<(), ReservationError> {
    table.push(source, LINKS[0], key, lease, &ReservationTerms::NONE)
}

/// Three leases, each reserved by the DUID of a client of its own.
fn reservations() -> Reservations {
    let mut table = ReservationTable::builder();
    for (client, (addr, len)) in [(0x100, 120), (0x205, 128), (0x300, 124)]
        .into_iter()
        .enumerate()
    {
        let duid = [0, 3, client as u8];
        push(&mut table, 0, ReservationKey::Duid(&duid), lease(addr, len)).unwrap();
    }
    Reservations::new(Arc::new(table.finish(0).unwrap()), HashSet::new())
}

fn clear(all: &Reservations) -> Vec<bool> {
    (0..3).map(|at| all.at(at).is_clear()).collect()
}

#[test]
fn overlapping_holders_block_a_reservation_until_the_last_has_gone() {
    let all = reservations();
    let inside = [lease(0x110, 124), lease(0x120, 128)];
    inside.iter().for_each(|lease| all.hold(*lease));
    assert_eq!(clear(&all), [false, true, true]);
    all.release(inside[0]);
    assert_eq!(clear(&all), [false, true, true]);
    all.release(inside[1]);
    assert_eq!(clear(&all), [true; 3]);
}

#[test]
fn a_wide_holder_blocks_all_it_covers_and_a_neighbour_none() {
    let all = reservations();
    all.hold(lease(0x200, 119));
    assert_eq!(clear(&all), [true, false, false]);
    all.release(lease(0x200, 119));
    all.hold(lease(0x206, 128));
    assert_eq!(clear(&all), [true; 3]);
}

#[test]
fn the_own_clients_release_counts_nothing_down() {
    let all = reservations();
    all.release(lease(0x205, 128));
    all.hold(lease(0x205, 128));
    assert_eq!(clear(&all), [true, false, true]);
}

#[test]
fn what_is_not_reserved_by_duid_is_taken_once() {
    let mut table = ReservationTable::builder();
    let key = ReservationKey::InterfaceId(b"port");
    push(&mut table, 0, key, lease(0x100, 120)).unwrap();
    let all = Reservations::new(Arc::new(table.finish(0).unwrap()), HashSet::new());
    let only = all.exact(lease(0x100, 120)).unwrap();
    assert!(only.claim() && !only.claim());
    assert!(only.is_only_ours() && !only.is_clear());
    all.hold(lease(0x101, 128));
    assert!(!only.is_only_ours());
    all.release(lease(0x101, 128));
    all.release(lease(0x100, 120));
    assert!(only.is_clear() && only.claim());
}

#[test]
fn a_hundred_thousand_are_found_by_key_and_by_lease_in_the_octets_promised() {
    const COUNT: u32 = 100_000;
    let mut table = ReservationTable::builder();
    for number in 0..COUNT {
        let id = format!("line {number}");
        let key = ReservationKey::RemoteId {
            enterprise: (number % 3 == 0).then_some(number),
            id: id.as_bytes(),
        };
        let link = LINKS[number as usize % 2];
        // Descending, so that they are sorted.
        let at = u128::from(COUNT - number);
        let leases = [lease(at, 128), lease(at << 64, 64)];
        for lease in leases {
            table
                .push(number, link, key, lease, &ReservationTerms::NONE)
                .unwrap();
        }
    }
    assert_eq!(table.len(), 2 * COUNT as usize);
    let table = table.finish(0).unwrap();
    let on = table.by_link();
    for number in [0, 1, 2, 3, 99_999] {
        let id = format!("line {number}");
        let find = |enterprise, link: usize, ia| {
            let id = id.as_bytes();
            let key = ReservationKey::RemoteId { enterprise, id };
            let at = table.find(on[LINKS[link]], key, ia)?;
            Some(table.entries[at as usize].lease())
        };
        let enterprise = (number % 3 == 0).then_some(number);
        let link = number as usize % 2;
        let at = u128::from(COUNT - number);
        assert_eq!(find(enterprise, link, IaKind::Na), Some(lease(at, 128)));
        let prefix = lease(at << 64, 64);
        assert_eq!(find(enterprise, link, IaKind::Pd), Some(prefix));
        assert_eq!(find(enterprise, 1 - link, IaKind::Pd), None);
        assert_eq!(find(Some(77), link, IaKind::Pd), None);
        let shown = table.of_lease(prefix).unwrap();
        assert_eq!((shown.link, shown.key.id()), (LINKS[link], id.as_bytes()));
    }
    // 11 octets of key for two leases, and twice as much of the index at worst.
    let each = table.memory_bytes() / table.len();
    assert!((32..32 + 6 + 12).contains(&each), "{each}");
}

#[test]
fn two_for_one_lease_and_two_for_one_key_are_told_with_their_sources() {
    let duids: Vec<[u8; 3]> = (0..9).map(|client| [0, 3, client]).collect();
    let key = |client: usize| ReservationKey::Duid(&duids[client]);
    let mut table = ReservationTable::builder();
    push(&mut table, 4, key(0), lease(0x100, 120)).unwrap();
    // Inside it, before it in the file; and the one behind that does not touch that one.
    push(&mut table, 3, key(1), lease(0x100, 128)).unwrap();
    push(&mut table, 5, key(2), lease(0x180, 121)).unwrap();
    // One client's second prefix, and its address, which it may have.
    push(&mut table, 7, key(0), lease(0x400, 120)).unwrap();
    push(&mut table, 8, key(0), lease(0x500, 128)).unwrap();
    // Another link, where it may have one, too.
    table
        .push(
            9,
            LINKS[1],
            key(0),
            lease(0x600, 120),
            &ReservationTerms::NONE,
        )
        .unwrap();
    let clashes = table.finish(9).unwrap_err();
    let clash = |over, first, second| Clash {
        over,
        first,
        second,
    };
    assert_eq!(
        clashes,
        [
            clash(
                ClashOver::Lease,
                (3, lease(0x100, 128)),
                (4, lease(0x100, 120))
            ),
            clash(
                ClashOver::Lease,
                (4, lease(0x100, 120)),
                (5, lease(0x180, 121))
            ),
            clash(
                ClashOver::Key,
                (4, lease(0x100, 120)),
                (7, lease(0x400, 120))
            ),
        ]
    );
}

#[test]
fn what_no_table_can_hold_is_refused() {
    let mut table = ReservationTable::builder();
    let duid = ReservationKey::Duid(&[0, 3, 1]);
    let short = ReservationKey::Duid(&[0]);
    let good = lease(0x100, 120);
    assert_eq!(push(&mut table, 0, short, good), Err(ReservationError::Key));
    for bad in [lease(0x101, 120), lease(0, 0), lease(0, 129)] {
        let refused = push(&mut table, 0, duid, bad);
        assert_eq!(refused, Err(ReservationError::Lease(bad)));
    }
    let lifetimes = Lifetimes {
        preferred_secs: 2,
        valid_secs: 1,
    };
    let ends_first = ReservationTerms {
        lifetimes: Some(lifetimes),
        ..ReservationTerms::NONE
    };
    assert_eq!(
        table.push(0, LINKS[0], duid, good, &ends_first),
        Err(ReservationError::Lifetimes)
    );
    let own = OptionValues::NONE.with(OptionCode::STATUS_CODE, vec![0, 0]);
    assert_eq!(
        table.push(0, LINKS[0], duid, good, &options(own)),
        Err(ReservationError::Option(OptionError::NotConfigurable(
            OptionCode::STATUS_CODE
        )))
    );
    assert!(table.is_empty() && table.finish(0).unwrap().is_empty());
}

fn options(options: OptionValues) -> ReservationTerms {
    ReservationTerms {
        options,
        ..ReservationTerms::NONE
    }
}

#[test]
fn many_reservations_share_terms_of_which_there_cannot_be_more_than_the_index_tells_apart() {
    let mut table = ReservationTable::builder();
    let mut push = |number: u32, said: u32| {
        let id = number.to_be_bytes();
        let key = ReservationKey::SubscriberId(&id);
        let values = OptionValues::NONE.with(OptionCode(200), said.to_be_bytes().to_vec());
        let lease = lease(u128::from(number), 128);
        table.push(number, LINKS[0], key, lease, &options(values))
    };
    let most = TERMS_MAX as u32;
    for number in 0..most {
        assert_eq!(push(number, number), Ok(()));
    }
    let refused = push(most, most).unwrap_err();
    assert_eq!(refused, ReservationError::TooManyTerms);
    assert_eq!(
        refused.to_string(),
        "there are more than 65535 combinations of lifetimes and options"
    );
    assert_eq!(push(most, most - 1), Ok(()));
    let table = table.finish(0).unwrap();
    assert_eq!(table.len(), TERMS_MAX + 1);
    let said = |number: u32| {
        let reserved = table.of_lease(lease(u128::from(number), 128)).unwrap();
        reserved.terms.clone()
    };
    assert_eq!(said(most), said(most - 1));
    assert_ne!(said(0), said(1));
}

#[test]
fn what_changed_is_counted_by_link() {
    const OPTIONS_ONLY: u32 = 7;
    let keys: Vec<[u8; 3]> = (0..9).map(|client| [0, 3, client]).collect();
    let table = |leases: &[(usize, usize, u128, Option<u32>)]| {
        let mut table = ReservationTable::builder();
        for &(link, client, addr, valid_secs) in leases {
            let lifetimes = valid_secs.map(|valid_secs| Lifetimes {
                preferred_secs: 1,
                valid_secs,
            });
            let key = ReservationKey::Duid(&keys[client]);
            let terms = match valid_secs {
                Some(OPTIONS_ONLY) => {
                    options(OptionValues::NONE.with(OptionCode(200), vec![link as u8]))
                }
                _ => ReservationTerms {
                    lifetimes,
                    ..ReservationTerms::NONE
                },
            };
            table
                .push(addr as u32, LINKS[link], key, lease(addr, 128), &terms)
                .unwrap();
        }
        table.finish(0).unwrap()
    };
    let before = table(&[
        (0, 1, 1, None),
        (0, 2, 2, None),
        (1, 3, 3, None),
        (1, 4, 4, None),
    ]);
    let same = table(&[
        (1, 4, 4, None),
        (1, 3, 3, None),
        (0, 2, 2, None),
        (0, 1, 1, None),
    ]);
    assert!(same == before && same.changes_since(&before).is_empty());
    let after = table(&[
        (0, 1, 1, Some(9)),
        (0, 5, 2, None),
        (0, 3, 3, None),
        (0, 7, 7, None),
    ]);
    let changes = |added, removed, changed| ReservationChanges {
        added,
        removed,
        changed,
    };
    assert!(after != before);
    let told: Vec<_> = after.changes_since(&before).into_iter().collect();
    assert_eq!(told, [("a", changes(2, 0, 2)), ("b", changes(0, 2, 0))]);
    let with_options = table(&[
        (0, 1, 1, Some(OPTIONS_ONLY)),
        (0, 2, 2, None),
        (1, 3, 3, None),
        (1, 4, 4, None),
    ]);
    assert!(with_options != before);
    let told: Vec<_> = with_options.changes_since(&before).into_iter().collect();
    assert_eq!(told, [("a", changes(0, 0, 1))]);
}
