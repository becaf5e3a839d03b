//! What a server sent, read once and judged: every reply is either an answer or a counted fault.

use wire::options::status::Status;
use wire::{Ia, IaIndex, Malformed, Message, MessageType, OptionCode, StatusCode};

use super::client::{Client, Numbering};
use super::message::Leases;

/// Why a reply is not the answer that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// Not a DHCPv6 message, or one with an option that cannot be read.
    Malformed,
    /// Its relay layers are not those that were sent.
    WrongRelay,
    /// No Client Identifier, or that of somebody else.
    ForeignClient,
    /// One of our clients, but not the transaction that it is in.
    ForeignTransaction,
    /// A type of message that nobody waits for.
    UnexpectedType,
    /// An answer to what was answered before.
    Duplicate,
    /// No Server Identifier, or another one than before.
    OtherServer,
    /// A status other than Success, of the message or of an IA.
    WrongStatus,
    /// An IA without a lease, or a lease without lifetime.
    NoLease,
    /// Another lease than the one that the client has or was offered.
    WrongLease,
    /// The right answer, but too late to count.
    Late,
}

impl Fault {
    /// All, in the order of their counters.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::WrongRelay,
        Self::ForeignClient,
        Self::ForeignTransaction,
        Self::UnexpectedType,
        Self::Duplicate,
        Self::OtherServer,
        Self::WrongStatus,
        Self::NoLease,
        Self::WrongLease,
        Self::Late,
    ];

    /// Its name in tables and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::WrongRelay => "wrong-relay",
            Self::ForeignClient => "foreign-client",
            Self::ForeignTransaction => "foreign-transaction",
            Self::UnexpectedType => "unexpected-type",
            Self::Duplicate => "duplicate",
            Self::OtherServer => "other-server",
            Self::WrongStatus => "wrong-status",
            Self::NoLease => "no-lease",
            Self::WrongLease => "wrong-lease",
            Self::Late => "late",
        }
    }
}

/// A well-formed reply to one of our clients. Whether it is the one waited for is the caller's to
/// judge.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'p> {
    /// Advertise or Reply, as it should be.
    pub msg_type: MessageType,
    /// As the client chose it.
    pub transaction_id: [u8; 3],
    /// Whose it is.
    pub client: Client,
    /// Server Identifier; empty without one.
    pub server_duid: &'p [u8],
    /// What the IAs hold; zero for what they do not.
    pub leases: Leases,
    /// Every status is Success or absent.
    pub success: bool,
}

impl<'p> Answer<'p> {
    /// Reads a message without its relay layers.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::ForeignClient`].
    pub fn parse(octets: &'p [u8], numbering: Numbering) -> Result<Self, Fault> {
        let message = Message::parse(octets, 0, OptionCode(0)).map_err(|_| Fault::Malformed)?;
        let mut answer = Self {
            msg_type: message.msg_type,
            transaction_id: message.transaction_id,
            client: Client(0),
            server_duid: &[],
            leases: Leases::default(),
            success: true,
        };
        let mut client = None;
        answer
            .read_options(&message, |duid| client = numbering.client(duid))
            .map_err(|_| Fault::Malformed)?;
        answer.client = client.ok_or(Fault::ForeignClient)?;
        Ok(answer)
    }

