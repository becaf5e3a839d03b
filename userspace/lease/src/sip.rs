//! SipHash: the keyed function behind allocation and behind the tables of a shard.
//!
//! DUIDs are chosen by whoever sends the packet, so a table keyed by anything weaker than a
//! pseudo-random function can be driven into one chain, and a pool's positions could be foretold.

use core::fmt;

/// A 128-bit secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SipKey {
    k0: u64,
    k1: u64,
}

impl SipKey {
    /// From 16 octets, read as two little-endian words.
    pub(crate) fn new(octets: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(octets);
        Self {
            k0: key as u64,
            k1: (key >> 64) as u64,
        }
    }

    /// For tables that live in one process: `seed` is their whole secret.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self {
            k0: seed,
            k1: seed.rotate_left(32) ^ 0x6c65_6173_652d_7461,
        }
    }

    /// A key of its own for each `salt` and `purpose`.
    pub(crate) fn derive(self, salt: u64, purpose: u64) -> Self {
        Self {
            k0: self.prf(&[salt, purpose, 0], &[]),
            k1: self.prf(&[salt, purpose, 1], &[]),
        }
    }

    /// SipHash-2-4 of `head`, as little-endian octets, followed by `octets`: for what must not be
    /// foretold from outside.
    pub(crate) fn prf(self, head: &[u64], octets: &[u8]) -> u64 {
        self.sip::<2, 4>(head, octets)
    }

    /// SipHash-1-3 of the same: for tables and for the rounds of a permutation.
    pub(crate) fn hash(self, head: &[u64], octets: &[u8]) -> u64 {
        self.sip::<1, 3>(head, octets)
    }

    #[inline]
    fn sip<const C: usize, const D: usize>(self, head: &[u64], octets: &[u8]) -> u64 {
        let mut state = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        for &word in head {
            state.absorb::<C>(word);
        }
        let (words, rest) = octets.as_chunks::<8>();
        for word in words {
            state.absorb::<C>(u64::from_le_bytes(*word));
        }
        let length = head.len() * 8 + octets.len();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = length as u8;
        state.absorb::<C>(u64::from_le_bytes(last));
        state.v2 ^= 0xff;
        state.rounds::<D>();
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }
}

impl fmt::Debug for SipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipKey(..)")
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn absorb<const C: usize>(&mut self, word: u64) {
        self.v3 ^= word;
        self.rounds::<C>();
        self.v0 ^= word;
    }

    #[inline]
    fn rounds<const N: usize>(&mut self) {
        for _ in 0..N {
            self.v0 = self.v0.wrapping_add(self.v1);
            self.v2 = self.v2.wrapping_add(self.v3);
            self.v1 = self.v1.rotate_left(13) ^ self.v0;
            self.v3 = self.v3.rotate_left(16) ^ self.v2;
            self.v0 = self.v0.rotate_left(32);
            self.v2 = self.v2.wrapping_add(self.v1);
            self.v0 = self.v0.wrapping_add(self.v3);
            self.v1 = self.v1.rotate_left(17) ^ self.v2;
            self.v3 = self.v3.rotate_left(21) ^ self.v0;
            self.v2 = self.v2.rotate_left(32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::Hasher;
    use proptest::prelude::*;

    #[test]
    fn siphash_2_4_gives_the_vector_of_its_paper() {
        let octets: Vec<u8> = (0..15).collect();
        let key = SipKey::new(core::array::from_fn(|i| i as u8));
        assert_eq!(key.prf(&[], &octets), 0xa129_ca61_49be_45e5);
        assert_eq!(
            key.prf(&[0x0706_0504_0302_0100], &octets[8..]),
            0xa129_ca61_49be_45e5
        );
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(
            octets in prop::collection::vec(any::<u8>(), 0..80),
            k0: u64,
            k1: u64,
        ) {
            #[expect(deprecated, reason = "the one keyed SipHash-2-4 of the standard library")]
            let mut keyed = core::hash::SipHasher::new_with_keys(k0, k1);
            keyed.write(&octets);
            prop_assert_eq!(SipKey { k0, k1 }.prf(&[], &octets), keyed.finish());
            let mut fast = std::hash::DefaultHasher::new();
            fast.write(&octets);
            prop_assert_eq!(SipKey { k0: 0, k1: 0 }.hash(&[], &octets), fast.finish());
        }
    }
}
