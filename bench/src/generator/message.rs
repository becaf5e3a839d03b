//! Client messages (RFC 9915 §18.2), written in place.

use wire::{IaKind, Iaid, MessageType, NoRoom, OptionCode, ReplyWriter};

use super::client::{Client, Numbering};

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// An address.
    pub na: bool,
    /// A delegated prefix.
    pub pd: bool,
}

/// A prefix or an address as a client names it: the bits, and the length of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leases {
    /// The address, or 0.
    pub address: u128,
    /// The first address of the prefix, or 0.
    pub prefix: u128,
    /// The length of the prefix.
    pub prefix_len: u8,
}

/// Everything that a message is made of besides its client.
#[derive(Clone, Copy, Debug)]
pub struct Content<'s> {
    /// What it is.
    pub msg_type: MessageType,
    /// Tells apart a client's messages that are no retransmissions of each other.
    pub message: u32,
    /// What it asks for.
    pub wants: Wants,
    /// What it names in its IAs; none in a Solicit.
    pub leases: Option<Leases>,
    /// Whom it is for, unless anybody.
    pub server_duid: Option<&'s [u8]>,
    /// A Solicit that would take a Reply at once.
    pub rapid_commit: bool,
    /// Hundredths of a second since the client began.
    pub elapsed_hundredths: u16,
}

/// Options asked for in every message that may ask: DNS servers and search list.
const ORO: [u8; 4] = [0, 23, 0, 24];

impl Content<'_> {
    /// Writes the message of `client` into `buffer`; its length.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn write(
        &self,
        buffer: &mut [u8],
        numbering: Numbering,
        client: Client,
    ) -> Result<usize, NoRoom> {
        let id = numbering.transaction_id(client, self.message);
        let mut writer = ReplyWriter::begin(buffer, self.msg_type, id)?;
        writer.option(OptionCode::CLIENTID, &numbering.duid(client))?;
        if let Some(server_duid) = self.server_duid {
            writer.option(OptionCode::SERVERID, server_duid)?;
        }
        writer.option(
            OptionCode::ELAPSED_TIME,
            &self.elapsed_hundredths.to_be_bytes(),
        )?;
        if self.msg_type != MessageType::RELEASE {
            writer.option(OptionCode::ORO, &ORO)?;
        }
        if self.rapid_commit {
            writer.option(OptionCode::RAPID_COMMIT, &[])?;
        }
        let iaid = Iaid(numbering.iaid(client));
        if self.wants.na {
            let ia = writer.open_ia(IaKind::Na, iaid, 0, 0)?;
            if let Some(leases) = self.leases {
                writer.ia_address(leases.address, 0, 0)?;
            }
            writer.close(ia)?;
        }
        if self.wants.pd {
            let ia = writer.open_ia(IaKind::Pd, iaid, 0, 0)?;
            if let Some(leases) = self.leases {
                writer.ia_prefix(leases.prefix, leases.prefix_len, 0, 0)?;
            }
            writer.close(ia)?;
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Message, MessageIndex};

    const NUMBERING: Numbering = Numbering { salt: 1, relays: 0 };

    fn written(content: &Content<'_>) -> Vec<u8> {
        let mut buffer = vec![0; 400];
        let len = content.write(&mut buffer, NUMBERING, Client(9)).unwrap();
        buffer.truncate(len);
        buffer
    }

    const SOLICIT: Content<'_> = Content {
        msg_type: MessageType::SOLICIT,
        message: 0,
        wants: Wants { na: true, pd: true },
        leases: None,
        server_duid: None,
        rapid_commit: true,
        elapsed_hundredths: 250,
    };

    #[test]
    fn a_solicit_reads_back_as_what_it_is() {
        let octets = written(&SOLICIT);
        let message = Message::parse(&octets, 0, OptionCode(0)).unwrap();
        assert_eq!(
            message.transaction_id,
            NUMBERING.transaction_id(Client(9), 0)
        );
        let index = MessageIndex::new(&message).unwrap();
        assert!(index.rapid_commit && index.has_oro && index.server_id.is_none());
        assert_eq!(index.elapsed_hundredths, Some(250));
        assert_eq!(index.ias.len(), 2);
    }

    #[test]
    fn a_request_names_its_leases_and_its_server() {
        let leases = Leases {
            address: 5,
            prefix: 1 << 100,
            prefix_len: 56,
        };
        let octets = written(&Content {
            msg_type: MessageType::REQUEST,
            message: 1,
            leases: Some(leases),
            server_duid: Some(&[0, 3, 9]),
            rapid_commit: false,
            ..SOLICIT
        });
        let message = Message::parse(&octets, 0, OptionCode(0)).unwrap();
        let index = MessageIndex::new(&message).unwrap();
        assert_eq!(index.server_id.unwrap().octets(), [0, 3, 9]);
        let named = wire::IaIndex::new(&index.ias[0]).unwrap();
        assert_eq!(named.addresses[0].address, 5);
        let named = wire::IaIndex::new(&index.ias[1]).unwrap();
        assert_eq!(
            (named.prefixes[0].prefix, named.prefixes[0].prefix_len),
            (1 << 100, 56)
        );
    }

    #[test]
    fn no_room_is_an_error_and_no_panic() {
        for room in 0..60 {
            assert_eq!(
                SOLICIT.write(&mut vec![0; room], NUMBERING, Client(1)),
                Err(NoRoom)
            );
        }
    }
}
