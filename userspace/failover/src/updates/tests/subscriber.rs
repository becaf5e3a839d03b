//! Bindings of subscribers: both servers key them alike, whoever of their clients has them.

use super::*;
use ::wire::{ClientKey, SubscriberIa, SubscriberKey};
use proptest::prelude::*;

fn key(line: u8) -> SubscriberKey {
    let identity = [0, 0, 0x0d, 0xe9, b'l', line];
    lease::subscriber_key(ClientKey::RemoteId, 0, &identity).unwrap()
}

fn of<'a>(key: &'a SubscriberKey, record: BindingRecord<'a>) -> BindingRecord<'a> {
    BindingRecord {
        subscriber: Some(SubscriberIa {
            key: key.duid(),
            number: Iaid(0),
        }),
        ..record
    }
}

#[test]
fn the_shard_of_an_update_is_its_subscriber_s() {
    let line = key(1);
    let duid = client(2);
    let mut primary = Side::new(Role::Primary);
    primary.put(&of(&line, active(&duid, address(1), NOW, 600)));
    primary.put(&active(&duid, address(2), NOW, 600));
    for (frame, _) in primary.offers() {
        let data = client_data(&frame);
        assert_eq!(client_of(&data), Ok(Duid::new(&duid).unwrap()));
        let expected = match data.client.subscriber {
            Some(subscriber) => {
                assert_eq!(subscriber.key, line.duid());
                line.duid().shard()
            }
            None => ::wire::shard_of(&duid),
        };
        assert_eq!(super::super::shard_of(&data), Ok(expected));
    }
}

#[test]
fn a_lease_goes_to_the_subscriber_s_next_client_on_both_servers() {
    let (mut primary, mut secondary) = pair();
    let line = key(1);
    let (old, new) = (client(0), client(1));
    primary.put(&of(&line, active(&old, address(1), NOW, 600)));
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    primary.now = NOW.plus(60);
    secondary.now = NOW.plus(60);
    // The next client, which the secondary hears of although its record is the primary's.
    let known = primary.get(address(1)).unwrap().partner;
    let swapped = BindingRecord {
        iaid: Iaid(77),
        partner: PartnerTimes {
            unacked: true,
            ..known
        },
        ..of(&line, active(&new, address(1), NOW.plus(60), 600))
    };
    primary.put(&swapped);
    assert_eq!(
        exchange(&mut primary, &mut secondary),
        [Settled::Acknowledged]
    );
    for side in [&primary, &secondary] {
        let record = side.get(address(1)).unwrap();
        assert_eq!(record.ia(), swapped.ia());
        assert!(record.is_of_client(swapped.duid, Iaid(77)));
    }
    // Nothing of it is another client's: the partner was told no less than before.
    let acked = |side: &Side| side.get(address(1)).unwrap().partner;
    assert!(acked(&secondary).expiration_time >= known.acked_partner_lifetime);
}

#[test]
fn two_subscribers_of_one_client_are_two_clients() {
    let (mut primary, mut secondary) = pair();
    let duid = client(3);
    let lines = [key(1), key(2)];
    let [one, other] = &lines;
    secondary.put(&of(one, active(&duid, address(1), NOW.plus(9), 600)));
    primary.put(&of(other, active(&duid, address(1), NOW, 600)));
    let offers = secondary.offers();
    let (reply, outcome) = primary.receive(&offers[0].0);
    assert_eq!(outcome.accepted + outcome.rejected.len(), 1);
    secondary.settle(&offers[0].1, &reply);
    for side in [&primary, &secondary] {
        assert!(side.get(address(1)).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Clients come and go on lines that both servers serve in turn; when all is said, both hold the
    /// same leases for the same subscribers and clients.
    #[test]
    fn whoever_serves_a_line_last_is_believed_by_both(
        turns in prop::collection::vec((0..2_usize, 0..3_u8, 0..3_u8, 10..400_u32), 1..40),
    ) {
        let (primary, secondary) = pair();
        let mut sides = [primary, secondary];
        let mut now = NOW;
        for (server, line, cpe, later) in turns {
            now = now.plus(later);
            for side in &mut sides {
                side.now = now;
            }
            let (line_key, duid) = (key(line), client(cpe));
            let lease = address(u128::from(line));
            let before = sides[server].get(lease).map(|record| record.partner);
            let known = before.unwrap_or(PartnerTimes::NONE);
            let granted = of(&line_key, active(&duid, lease, now, 600));
            sides[server].put(&BindingRecord {
                iaid: Iaid(u32::from(cpe) + 10),
                partner: PartnerTimes {
                    partner_lifetime: known.partner_lifetime.max(granted.expires),
                    unacked: true,
                    ..known
                },
                ..granted
            });
            let [primary, secondary] = &mut sides;
            let settled = match server {
                0 => exchange(primary, secondary),
                _ => exchange(secondary, primary),
            };
            prop_assert_eq!(settled, [Settled::Acknowledged]);
            for side in &sides {
                let record = side.get(lease).expect("bound");
                prop_assert_eq!(record.ia(), granted.ia());
                prop_assert!(record.is_of_client(granted.duid, Iaid(u32::from(cpe) + 10)));
            }
        }
    }
}
