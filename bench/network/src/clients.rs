//! Clients that exist only as their messages.

use std::net::Ipv6Addr;

use wire::{MessageType, OptionCode};

/// Links behind relays; direct clients have one of their own.
pub const RELAYED_LINKS: u32 = 1_000;
/// The server's DUID, a DUID-LL.
pub const SERVER_DUID: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 1];

/// How a client's messages reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// It is on the server's own link.
    Direct,
    /// Through one relay that adds an Interface-Id.
    Relayed,
}

/// A client with one IA_NA, and its address in it if it has been told one.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Sets it apart from all others; its DUID is made of it.
    pub number: u32,
    /// How its messages reach the server.
    pub path: Path,
    /// Its address, once it has been told one.
    pub address: Option<u128>,
}

/// SplitMix64: small, and the same sequence in every run.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.draw()) * end as u128) >> 64) as usize
    }
}

/// A relay's address on the link with this number; the link's prefix is its first 64 bits.
pub fn link_address(link: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(0x2001_0db8_0001_u128 << 80 | u128::from(link) << 64 | 1)
}

impl Client {
    /// Replaces `payload` by a message of this client.
    pub fn write(&self, payload: &mut Vec<u8>, msg_type: MessageType) {
        payload.clear();
        match self.path {
            Path::Direct => self.write_message(payload, msg_type),
            Path::Relayed => {
                let port = self.number.to_be_bytes();
                payload.extend([MessageType::RELAY_FORW.0, 0]);
                payload.extend(link_address(self.number % RELAYED_LINKS).octets());
                payload.extend((0xfe80_u128 << 112 | u128::from(self.number)).to_be_bytes());
                option(
                    payload,
                    OptionCode::INTERFACE_ID,
                    &[b"port ", &port[..]].concat(),
                );
                container(payload, OptionCode::RELAY_MSG, |payload| {
                    self.write_message(payload, msg_type);
                });
            }
        }
    }

    fn write_message(&self, payload: &mut Vec<u8>, msg_type: MessageType) {
        let [_, transaction_id @ ..] = self.number.to_be_bytes();
        payload.push(msg_type.0);
        payload.extend(transaction_id);
        option(payload, OptionCode::CLIENTID, &self.duid());
        if matches!(
            msg_type,
            MessageType::REQUEST | MessageType::RENEW | MessageType::RELEASE
        ) {
            option(payload, OptionCode::SERVERID, &SERVER_DUID);
        }
        option(payload, OptionCode::ELAPSED_TIME, &[0, 0]);
        option(payload, OptionCode::ORO, &[0, 23, 0, 24]);
        if msg_type == MessageType::INFORMATION_REQUEST {
            return;
        }
        container(payload, OptionCode::IA_NA, |payload| {
            payload.extend(1_u32.to_be_bytes());
            payload.extend([0; 8]);
            if let Some(address) = self.address {
                let mut data = [0; 24];
                data[..16].copy_from_slice(&address.to_be_bytes());
                option(payload, OptionCode::IAADDR, &data);
            }
        });
    }

    /// A DUID-LLT of 14 octets, as most hosts have.
    pub fn duid(&self) -> [u8; 14] {
        let mut duid = [0, 1, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0];
        let time = self.number.wrapping_mul(0x9e37_79b9);
        duid[4..8].copy_from_slice(&time.to_be_bytes());
        duid[10..].copy_from_slice(&self.number.to_be_bytes());
        duid
    }
}

fn option(payload: &mut Vec<u8>, code: OptionCode, data: &[u8]) {
    container(payload, code, |payload| payload.extend(data));
}

fn container(payload: &mut Vec<u8>, code: OptionCode, write: impl FnOnce(&mut Vec<u8>)) {
    payload.extend(code.0.to_be_bytes());
    let length_at = payload.len();
    payload.extend([0, 0]);
    write(payload);
    let length = (payload.len() - length_at - 2) as u16;
    payload[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
}
