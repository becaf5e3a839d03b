//! DHCPv6 messages as clients write and read them.

use lease::Lease;
use wire::{
    Duid, IaIndex, IaKind, Iaid, Message, MessageIndex, MessageType, NoRoom, OptionCode,
    ReplyWriter, StatusCode,
};

/// A message to servers.
pub struct ToServers<'a> {
    pub msg_type: MessageType,
    pub transaction_id: [u8; 3],
    pub duid: &'a [u8],
    pub server: Option<&'a [u8]>,
    /// Each IA with the leases it names.
    pub ias: &'a [(IaKind, Vec<Lease>)],
}

impl ToServers<'_> {
    pub fn write(&self) -> Vec<u8> {
        let mut buffer = [0; 1_024];
        let len = self.put(&mut buffer).expect("room for a few IAs");
        buffer[..len].to_vec()
    }

    fn put(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = ReplyWriter::begin(buffer, self.msg_type, self.transaction_id)?;
        writer.option(OptionCode::CLIENTID, self.duid)?;
        if let Some(server) = self.server {
            writer.option(OptionCode::SERVERID, server)?;
        }
        for (kind, leases) in self.ias {
            let open = writer.open_ia(*kind, iaid(*kind), 0, 0)?;
            for lease in leases {
                match kind {
                    IaKind::Na => writer.ia_address(lease.addr, 0, 0)?,
                    IaKind::Pd => writer.ia_prefix(lease.addr, lease.len, 0, 0)?,
                }
            }
            writer.close(open)?;
        }
        writer.finish()
    }
}

pub fn iaid(kind: IaKind) -> Iaid {
    Iaid(match kind {
        IaKind::Na => 1,
        IaKind::Pd => 2,
    })
}

/// A server's message, as far as a client looks at it.
#[derive(Debug)]
pub struct FromServer {
    pub msg_type: MessageType,
    pub transaction_id: [u8; 3],
    pub server: Vec<u8>,
    /// Preferred and valid lifetime of each lease, seconds.
    pub leases: Vec<(Lease, u32, u32)>,
    pub has_no_binding: bool,
    pub is_not_on_link: bool,
}

impl FromServer {
    pub fn read(octets: &[u8]) -> Self {
        let message = Message::parse(octets, 0, OptionCode(0)).expect("a server's message");
        let index = MessageIndex::new(&message).expect("a server's message");
        let mut read = Self {
            msg_type: message.msg_type,
            transaction_id: message.transaction_id,
            server: index.server_id.map_or(&[][..], Duid::octets).to_vec(),
            leases: Vec::new(),
            has_no_binding: false,
            is_not_on_link: message.options.filter_map(Result::ok).any(|option| {
                option.code == OptionCode::STATUS_CODE
                    && wire::Status::parse(&option)
                        .is_ok_and(|status| status.code == StatusCode::NOT_ON_LINK)
            }),
        };
        for ia in &index.ias {
            let held = IaIndex::new(ia).expect("an index has read it");
            let addresses = held.addresses.iter().map(|a| {
                let lease = Lease {
                    addr: a.address,
                    len: 128,
                };
                (lease, a.preferred, a.valid)
            });
            let prefixes = held.prefixes.iter().map(|p| {
                let lease = Lease {
                    addr: p.prefix,
                    len: p.prefix_len,
                };
                (lease, p.preferred, p.valid)
            });
            read.leases.extend(addresses.chain(prefixes));
            let code = held.status.map(|status| status.code);
            read.has_no_binding |= code == Some(StatusCode::NO_BINDING);
            read.is_not_on_link |= code == Some(StatusCode::NOT_ON_LINK);
        }
        read
    }
}
