//! The Internet checksum (RFC 1071), and the one UDP needs over IPv6 (RFC 8200 §8.1).

use crate::ipv6::NEXT_HEADER_UDP;

/// A ones' complement sum under way.
///
/// Octets are added in memory order, which RFC 1071 §2 (B) allows: swapping all inputs swaps the
/// result. Every piece but the last must have an even number of octets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds `octets`, eight at a time; an odd one at the end counts as if a zero followed.
    #[inline]
    #[must_use]
    pub fn with(self, octets: &[u8]) -> Self {
        let (words, tail) = octets.as_chunks::<8>();
        // Two halves of 32 bits each in 64: no carry is lost below 2^32 words.
        let mut sum = u64::from(fold_32(self.0));
        for word in words {
            let word = u64::from_ne_bytes(*word);
            sum += (word & 0xffff_ffff) + (word >> 32);
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(tail) {
            *to = *from;
        }
        let word = u64::from_ne_bytes(last);
        Self(sum + (word & 0xffff_ffff) + (word >> 32))
    }

    /// The complement of the folded sum, as it stands on the wire.
    #[inline]
    #[must_use]
    pub fn finish(self) -> [u8; 2] {
        let sum = fold_32(self.0);
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        (!(sum as u16)).to_ne_bytes()
    }
}

/// Checksum of a UDP datagram over IPv6, pseudo-header included (RFC 8200 §8.1).
///
/// `datagram` begins with the UDP header. With the checksum field zero the result is what to put
/// there before [`nonzero`]; with the field filled the result is 0 exactly if it is right.
#[inline]
#[must_use]
pub fn udp(src: u128, dst: u128, datagram: &[u8]) -> [u8; 2] {
    let len = datagram.len() as u32;
    Sum::default()
        .with(&src.to_be_bytes())
        .with(&dst.to_be_bytes())
        .with(&len.to_be_bytes())
        .with(&[0, 0, 0, NEXT_HEADER_UDP])
        .with(datagram)
        .finish()
}

/// What stands in the UDP header for `checksum`: 0 is sent as 0xffff (RFC 8200 §8.1).
#[inline]
#[must_use]
pub fn nonzero(checksum: [u8; 2]) -> [u8; 2] {
    if checksum == [0, 0] {
        [0xff, 0xff]
    } else {
        checksum
    }
}

#[inline]
fn fold_32(sum: u64) -> u32 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum as u32
}

#[cfg(test)]
mod tests;
