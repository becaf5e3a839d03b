extern crate std;

use proptest::prelude::*;

use super::*;

/// RFC 1071 §4.1, two octets at a time.
fn naive(octets: &[u8]) -> [u8; 2] {
    let mut sum = 0_u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[test]
fn rfc1071_section_3_example() {
    let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::default().with(&octets).finish(), [0x22, 0x0d]);
}

#[test]
fn carries_of_all_ones_are_kept() {
    let octets = [0xff; 4001];
    assert_eq!(Sum::default().with(&octets).finish(), naive(&octets));
}

#[test]
fn zero_is_sent_as_all_ones() {
    assert_eq!(nonzero([0, 0]), [0xff, 0xff]);
    assert_eq!(nonzero([0, 1]), [0, 1]);
}

proptest! {
    #[test]
    fn equals_the_naive_sum(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..100,
    ) {
        prop_assert_eq!(Sum::default().with(&octets).finish(), naive(&octets));
        let (head, tail) = octets.split_at((cut * 2).min(octets.len() & !1));
        prop_assert_eq!(Sum::default().with(head).with(tail).finish(), naive(&octets));
    }
}
