//! A keyed permutation of the numbers below 2^bits: an alternating Feistel network.
//!
//! The halves differ by one bit when `bits` is odd. Each round changes one half by a function of
//! the other, which is undone by the same round, so it is a permutation for any split and needs
//! no cycle walking.

use crate::sip::SipKey;

/// Rounds, half of them on each side. The network hides which shard a position belongs to; that a
/// position cannot be foretold rests on the hash it was made from. Six rounds of a pseudo-random
/// function withstand chosen plain and cipher texts (four suffice, Luby and Rackoff 1988), with
/// two to spare for halves as short as 13 bits.
const ROUNDS: u64 = 6;

/// See the module.
#[derive(Clone)]
pub(super) struct Permutation {
    key: SipKey,
    high_bits: u32,
    low_bits: u32,
}

impl Permutation {
    /// Of the numbers below 2^`bits`; `bits` within 2 to 63.
    pub(super) fn new(key: SipKey, bits: u32) -> Self {
        assert!((2..=63).contains(&bits), "a permutation of {bits} bits");
        Self {
            key,
            high_bits: bits / 2,
            low_bits: bits - bits / 2,
        }
    }

    /// Where `number` goes.
    pub(super) fn forward(&self, number: u64) -> u64 {
        let (mut high, mut low) = self.split(number);
        for round in 0..ROUNDS {
            self.round(round, &mut high, &mut low);
        }
        high << self.low_bits | low
    }

    /// Which number goes to `image`.
    pub(super) fn inverse(&self, image: u64) -> u64 {
        let (mut high, mut low) = self.split(image);
        for round in (0..ROUNDS).rev() {
            self.round(round, &mut high, &mut low);
        }
        high << self.low_bits | low
    }

    fn round(&self, round: u64, high: &mut u64, low: &mut u64) {
        if round.is_multiple_of(2) {
            *high ^= self.key.hash(&[round, *low], &[]) & mask(self.high_bits);
        } else {
            *low ^= self.key.hash(&[round, *high], &[]) & mask(self.low_bits);
        }
    }

    fn split(&self, number: u64) -> (u64, u64) {
        (
            number >> self.low_bits & mask(self.high_bits),
            number & mask(self.low_bits),
        )
    }
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_number_is_hit_once_for_even_and_odd_widths() {
        for bits in [2, 3, 9, 10, 15, 16] {
            let permutation = Permutation::new(SipKey::from_seed(7), bits);
            let mut hit = vec![false; 1 << bits];
            let mut moved = 0;
            for number in 0..1 << bits {
                let image = permutation.forward(number);
                assert!(!core::mem::replace(&mut hit[image as usize], true));
                assert_eq!(permutation.inverse(image), number);
                moved += u64::from(image != number);
            }
            assert!(
                bits < 9 || moved > (1 << bits) * 9 / 10,
                "{bits} bits: {moved} moved"
            );
        }
    }

    proptest! {
        #[test]
        fn inverse_undoes_forward(seed: u64, bits in 2_u32..=63, number: u64) {
            let number = number & mask(bits);
            let permutation = Permutation::new(SipKey::from_seed(seed), bits);
            let image = permutation.forward(number);
            prop_assert!(image <= mask(bits));
            prop_assert_eq!(permutation.inverse(image), number);
        }
    }
}