    fn read_options(
        &mut self,
        message: &Message<'p>,
        mut client_id: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        for option in message.options {
            let option = option?;
            match option.code {
                OptionCode::CLIENTID => client_id(option.data),
                OptionCode::SERVERID => self.server_duid = option.data,
                OptionCode::STATUS_CODE => self.judge(Status::parse(&option)?),
                OptionCode::IA_NA | OptionCode::IA_PD => self.read_ia(&Ia::parse(&option)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_ia(&mut self, ia: &Ia<'p>) -> Result<(), Malformed> {
        let index = IaIndex::new(ia)?;
        if let Some(address) = index.addresses.iter().find(|address| address.valid > 0) {
            self.leases.address = address.address;
        }
        if let Some(prefix) = index.prefixes.iter().find(|prefix| prefix.valid > 0) {
            self.leases.prefix = prefix.prefix;
            self.leases.prefix_len = prefix.prefix_len;
        }
        if let Some(status) = index.status {
            self.judge(status);
        }
        Ok(())
    }

    fn judge(&mut self, status: Status<'_>) {
        self.success &= status.code == StatusCode::SUCCESS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{IaKind, Iaid, ReplyWriter};

    const NUMBERING: Numbering = Numbering { salt: 1, relays: 0 };

    fn reply(write: impl FnOnce(&mut ReplyWriter<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 600];
        let mut writer = ReplyWriter::begin(&mut buffer, MessageType::REPLY, [1, 2, 3]).unwrap();
        write(&mut writer);
        let len = writer.finish().unwrap();
        buffer.truncate(len);
        buffer
    }

    fn identify(writer: &mut ReplyWriter<'_>) {
        writer
            .option(OptionCode::CLIENTID, &NUMBERING.duid(Client(5)))
            .unwrap();
        writer.option(OptionCode::SERVERID, &[0, 3, 7]).unwrap();
    }

    #[test]
    fn an_answer_tells_its_client_server_and_leases() {
        let octets = reply(|writer| {
            identify(writer);
            let ia = writer.open_ia(IaKind::Na, Iaid(5), 10, 16).unwrap();
            writer.ia_address(77, 20, 30).unwrap();
            writer.close(ia).unwrap();
            let ia = writer.open_ia(IaKind::Pd, Iaid(5), 10, 16).unwrap();
            writer.ia_prefix(1 << 120, 48, 20, 30).unwrap();
            writer.close(ia).unwrap();
        });
        let answer = Answer::parse(&octets, NUMBERING).unwrap();
        assert_eq!(
            (answer.msg_type, answer.transaction_id),
            (MessageType::REPLY, [1, 2, 3])
        );
        assert_eq!(
            (answer.client, answer.server_duid),
            (Client(5), &[0, 3, 7][..])
        );
        let leases = Leases {
            address: 77,
            prefix: 1 << 120,
            prefix_len: 48,
        };
        assert_eq!(answer.leases, leases);
        assert!(answer.success);
    }

    #[test]
    fn a_status_in_message_or_ia_is_no_success() {
        let in_ia = reply(|writer| {
            identify(writer);
            let ia = writer.open_ia(IaKind::Na, Iaid(5), 0, 0).unwrap();
            writer.status(StatusCode::NO_ADDRS_AVAIL, "none").unwrap();
            writer.close(ia).unwrap();
        });
        let in_message = reply(|writer| {
            identify(writer);
            writer.status(StatusCode::UNSPEC_FAIL, "").unwrap();
        });
        for octets in [in_ia, in_message] {
            let answer = Answer::parse(&octets, NUMBERING).unwrap();
            assert!(!answer.success);
            assert_eq!(answer.leases, Leases::default());
        }
    }

    #[test]
    fn a_lease_without_lifetime_is_none() {
        let octets = reply(|writer| {
            identify(writer);
            let ia = writer.open_ia(IaKind::Na, Iaid(5), 0, 0).unwrap();
            writer.ia_address(77, 0, 0).unwrap();
            writer.close(ia).unwrap();
        });
        assert_eq!(Answer::parse(&octets, NUMBERING).unwrap().leases.address, 0);
    }

    #[test]
    fn nonsense_and_other_peoples_replies_are_told_apart() {
        let foreign = reply(|writer| writer.option(OptionCode::CLIENTID, &[0, 1, 2]).unwrap());
        let fault = |octets: &[u8]| Answer::parse(octets, NUMBERING).unwrap_err();
        assert_eq!(fault(&foreign), Fault::ForeignClient);
        assert_eq!(fault(&reply(|_| {})), Fault::ForeignClient);
        for nonsense in [
            &b""[..],
            &[7],
            &[7, 1, 2, 3, 0, 1, 0, 9, 1],
            &[7, 1, 2, 3, 0, 3, 0, 1, 1],
        ] {
            assert_eq!(fault(nonsense), Fault::Malformed, "{nonsense:?}");
        }
    }

    #[test]
    fn counters_are_in_the_order_of_the_list() {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
        }
    }
}
