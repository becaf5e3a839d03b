//! What stands in a BNDUPD and a BNDREPLY (RFC 8156 §7.4, §7.6).

use super::*;

#[test]
fn rfc8156_7_4_a_bndupd_to_the_octet() {
    let duid = [
        0, 1, 0, 1, 0x2f, 0xaf, 0, 0, 0x52, 0x54, 0, 0x12, 0x34, 0x56,
    ];
    let mut primary = Side::new(Role::Primary);
    primary.put(&active(&duid, address(1), NOW, 3_600));
    let [(frame, _)] = &primary.offers()[..] else {
        panic!("one update");
    };
    let expected = "0077180100002faf0800002d006b0001000e000100012faf0000525400123456006400042f\
        af08000003004d000000010000070800000b400005003d20010db80001000000000000000010010000\
        0e1000000e100072000101008500042faf0800008600042faf1610002e000400000000007b00042fb3\
        0388";
    let got: String = frame.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(got, expected);
}

/// Rewrites a frame's CLIENT_DATA.
fn altered(
    frame: &[u8],
    client: ::wire::failover::Client<'_>,
    options: &LeaseOptions<'_>,
) -> Vec<u8> {
    let data = client_data(frame);
    let lease = data.leases().next().unwrap();
    let Leased::Address(a) = lease.leased else {
        panic!("an address");
    };
    let mut out = vec![0; BNDUPD_LEN_MAX];
    let id = TransactionId::new(5);
    let kind = ::wire::MessageType::BNDUPD;
    let mut writer = ::wire::failover::FrameWriter::begin(&mut out, kind, id).unwrap();
    let open = writer.open_client_data(&client).unwrap();
    let ia = writer.open_ia(IaKind::Na, Iaid(1), 0, 0).unwrap();
    writer.address(a.address, (1, 1), options).unwrap();
    writer.close(ia).unwrap();
    writer.close(open).unwrap();
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

#[test]
fn rfc8156_7_5_3_what_is_missing_or_foreign_is_rejected_and_answered() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    let (frame, _) = primary.offers().remove(0);
    let data = client_data(&frame);
    let whole = data.client;
    let lease = data.leases().next().unwrap().options;
    let no_client = ::wire::failover::Client {
        client_id: None,
        ..whole
    };
    let no_time = ::wire::failover::Client {
        base_time: None,
        ..whole
    };
    let vpn = ::wire::failover::Client {
        vss: Some(&[255]),
        ..whole
    };
    for (client, code) in [(no_client, 18), (no_time, 18), (vpn, 17)] {
        let (reply, outcome) = secondary.receive(&altered(&frame, client, &lease));
        let reply = client_data(&reply);
        assert_eq!(reply.rejection().map(|s| s.code.0), Some(code));
        assert_eq!(outcome.accepted, 0);
    }
    let no_status = LeaseOptions {
        binding_status: None,
        ..lease
    };
    let bad_status = LeaseOptions {
        binding_status: Some(77),
        ..lease
    };
    let no_start = LeaseOptions {
        start_time_of_state: None,
        ..lease
    };
    let no_end = LeaseOptions {
        state_expiration_time: None,
        ..lease
    };
    for options in [no_status, bad_status, no_start, no_end] {
        let (reply, _) = secondary.receive(&altered(&frame, whole, &options));
        let reply = client_data(&reply);
        assert_eq!(reply.rejection(), None);
        let lease = reply.leases().next().unwrap();
        assert_eq!(lease.rejection().map(|s| s.code.0), Some(18));
    }
    primary.shards[1].put(&active(&one, address(0x5000), NOW, 3_600));
    let (frame, sent) = primary.offers().remove(0);
    let (reply, _) = secondary.receive(&frame);
    assert_eq!(
        primary.settle(&sent, &reply),
        Settled::Rejected(Rejection::NotOfRelationship.status())
    );
    assert!(secondary.shards.iter().all(Shard::is_empty));
}

