//! DHCPv6 messages as the lab's own client writes and reads them.
//!
//! Written apart from the server's parser and writer on purpose: a mistake that both shared would
//! be seen by nobody. Nothing here is fast or complete; it is what a client needs to see.

use std::net::Ipv6Addr;

use anyhow::{Context, Result, bail};

/// Message types (RFC 9915 §7.3).
pub mod kind {
    /// SOLICIT.
    pub const SOLICIT: u8 = 1;
    /// ADVERTISE.
    pub const ADVERTISE: u8 = 2;
    /// REQUEST.
    pub const REQUEST: u8 = 3;
    /// CONFIRM.
    pub const CONFIRM: u8 = 4;
    /// RENEW.
    pub const RENEW: u8 = 5;
    /// REBIND.
    pub const REBIND: u8 = 6;
    /// REPLY.
    pub const REPLY: u8 = 7;
    /// RELEASE.
    pub const RELEASE: u8 = 8;
    /// DECLINE.
    pub const DECLINE: u8 = 9;
    /// RECONFIGURE.
    pub const RECONFIGURE: u8 = 10;
    /// INFORMATION-REQUEST.
    pub const INFORMATION_REQUEST: u8 = 11;
    /// RELAY-FORW.
    pub const RELAY_FORWARD: u8 = 12;
    /// RELAY-REPL.
    pub const RELAY_REPLY: u8 = 13;
}

/// Option codes (RFC 9915 §21, RFC 3646).
pub mod code {
    /// OPTION_CLIENTID.
    pub const CLIENT_ID: u16 = 1;
    /// OPTION_SERVERID.
    pub const SERVER_ID: u16 = 2;
    /// OPTION_IA_NA.
    pub const IA_NA: u16 = 3;
    /// OPTION_IAADDR.
    pub const IA_ADDRESS: u16 = 5;
    /// OPTION_ORO.
    pub const OPTION_REQUEST: u16 = 6;
    /// OPTION_ELAPSED_TIME.
    pub const ELAPSED_TIME: u16 = 8;
    /// OPTION_RELAY_MSG.
    pub const RELAY_MESSAGE: u16 = 9;
    /// OPTION_AUTH.
    pub const AUTHENTICATION: u16 = 11;
    /// OPTION_STATUS_CODE.
    pub const STATUS_CODE: u16 = 13;
    /// OPTION_RAPID_COMMIT.
    pub const RAPID_COMMIT: u16 = 14;
    /// OPTION_INTERFACE_ID.
    pub const INTERFACE_ID: u16 = 18;
    /// OPTION_RECONF_MSG.
    pub const RECONFIGURE_MESSAGE: u16 = 19;
    /// OPTION_RECONF_ACCEPT.
    pub const RECONFIGURE_ACCEPT: u16 = 20;
    /// OPTION_DNS_SERVERS.
    pub const DNS_SERVERS: u16 = 23;
    /// OPTION_IA_PD.
    pub const IA_PD: u16 = 25;
    /// OPTION_IAPREFIX.
    pub const IA_PREFIX: u16 = 26;
}

/// Options in the order they stand, each a code and its data.
pub type Options = Vec<(u16, Vec<u8>)>;

/// The data of the first option with this code.
pub fn find(options: &[(u16, Vec<u8>)], code: u16) -> Option<&[u8]> {
    options
        .iter()
        .find(|(found, _)| *found == code)
        .map(|(_, data)| data.as_slice())
}

/// Writes options.
pub fn write_options(options: &[(u16, Vec<u8>)], out: &mut Vec<u8>) {
    for (code, data) in options {
        out.extend(code.to_be_bytes());
        out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(data);
    }
}

/// Reads options to the last octet.
///
/// # Errors
/// An option reaches past the end.
pub fn read_options(mut bytes: &[u8]) -> Result<Options> {
    let mut options = Vec::new();
    while !bytes.is_empty() {
        let (code, rest) = take_u16(bytes).context("an option without a code")?;
        let (len, rest) = take_u16(rest).context("an option without a length")?;
        let Some((data, rest)) = rest.split_at_checked(usize::from(len)) else {
            bail!("option {code} reaches past the end");
        };
        options.push((code, data.to_vec()));
        bytes = rest;
    }
    Ok(options)
}

fn take_u16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

/// A message between client and server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`].
    pub kind: u8,
    /// The transaction id.
    pub transaction_id: [u8; 3],
    /// Its options.
    pub options: Options,
}

