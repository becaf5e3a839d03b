//! Relay layers around a client's message (RFC 9915 §9, §19.1), prepared once for each relay.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use wire::{MessageType, OptionCode, Options};

use super::client::Client;

/// Octets of a relay message's fixed fields.
const RELAY_HEADER_LEN: usize = 34;
/// Octets of the Interface-Id: a line's number in hexadecimal.
const INTERFACE_ID_LEN: usize = 8;
/// Enterprise number in the Remote-Id (RFC 4649): that of documentation, RFC 5612.
const ENTERPRISE: u32 = 32_473;

/// All relays of a run, each with as many layers.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    envelopes: Vec<Envelope>,
    by_link: HashMap<u128, usize>,
}

impl Relays {
    /// Relays with these addresses on their clients' links, and `layers - 1` more before the server.
    ///
    /// # Panics
    /// If `layers` is not 1 to 8.
    pub fn new(link_addresses: &[Ipv6Addr], layers: usize) -> Self {
        let number = link_addresses.iter().enumerate();
        Self {
            envelopes: link_addresses
                .iter()
                .map(|link| Envelope::new(*link, layers))
                .collect(),
            by_link: number
                .map(|(number, link)| (link.to_bits(), number))
                .collect(),
        }
    }

    /// Whether there are none: clients are on the server's link.
    pub fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// The relay with this number.
    pub fn envelope(&self, relay: u32) -> Option<&Envelope> {
        self.envelopes.get(relay as usize)
    }

    /// The client's message in a Relay-reply to one of the relays, if its layers are right.
    pub fn unseal<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        // A relay's address on its clients' link is the link-address of its own layer and the
        // peer-address of the next one.
        let layers = self.envelopes.first()?.layers;
        let at = if layers == 1 { 2 } else { 18 };
        let link = u128::from_be_bytes(*payload.get(at..)?.first_chunk()?);
        self.envelopes[*self.by_link.get(&link)?].unseal(payload)
    }
}

/// The layers of one relay, outermost first, up to where the client's message begins. In each layer
/// the Relay Message option is the last, so that only lengths depend on the message.
#[derive(Clone, Debug)]
pub struct Envelope {
    octets: Vec<u8>,
    /// Where the length of each layer's Relay Message option stands.
    lengths_at: Vec<usize>,
    /// Where the client's line stands in the innermost layer's options.
    lines_at: Vec<usize>,
    /// Where the innermost layer's peer-address ends in the client's number.
    peer_at: usize,
    layers: usize,
}

impl Envelope {
    /// The envelope of a relay whose address on the clients' link is `link_address`, with the
    /// further `layers - 1` relays on the way to the server.
    ///
    /// # Panics
    /// If `layers` is not 1 to 8.
    pub fn new(link_address: Ipv6Addr, layers: usize) -> Self {
        assert!((1..=8).contains(&layers), "{layers} relay layers");
        let mut envelope = Self {
            octets: Vec::new(),
            lengths_at: Vec::new(),
            lines_at: Vec::new(),
            peer_at: 0,
            layers,
        };
        for layer in (0..layers).rev() {
            envelope.push_layer(layer, link_address);
        }
        envelope
    }

    fn push_layer(&mut self, layer: usize, link_address: Ipv6Addr) {
        let innermost = layer == 0;
        let octets = &mut self.octets;
        octets.extend([MessageType::RELAY_FORW.0, layer as u8]);
        // Only the relay next to the clients is on a link that counts.
        let link = if innermost {
            link_address
        } else {
            Ipv6Addr::UNSPECIFIED
        };
        octets.extend(link.octets());
        let peer = if innermost {
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0200, 0xff, 0, 0)
        } else {
            link_address
        };
        octets.extend(peer.octets());
        if innermost {
            self.peer_at = octets.len() - 4;
            push_option_header(octets, OptionCode::INTERFACE_ID, INTERFACE_ID_LEN);
            self.lines_at.push(octets.len());
            octets.extend([b'0'; INTERFACE_ID_LEN]);
            push_option_header(octets, OptionCode::REMOTE_ID, 4 + INTERFACE_ID_LEN);
            octets.extend(ENTERPRISE.to_be_bytes());
            self.lines_at.push(octets.len());
            octets.extend([b'0'; INTERFACE_ID_LEN]);
        }
        push_option_header(octets, OptionCode::RELAY_MSG, 0);
        self.lengths_at.push(octets.len() - 2);
    }

    /// Octets in front of the client's message.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Puts the layers in front of the message of `message_len` octets that stands at
    /// [`len`](Self::len); gives the length of the whole.
    ///
    /// # Panics
    /// If the buffer has no room for the layers.
    pub fn seal(&self, buffer: &mut [u8], client: Client, message_len: usize) -> usize {
        let total = self.octets.len() + message_len;
        buffer[..self.octets.len()].copy_from_slice(&self.octets);
        for &at in &self.lengths_at {
            let len = (total - at - 2) as u16;
            buffer[at..at + 2].copy_from_slice(&len.to_be_bytes());
        }
        let line = hexadecimal(client.0);
        for &at in &self.lines_at {
            buffer[at..at + INTERFACE_ID_LEN].copy_from_slice(&line);
        }
        buffer[self.peer_at..self.peer_at + 4].copy_from_slice(&client.0.to_be_bytes());
        total
    }

    /// The client's message in a Relay-reply, if its layers answer those that [`seal`](Self::seal)
    /// made: as many, with the hop-counts, addresses and the Interface-Id copied (RFC 9915 §19.3).
    pub fn unseal<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        let mut rest = payload;
        let mut at = 0;
        for layer in (0..self.layers).rev() {
            let (header, options) = rest.split_at_checked(RELAY_HEADER_LEN)?;
            if header[0] != MessageType::RELAY_REPL.0 || header[1] != layer as u8 {
                return None;
            }
            let sent = &self.octets[at..at + RELAY_HEADER_LEN];
            // The innermost peer-address ends in the client's number, which the DUID tells too.
            let fixed = if layer == 0 {
                RELAY_HEADER_LEN - 4
            } else {
                RELAY_HEADER_LEN
            };
            if header[2..fixed] != sent[2..fixed] {
                return None;
            }
            let options = Options::new(options, 0);
            if layer == 0 {
                let line = options.find(OptionCode::INTERFACE_ID)?;
                let number = u32::from_be_bytes(*header.last_chunk()?);
                if line.data != hexadecimal(number) {
                    return None;
                }
            }
            rest = options.find(OptionCode::RELAY_MSG)?.data;
            at += RELAY_HEADER_LEN + 4;
        }
        Some(rest)
    }
}