#[test]
fn rfc8156_7_6_a_bndreply_echoes_and_has_no_status_when_all_is_well() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    let (frame, _) = primary.offers().remove(0);
    let (reply, _) = secondary.receive(&frame);
    assert_eq!(frame_body(&reply).0, frame_body(&frame).0);
    let (asked, said) = (client_data(&frame), client_data(&reply));
    assert_eq!(said.client.client_id, asked.client.client_id);
    assert_eq!(said.client.status, None);
    let (asked, said) = (
        asked.leases().next().unwrap(),
        said.leases().next().unwrap(),
    );
    assert_eq!(said.options.status, None);
    assert_eq!(said.options.binding_status, asked.options.binding_status);
    assert_eq!(
        said.options.partner_lifetime_sent,
        asked.options.partner_lifetime
    );
    assert_eq!(
        said.options.state_expiration_time,
        asked.options.state_expiration_time
    );
}

#[test]
fn deltas_are_what_the_shard_did() {
    let (mut primary, secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 3_600));
    let (frame, _) = primary.offers().remove(0);
    let data = client_data(&frame);
    let mut secondary = secondary;
    let places = InPool(&secondary.pool, 7);
    let premises = Premises {
        role: Role::Secondary,
        now: NOW,
        places: &places,
        yielded: &[],
        refused: &[],
    };
    let mut puts = 0;
    let mut reply = [0; 512];
    super::receive(
        &mut secondary.shards[1],
        &premises,
        TransactionId::new(9),
        &data,
        &mut reply,
        &mut |delta| {
            assert!(
                matches!(delta, BindingDelta::Put { shard: ShardId(1), record }
                if record.lease == address(1) && record.expires == NOW.plus(3_600))
            );
            puts += 1;
        },
    )
    .unwrap();
    assert_eq!(puts, 1);
}

#[test]
fn rfc8156_7_4_a_status_without_end_has_no_times_of_one() {
    let (mut primary, mut secondary) = pair();
    let one = client(1);
    primary.put(&active(&one, address(1), NOW, 60));
    exchange(&mut primary, &mut secondary);
    primary.now = NOW.plus(71);
    primary.end(address(1), BindingStatus::Expired);
    let (frame, _) = primary.offers().remove(0);
    let lease = client_data(&frame).leases().next().unwrap().options;
    assert_eq!(lease.state_expiration_time, None);
    assert_eq!(lease.partner_lifetime, None);
    assert_eq!(lease.expiration_time, None);
    assert_eq!(lease.start_time_of_state, Some(NOW.0 + 71));
    assert_eq!(lease.clt_time_secs_ago, Some(71), "not when it expired");
}

#[test]
fn rfc8156_5_5_13_the_partner_hears_of_keys_and_of_how_direct_clients_are_reached() {
    let (mut primary, mut secondary) = pair();
    let mut stranger = Side::new(Role::Secondary);
    stranger.secret = 8;
    let clients = [1, 2, 3].map(client);
    let vias: [&[u8]; 3] = [&[0xfe; 16], &[0xfd; 50], &[]];
    for ((place, duid), via) in (1..).zip(&clients).zip(vias) {
        primary.put(&BindingRecord {
            accepts_reconfigure: place < 3,
            via,
            ..active(duid, address(place), NOW, 3_600)
        });
    }
    for (frame, sent) in primary.offers() {
        let told = client_data(&frame).client.reconfigure_data;
        let place = sent.lease.addr - address(0).addr;
        assert_eq!(
            told.map(|data| data.key),
            (place < 3).then_some(&[7; 16][..])
        );
        for (side, knows) in [(&mut secondary, true), (&mut stranger, false)] {
            side.receive(&frame);
            let record = side.get(sent.lease).unwrap();
            assert_eq!(record.accepts_reconfigure, knows && place < 3, "{place}");
            let via = vias[place as usize - 1];
            // Relay data serves leasequery too.
            let kept = knows || via.len() > 16;
            assert_eq!(record.via, if kept { via } else { &[] }, "{place}");
        }
    }
}