/// A lease in a Reply or Advertise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// The address, or the first address of the delegated prefix.
    pub address: Ipv6Addr,
    /// 128 for an address.
    pub prefix_len: u8,
    /// The preferred lifetime in seconds.
    pub preferred_secs: u32,
    /// The valid lifetime in seconds.
    pub valid_secs: u32,
}

impl Message {
    /// The message as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend(self.transaction_id);
        write_options(&self.options, &mut out);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// It is too short, or its options are.
    pub fn decode(bytes: &[u8]) -> Result<Message> {
        let Some((&[kind, a, b, c], rest)) = bytes.split_first_chunk::<4>() else {
            bail!("{} octets are no message", bytes.len());
        };
        Ok(Message {
            kind,
            transaction_id: [a, b, c],
            options: read_options(rest)?,
        })
    }

    /// The data of the first option with this code.
    pub fn option(&self, code: u16) -> Option<&[u8]> {
        find(&self.options, code)
    }

    /// The addresses and delegated prefixes in all IAs.
    ///
    /// # Errors
    /// An IA is malformed.
    pub fn granted(&self) -> Result<Vec<Granted>> {
        let mut granted = Vec::new();
        for (code, data) in &self.options {
            if matches!(*code, code::IA_NA | code::IA_PD) {
                let inner = data.get(12..).context("an IA is too short")?;
                for (code, data) in read_options(inner)? {
                    if matches!(code, code::IA_ADDRESS | code::IA_PREFIX) {
                        granted.push(read_lease(code, &data)?);
                    }
                }
            }
        }
        Ok(granted)
    }

    /// The status code of the message itself, or of its first IA that has one; 0 is Success.
    ///
    /// # Errors
    /// An IA or a status code is malformed.
    pub fn status(&self) -> Result<u16> {
        if let Some(data) = self.option(code::STATUS_CODE) {
            return Ok(take_u16(data).context("a status code is too short")?.0);
        }
        for (code, data) in &self.options {
            if matches!(*code, code::IA_NA | code::IA_PD) {
                let inner = read_options(data.get(12..).context("an IA is too short")?)?;
                if let Some(data) = find(&inner, code::STATUS_CODE) {
                    return Ok(take_u16(data).context("a status code is too short")?.0);
                }
            }
        }
        Ok(0)
    }
}

fn read_lease(code: u16, data: &[u8]) -> Result<Granted> {
    let word = |at: usize| -> Result<u32> {
        let bytes = data.get(at..at + 4).context("a lease is too short")?;
        Ok(u32::from_be_bytes(bytes.try_into()?))
    };
    let (at, prefix_len, preferred_secs, valid_secs) = if code == code::IA_ADDRESS {
        (0, 128, word(16)?, word(20)?)
    } else {
        (
            9,
            *data.get(8).context("a prefix is too short")?,
            word(0)?,
            word(4)?,
        )
    };
    let octets: [u8; 16] = data
        .get(at..at + 16)
        .context("a lease is too short")?
        .try_into()?;
    Ok(Granted {
        address: Ipv6Addr::from(octets),
        prefix_len,
        preferred_secs,
        valid_secs,
    })
}

/// Puts a message into a Relay-forward with an Interface-Id (RFC 9915 §9).
pub fn relay_forward(link: Ipv6Addr, peer: Ipv6Addr, interface_id: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut out = vec![kind::RELAY_FORWARD, 0];
    out.extend(link.octets());
    out.extend(peer.octets());
    let options = [
        (code::INTERFACE_ID, interface_id.to_vec()),
        (code::RELAY_MESSAGE, inner.to_vec()),
    ];
    write_options(&options, &mut out);
    out
}

/// Takes the message out of a Relay-reply, which must carry back what the Relay-forward said.
///
/// # Errors
/// It is no Relay-reply, or a field was not copied, or there is no message in it.
pub fn relay_reply(
    bytes: &[u8],
    link: Ipv6Addr,
    peer: Ipv6Addr,
    interface_id: &[u8],
) -> Result<Vec<u8>> {
    let header = bytes.get(..34).context("a Relay-reply is too short")?;
    if header[0] != kind::RELAY_REPLY || header[1] != 0 {
        bail!(
            "type {} and hop count {} are no Relay-reply of ours",
            header[0],
            header[1]
        );
    }
    if header[2..18] != link.octets() || header[18..34] != peer.octets() {
        bail!("a Relay-reply with other addresses than the Relay-forward");
    }
    let options = read_options(&bytes[34..])?;
    if find(&options, code::INTERFACE_ID) != Some(interface_id) {
        bail!("the Interface-Id was not copied");
    }
    Ok(find(&options, code::RELAY_MESSAGE)
        .context("a Relay-reply without a message")?
        .to_vec())
}

