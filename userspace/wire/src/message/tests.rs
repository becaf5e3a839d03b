extern crate std;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn option(code: OptionCode, data: &[u8]) -> Vec<u8> {
    let mut octets = code.0.to_be_bytes().to_vec();
    octets.extend_from_slice(&(data.len() as u16).to_be_bytes());
    octets.extend_from_slice(data);
    octets
}

fn ia_na(iaid: u32, nested: &[u8]) -> Vec<u8> {
    let mut data = iaid.to_be_bytes().to_vec();
    data.extend_from_slice(&[0; 8]);
    data.extend_from_slice(nested);
    option(OptionCode::IA_NA, &data)
}

fn solicit(options: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = vec![1, 0xa, 0xb, 0xc];
    octets.extend(options.concat());
    octets
}

fn index(octets: &[u8]) -> Result<MessageIndex<'_>, Malformed> {
    MessageIndex::new(&Message::parse(octets, 0, OptionCode(0))?)
}

fn fault(option: OptionCode, offset: u32, why: Fault) -> Malformed {
    Malformed {
        option,
        offset,
        why,
    }
}

#[test]
fn one_pass_finds_everything() {
    let octets = solicit(&[
        option(OptionCode::CLIENTID, b"\0\x03abc"),
        option(OptionCode::ELAPSED_TIME, &[1, 2]),
        option(OptionCode::ORO, &[0, 23, 0, 24]),
        option(OptionCode::RAPID_COMMIT, &[]),
        ia_na(7, &option(OptionCode::IAADDR, &[9; 24])),
        option(OptionCode::IA_PD, &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    let index = index(&octets).unwrap();
    assert_eq!(index.client_id, Duid::new(b"\0\x03abc"));
    assert_eq!(index.elapsed_hundredths, Some(0x0102));
    assert!(index.rapid_commit && index.oro.contains(OptionCode::DOMAIN_LIST));
    assert!(!index.oro.contains(OptionCode::SOL_MAX_RT));
    assert_eq!(index.ias.len(), 2);
    let ia = IaIndex::new(&index.ias[0]).unwrap();
    assert_eq!(ia.addresses[0].address, u128::from_be_bytes([9; 16]));
    assert_eq!(index.repeated, None);
}

#[test]
fn a_fault_is_named_with_its_option_and_offset() {
    let cases = [
        (
            option(OptionCode::ORO, &[0; 3]),
            OptionCode::ORO,
            4,
            Fault::Length,
        ),
        (
            option(OptionCode::CLIENTID, &[]),
            OptionCode::CLIENTID,
            4,
            Fault::Duid,
        ),
        (
            option(OptionCode::CLIENTID, &[0; 131]),
            OptionCode::CLIENTID,
            4,
            Fault::Duid,
        ),
        (
            option(OptionCode::RAPID_COMMIT, &[0]),
            OptionCode::RAPID_COMMIT,
            4,
            Fault::Length,
        ),
        (vec![0, 6, 0, 9], OptionCode::ORO, 4, Fault::Overrun),
        (
            ia_na(1, &[0, 5, 0, 24, 1]),
            OptionCode::IAADDR,
            20,
            Fault::Overrun,
        ),
        (
            ia_na(1, &[0, 5]),
            OptionCode::IAADDR,
            20,
            Fault::StrayOctets,
        ),
        (
            ia_na(1, &option(OptionCode::IAADDR, &[0; 25])),
            OptionCode(0),
            48,
            Fault::StrayOctets,
        ),
    ];
    for (bad, code, offset, why) in cases {
        let error = index(&solicit(&[bad])).unwrap_err();
        assert_eq!(error, fault(code, offset, why));
    }
    let stray = [&solicit(&[])[..], &[0, 14, 0]].concat();
    let error = index(&stray).unwrap_err();
    assert_eq!(
        error,
        fault(OptionCode::RAPID_COMMIT, 4, Fault::StrayOctets)
    );
    assert_eq!(index(&[1, 2]).unwrap_err().reason(), "short-header");
}

#[test]
fn a_prefix_longer_than_an_address_is_malformed() {
    let mut prefix = [0; 25];
    prefix[8] = 129;
    let mut data = vec![0; 12];
    data.extend(option(OptionCode::IAPREFIX, &prefix));
    let error = index(&solicit(&[option(OptionCode::IA_PD, &data)])).unwrap_err();
    assert_eq!(error, fault(OptionCode::IAPREFIX, 20, Fault::PrefixLength));
}

#[test]
fn the_first_of_repeated_options_counts_and_the_second_is_reported() {
    let octets = solicit(&[
        option(OptionCode::CLIENTID, b"first"),
        option(OptionCode::CLIENTID, b"second"),
    ]);
    let index = index(&octets).unwrap();
    assert_eq!(index.client_id, Duid::new(b"first"));
    assert_eq!(
        index.repeated,
        Some(fault(OptionCode::CLIENTID, 13, Fault::Repeated))
    );
}

#[test]
fn too_many_ias_and_leases_are_flagged() {
    let ias: Vec<_> = (0..=IA_MAX as u32).map(|iaid| ia_na(iaid, &[])).collect();
    assert!(!index(&solicit(&ias[1..])).unwrap().more_ias);
    let octets = solicit(&ias);
    let all = index(&octets).unwrap();
    assert!(all.more_ias && all.ias.len() == IA_MAX);

    let leases = option(OptionCode::IAADDR, &[0; 24]).repeat(17);
    let octets = solicit(&[ia_na(1, &leases)]);
    let ia = IaIndex::new(&index(&octets).unwrap().ias[0]).unwrap();
    assert!(ia.more && ia.addresses.len() == 16);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_octets_give_an_index_or_an_error_inside_the_message(
        octets in proptest::collection::vec(prop_oneof![0_u8..30, any::<u8>()], 0..150),
    ) {
        match index(&octets) {
            Err(error) => prop_assert!(error.offset as usize <= octets.len()),
            Ok(index) => for ia in &index.ias {
                prop_assert!(IaIndex::new(ia).is_ok());
            },
        }
    }
}
