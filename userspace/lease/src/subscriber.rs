//! Subscribers as clients: see [`wire::subscriber`].

use crate::sip::SipKey;
use wire::{ClientKey, SubscriberKey};

/// Keys of the digest. They are no secret, because both servers of a pair and every later run must
/// come to the same: identities are the relays' words, and clients have no say in them.
const DIGEST_SEEDS: [u64; 2] = [0x7375_6273_6372_6962, 0x6572_2064_6967_6573];

/// The key of the subscriber that a relay names by the data of an option; `None` if that names
/// nobody. `link_address` is the one by which the client's link is found, 0 if there is none.
pub fn subscriber_key(by: ClientKey, link_address: u128, identity: &[u8]) -> Option<SubscriberKey> {
    SubscriberKey::new(by, link_address, identity, digest)
}

/// 128 bits of an identity.
fn digest(identity: &[u8]) -> [u8; 16] {
    let words = DIGEST_SEEDS.map(|seed| {
        let length = identity.len() as u64;
        SipKey::from_seed(seed).prf(&[length], identity)
    });
    let mut octets = [0; 16];
    let (halves, _) = octets.as_chunks_mut::<8>();
    for (half, word) in halves.iter_mut().zip(words) {
        *half = word.to_le_bytes();
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::subscriber::IDENTITY_LEN_MAX;

    #[test]
    fn long_identities_differ_wherever_they_differ_and_stay_the_same_for_ever() {
        let long = vec![b'x'; IDENTITY_LEN_MAX + 1];
        let of = |identity: &[u8]| subscriber_key(ClientKey::RemoteId, 0, identity).unwrap();
        for at in [0, 7, IDENTITY_LEN_MAX / 2, IDENTITY_LEN_MAX] {
            let mut other = long.clone();
            other[at] ^= 1;
            assert_ne!(of(&long), of(&other), "{at}");
        }
        let longer = vec![b'x'; IDENTITY_LEN_MAX + 2];
        assert_ne!(of(&long), of(&longer));
        // It is in journals and at partners.
        assert_eq!(of(&long).duid().to_string(), EXPECTED);
    }

    const EXPECTED: &str = "ff:ff:a5:17:70:2f:28:d7:ce:c1:51:33:69:4e:af:cb:83:ff:12";
}