/// One client of the lab: a DUID and an IAID.
#[derive(Debug, Clone)]
pub struct Client {
    /// The DUID: type 3, hardware type 1, and a MAC address made of the client's number.
    pub duid: Vec<u8>,
    /// The IAID of its only IA.
    pub iaid: u32,
}

impl Client {
    /// The client with this number.
    pub fn new(number: u32) -> Client {
        let mut duid = vec![0, 3, 0, 1, 0x52, 0x54];
        duid.extend(number.to_be_bytes());
        Client { duid, iaid: 1 }
    }

    /// A message of this client: its client id, an elapsed time, then `options`.
    pub fn message(&self, kind: u8, options: Options) -> Message {
        let n = self.duid.len();
        let mut all = vec![
            (code::CLIENT_ID, self.duid.clone()),
            (code::ELAPSED_TIME, vec![0, 0]),
        ];
        all.extend(options);
        Message {
            kind,
            transaction_id: [kind, self.duid[n - 2], self.duid[n - 1]],
            options: all,
        }
    }

    /// An IA_NA with these addresses.
    pub fn ia_na(&self, addresses: &[Ipv6Addr]) -> (u16, Vec<u8>) {
        let mut ia = self.iaid.to_be_bytes().to_vec();
        ia.extend([0; 8]);
        let lease = |address: &Ipv6Addr| {
            let mut data = address.octets().to_vec();
            data.extend([0; 8]);
            (code::IA_ADDRESS, data)
        };
        let leases: Options = addresses.iter().map(lease).collect();
        write_options(&leases, &mut ia);
        (code::IA_NA, ia)
    }

    /// A Solicit for an address.
    pub fn solicit(&self) -> Message {
        let oro = (code::OPTION_REQUEST, vec![0, 23, 0, 24]);
        self.message(kind::SOLICIT, vec![self.ia_na(&[]), oro])
    }

    /// A Solicit for an address and a delegated prefix.
    pub fn solicit_both(&self) -> Message {
        let mut pd = self.iaid.to_be_bytes().to_vec();
        pd.extend([0; 8]);
        self.message(kind::SOLICIT, vec![self.ia_na(&[]), (code::IA_PD, pd)])
    }

    /// The Request that follows `advertise`: all its IAs, as they stand.
    ///
    /// # Errors
    /// The Advertise has no server id.
    pub fn request(&self, advertise: &Message) -> Result<Message> {
        self.to_server(kind::REQUEST, advertise)
    }

    /// A message to the server that sent `last`, with the IAs of `last`.
    ///
    /// # Errors
    /// `last` has no server id.
    pub fn to_server(&self, kind: u8, last: &Message) -> Result<Message> {
        let server = last
            .option(code::SERVER_ID)
            .context("no server id")?
            .to_vec();
        let mut options = vec![(code::SERVER_ID, server)];
        let ias = last
            .options
            .iter()
            .filter(|(c, _)| matches!(*c, code::IA_NA | code::IA_PD));
        options.extend(ias.cloned());
        Ok(self.message(kind, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back() {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let client = Client::new(7);
        let message = client.message(kind::REQUEST, vec![client.ia_na(&[address])]);
        let back = Message::decode(&message.encode()).unwrap();
        assert_eq!(back, message);
        assert_eq!(back.granted().unwrap()[0].address, address);
        assert_eq!(back.status().unwrap(), 0);
    }

    #[test]
    fn a_relay_reply_must_carry_back_what_the_relay_said() {
        let link: Ipv6Addr = "2001:db8:2::1".parse().unwrap();
        let peer: Ipv6Addr = "fe80::1".parse().unwrap();
        let mut reply = relay_forward(link, peer, b"down0", b"abcd");
        reply[0] = kind::RELAY_REPLY;
        assert_eq!(relay_reply(&reply, link, peer, b"down0").unwrap(), b"abcd");
        assert!(relay_reply(&reply, link, peer, b"down1").is_err());
        assert!(relay_reply(&reply, peer, peer, b"down0").is_err());
    }

    #[test]
    fn an_option_past_the_end_is_an_error() {
        assert!(read_options(&[0, 1, 0, 5, 1]).is_err());
        assert!(read_options(&[0, 1, 0]).is_err());
    }
}