fn push_option_header(octets: &mut Vec<u8>, code: OptionCode, len: usize) {
    octets.extend(code.0.to_be_bytes());
    octets.extend((len as u16).to_be_bytes());
}

fn hexadecimal(number: u32) -> [u8; INTERFACE_ID_LEN] {
    let mut digits = [0; INTERFACE_ID_LEN];
    for (digit, shift) in digits.iter_mut().zip((0..8).rev()) {
        *digit = b"0123456789abcdef"[(number >> (4 * shift)) as usize & 15];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{RelayChain, ReplyWriter};

    const LINK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
    const SOLICIT: [u8; 4] = [1, 7, 8, 9];

    fn sealed(layers: usize) -> Vec<u8> {
        let envelope = Envelope::new(LINK, layers);
        let mut buffer = vec![0; 1500];
        buffer[envelope.len()..envelope.len() + 4].copy_from_slice(&SOLICIT);
        let len = envelope.seal(&mut buffer, Client(0xab12), SOLICIT.len());
        buffer.truncate(len);
        buffer
    }

    #[test]
    fn a_server_sees_the_layers_and_the_message() {
        for layers in 1..=8 {
            let payload = sealed(layers);
            let chain = RelayChain::parse(&payload).unwrap();
            assert_eq!(chain.relays.len(), layers);
            assert_eq!(chain.link_address(), Some(LINK.to_bits()));
            assert_eq!(chain.message.transaction_id, [7, 8, 9]);
            let inner = chain.relays.last().unwrap();
            assert_eq!(inner.interface_id, Some(&b"0000ab12"[..]));
            assert!(inner.options.find(OptionCode::REMOTE_ID).is_some());
            let hops: Vec<u8> = chain.relays.iter().map(|relay| relay.hop_count).collect();
            assert_eq!(hops, (0..layers as u8).rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_servers_answer_is_opened_and_another_relays_is_not() {
        for layers in [1, 3] {
            let payload = sealed(layers);
            let chain = RelayChain::parse(&payload).unwrap();
            let mut answer = vec![0; 1500];
            let writer =
                ReplyWriter::begin_relayed(&mut answer, &chain, MessageType::ADVERTISE).unwrap();
            let len = writer.finish().unwrap();
            let relays = Relays::new(&[Ipv6Addr::LOCALHOST, LINK], layers);
            assert_eq!(relays.unseal(&answer[..len]), Some(&[2, 7, 8, 9][..]));
            assert_eq!(relays.unseal(&answer[..20]), None);
            let inner = Envelope::new(LINK, layers).unseal(&answer[..len]);
            assert_eq!(inner, Some(&[2, 7, 8, 9][..]));
            let other = Envelope::new(Ipv6Addr::LOCALHOST, layers);
            assert_eq!(other.unseal(&answer[..len]), None);
            let deeper = Envelope::new(LINK, layers + 1);
            assert_eq!(deeper.unseal(&answer[..len]), None);
        }
    }

    #[test]
    fn nonsense_opens_nothing() {
        let envelope = Envelope::new(LINK, 1);
        for nonsense in [&b""[..], b"\x0d", &[13; 34], &[13; 60], &[0; 80]] {
            assert_eq!(envelope.unseal(nonsense), None);
        }
    }
}
