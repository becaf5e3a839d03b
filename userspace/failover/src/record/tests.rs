use super::*;
use proptest::prelude::*;

fn full() -> EndpointRecord {
    EndpointRecord {
        role: Role::Secondary,
        state: ServerState::PartnerDown,
        previous: Some(ServerState::CommunicationsInterrupted),
        since: AbsTime(800_000_000),
        partner_down_since: Some(AbsTime(799_999_000)),
        partner: Some(PartnerRecord {
            state: ServerState::PartnerDown,
            since: AbsTime(5),
            flags: ServerFlags(5),
            partner_down_time: Some(AbsTime(6)),
        }),
        last_heard: Some(AbsTime(7)),
        operating_until: Some(AbsTime(8)),
        mclt: Mclt {
            agreed_secs: Some(3_600),
            lingering: Some(Lingering {
                secs: 7_200,
                until: AbsTime(9),
            }),
        },
        communicated: true,
        needs_all: false,
        lost_promises: true,
        owes_all: true,
    }
}

fn encoded(record: &EndpointRecord) -> Vec<u8> {
    let mut octets = Vec::new();
    record.encode(&mut octets);
    octets
}

#[test]
fn rfc8156_8_2_what_is_stored_comes_back() {
    let initial = EndpointRecord::initial(Role::Primary, AbsTime(1));
    for record in [full(), initial] {
        let octets = encoded(&record);
        assert!(octets.len() <= RECORD_LEN_MAX);
        assert_eq!(EndpointRecord::decode(&octets), Ok(record));
    }
}

#[test]
fn every_truncation_and_an_octet_too_many_are_damage() {
    let mut octets = encoded(&full());
    for len in 0..octets.len() {
        let cut = EndpointRecord::decode(&octets[..len]);
        assert!(matches!(cut, Err(RecordError::Damaged { .. })), "{len}");
    }
    octets.push(0);
    assert!(EndpointRecord::decode(&octets).is_err());
}

#[test]
fn a_newer_format_is_named() {
    let mut octets = encoded(&full());
    octets[0] = VERSION + 1;
    assert_eq!(
        EndpointRecord::decode(&octets),
        Err(RecordError::Version(VERSION + 1))
    );
}

#[test]
fn startup_is_never_a_stored_state() {
    let mut octets = encoded(&full());
    octets[2] = ServerState::Startup as u8;
    assert!(EndpointRecord::decode(&octets).is_err());
}

proptest! {
    #[test]
    fn any_octets_are_a_record_or_an_error(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(record) = EndpointRecord::decode(&octets) {
            prop_assert_eq!(EndpointRecord::decode(&encoded(&record)), Ok(record));
        }
    }
}
