extern crate std;

use std::string::ToString;
use std::vec::Vec;

use super::*;
use crate::code::OptionCode;

fn list(data: &[u8]) -> RawOption<'_> {
    RawOption {
        code: OptionCode::DOMAIN_LIST,
        data,
        offset: 40,
    }
}

#[test]
fn names_are_read_as_they_were_encoded() {
    let mut data = Vec::new();
    for text in ["example.net", "lab.example.org."] {
        data.extend_from_slice(&encode_name(text).unwrap());
    }
    let read: Vec<_> = names(&list(&data))
        .map(|name| name.unwrap().to_string())
        .collect();
    assert_eq!(read, ["example.net.", "lab.example.org."]);
}

#[test]
fn compression_and_overruns_end_the_list() {
    for data in [&b"\xc0\x00"[..], b"\x05exam", b"\x03net"] {
        let option = list(data);
        let read: Vec<_> = names(&option).collect();
        assert_eq!(read, [Err(option.malformed(Fault::DomainName))]);
    }
}

#[test]
fn unprintable_octets_are_escaped() {
    let option = list(b"\x03a.\x01\x00");
    let name = names(&option).next().unwrap().unwrap();
    assert_eq!(name.to_string(), "a\\.\\001.");
}

#[test]
fn a_text_that_is_no_name_is_refused_with_its_fault() {
    assert_eq!(encode_name(""), Err(NameError::EmptyLabel));
    assert_eq!(encode_name("a..b"), Err(NameError::EmptyLabel));
    assert_eq!(encode_name("a b"), Err(NameError::Character(' ')));
    assert_eq!(encode_name(&"a".repeat(64)), Err(NameError::LongLabel));
    assert_eq!(encode_name(&"abc.".repeat(64)), Err(NameError::LongName));
    assert!(encode_name(&"a".repeat(63)).is_ok());
}

#[test]
fn server_addresses_are_multiples_of_sixteen_octets() {
    assert!(addresses(&list(&[])).is_err());
    assert!(addresses(&list(&[0; 17])).is_err());
    let mut two = [0; 32];
    two[31] = 5;
    let option = list(&two);
    assert_eq!(addresses(&option).unwrap().collect::<Vec<_>>(), [0, 5]);
}
