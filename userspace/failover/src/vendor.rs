//! The vendor option (RFC 9915 §21.17) by which two of these servers tell each other what RFC 8156
//! has no option for. Any other partner ignores it.

pub(crate) use wire::failover::{ENTERPRISE, MAGIC};

/// Octets in front of the value: enterprise number, code and length of the suboption, magic.
const HEAD_LEN: usize = 4 + 4 + MAGIC.len();

/// The suboption with the address of a client without relay.
const DIRECT_ADDRESS: u16 = 2;
/// Octets of the option's data with that.
pub(crate) const DIRECT_LEN: usize = HEAD_LEN + ADDRESS_LEN;
/// A `via` of this length is a client's address and no relay data.
pub(crate) const ADDRESS_LEN: usize = 16;

/// Says how a client without relay is reached: OPTION_LQ_RELAY_DATA has no place for that.
pub(crate) fn direct_address(address: &[u8; ADDRESS_LEN]) -> [u8; DIRECT_LEN] {
    let len = (MAGIC.len() + ADDRESS_LEN) as u16;
    let parts: [&[u8]; 5] = [
        &ENTERPRISE.to_be_bytes(),
        &DIRECT_ADDRESS.to_be_bytes(),
        &len.to_be_bytes(),
        MAGIC,
        address,
    ];
    let mut data = [0; DIRECT_LEN];
    for (octet, part) in data.iter_mut().zip(parts.into_iter().flatten()) {
        *octet = *part;
    }
    data
}

/// What [`direct_address`] wrote, if it is that.
pub(crate) fn read_direct_address(data: &[u8]) -> Option<&[u8; ADDRESS_LEN]> {
    let head = direct_address(&[0; ADDRESS_LEN]);
    data.strip_prefix(&head[..HEAD_LEN])?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_and_nothing_else_is_taken_for_one() {
        let mut data = direct_address(&[0xfe; 16]).to_vec();
        assert_eq!(read_direct_address(&data), Some(&[0xfe; 16]));
        assert_eq!(read_direct_address(&data[..data.len() - 1]), None);
        data.push(0);
        assert_eq!(read_direct_address(&data), None);
        data.pop();
        data[10] ^= 1;
        assert_eq!(read_direct_address(&data), None);
    }
}
