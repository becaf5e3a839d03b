//! BNDUPD and BNDREPLY: one client's bindings, or one prefix that no client has
//! (RFC 8156 §5.3.1, §5.3.2, §7.4, §7.6).

use crate::code::OptionCode;
use crate::duid::{Duid, IaKind, Iaid};
use crate::failover::lease_options::{LeaseOptions, rejection};
use crate::failover::message::{FailoverMessage, MessageError, status};
use crate::failover::once;
use crate::failover::subscriber;
use crate::failover::writer::FrameWriter;
use crate::malformed::{Fault, Malformed};
use crate::option::{Options, RawOption};
use crate::options::ia::{Ia, IaAddress, IaPrefix};
use crate::options::identity::duid;
use crate::options::scalar::number_32;
use crate::options::status::Status;
use crate::reply::NoRoom;
use crate::subscriber::SubscriberIa;

/// The one container of a BNDUPD or BNDREPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container<'a> {
    /// OPTION_CLIENT_DATA.
    Client(ClientData<'a>),
    /// A top-level OPTION_IAPREFIX.
    Prefix(PrefixData<'a>),
}

/// One client's bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientData<'a> {
    /// All but the leases.
    pub client: Client<'a>,
    /// There is an IA_TA, which is obsolete (RFC 9915 Appendix A): its leases are not among
    /// [`leases`](Self::leases).
    pub has_ia_ta: bool,
    /// All options of the container; well formed down to the options of each lease.
    options: Options<'a>,
}

/// What a client's bindings have in common. `None`: the option is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client<'a> {
    /// Accepted or rejected as a whole; only in BNDREPLY.
    pub status: Option<Status<'a>>,
    /// Who the client is; must be there (RFC 8156 §7.4, §7.6).
    pub client_id: Option<Duid<'a>>,
    /// When the container was filled, absolute; must be there in BNDUPD.
    pub base_time: Option<u32>,
    /// Which VPN the leases are in (RFC 6607), uninterpreted; none means the default one.
    pub vss: Option<&'a [u8]>,
    /// The key that authenticates Reconfigure messages to the client.
    pub reconfigure_data: Option<ReconfigureData<'a>>,
    /// Data of OPTION_LQ_RELAY_DATA (RFC 5007 §4.1.2.4), uninterpreted.
    pub relay_data: Option<&'a [u8]>,
    /// Data of the first OPTION_VENDOR_OPTS (RFC 9915 §21.17) that names no subscriber,
    /// uninterpreted.
    pub vendor_opts: Option<&'a [u8]>,
    /// The subscriber whose IA it is, if the client is not what the binding is keyed by.
    pub subscriber: Option<SubscriberIa<'a>>,
}

/// OPTION_F_RECONFIGURE_DATA (RFC 8156 §5.5.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconfigureData<'a> {
    /// When the key was made, absolute.
    pub time: u32,
    /// The key.
    pub key: &'a [u8],
}

/// A lease with what it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingLease<'a> {
    /// The IA it stands in.
    pub ia: Ia<'a>,
    /// Status of that IA, which counts for all its leases (RFC 8156 §7.7).
    pub ia_status: Option<Status<'a>>,
    /// What is leased.
    pub leased: Leased<'a>,
    /// What is said of it.
    pub options: LeaseOptions<'a>,
}

/// An address or prefix in its IA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased<'a> {
    /// In an IA_NA.
    Address(IaAddress<'a>),
    /// In an IA_PD.
    Prefix(IaPrefix<'a>),
}

/// A delegable prefix that no client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixData<'a> {
    /// The prefix; its lifetimes have no meaning.
    pub prefix: IaPrefix<'a>,
    /// What is said of it.
    pub options: LeaseOptions<'a>,
}

impl<'a> Container<'a> {
    pub(super) fn parse(message: &FailoverMessage<'a>) -> Result<Self, MessageError> {
        let msg_type = message.msg_type;
        let mut found = None;
        for option in message.options {
            let malformed = |malformed| MessageError::Malformed {
                msg_type,
                malformed,
            };
            let option = option.map_err(malformed)?;
            let container = match option.code {
                OptionCode::CLIENT_DATA => ClientData::parse(&option)
                    .map(Self::Client)
                    .map_err(malformed)?,
                OptionCode::IAPREFIX => PrefixData::parse(&option)
                    .map(Self::Prefix)
                    .map_err(malformed)?,
                _ => continue,
            };
            if found.is_some() {
                let offset = option.offset;
                return Err(MessageError::SecondContainer { msg_type, offset });
            }
            found = Some(container);
        }
        found.ok_or(MessageError::NoContainer(msg_type))
    }

    /// Writes the option.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Client(data) => data.put(frame),
            Self::Prefix(data) => {
                let prefix = &data.prefix;
                let lifetimes = (prefix.preferred, prefix.valid);
                frame.prefix(prefix.prefix, prefix.prefix_len, lifetimes, &data.options)
            }
        }
    }
}

impl<'a> ClientData<'a> {
    fn parse(container: &RawOption<'a>) -> Result<Self, Malformed> {
        let options = container.nested(0)?;
        let mut client = Client::default();
        let mut has_ia_ta = false;
        for option in options {
            let option = option?;
            match option.code {
                OptionCode::STATUS_CODE => {
                    once(&mut client.status, &option, Status::parse(&option)?)?;
                }
                OptionCode::CLIENTID => once(&mut client.client_id, &option, duid(&option)?)?,
                OptionCode::LQ_BASE_TIME => {
                    once(&mut client.base_time, &option, number_32(&option)?)?;
                }
                OptionCode::VSS => once(&mut client.vss, &option, option.data)?,
                OptionCode::F_RECONFIGURE_DATA => {
                    let data = ReconfigureData::parse(&option)?;
                    once(&mut client.reconfigure_data, &option, data)?;
                }
                OptionCode::LQ_RELAY_DATA => once(&mut client.relay_data, &option, option.data)?,
                OptionCode::VENDOR_OPTS => match subscriber::parse(&option)? {
                    Some(value) => once(&mut client.subscriber, &option, value)?,
                    None => {
                        client.vendor_opts.get_or_insert(option.data);
                    }
                },
                OptionCode::IA_TA => has_ia_ta = true,
                OptionCode::IA_NA | OptionCode::IA_PD => {
                    for lease in IaLeases::parse(&option)? {
                        lease?;
                    }
                }
                _ => {}
            }
        }
        Ok(Self {
            client,
            has_ia_ta,
            options,
        })
    }

    /// The leases of all IA_NA and IA_PD, in the order of the wire.
    pub fn leases(&self) -> impl Iterator<Item = BindingLease<'a>> + use<'a> {
        self.ias().flat_map(|leases| leases.map_while(Result::ok))
    }

    /// The error with which the whole container was rejected (RFC 8156 §7.6).
    pub fn rejection(&self) -> Option<Status<'a>> {
        rejection(self.client.status)
    }

    fn ias(&self) -> impl Iterator<Item = IaLeases<'a>> + use<'a> {
        let ias = self.options.map_while(Result::ok);
        let ias = ias.filter(|o| o.code == OptionCode::IA_NA || o.code == OptionCode::IA_PD);
        ias.map_while(|option| IaLeases::parse(&option).ok())
    }

    fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        let container = frame.open_client_data(&self.client)?;
        for leases in self.ias() {
            let ia = leases.ia;
            let open = frame.open_ia(ia.kind, ia.iaid, ia.t1, ia.t2)?;
            if let Some(status) = &leases.status {
                frame.status(status)?;
            }
            for lease in leases.map_while(Result::ok) {
                match lease.leased {
                    Leased::Address(a) => {
                        frame.address(a.address, (a.preferred, a.valid), &lease.options)?;
                    }
                    Leased::Prefix(p) => {
                        let lifetimes = (p.preferred, p.valid);
                        frame.prefix(p.prefix, p.prefix_len, lifetimes, &lease.options)?;
                    }
                }
            }
            frame.close(open)?;
        }
        frame.close(container)
    }
}

impl<'a> ReconfigureData<'a> {
    fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        match option.data.split_first_chunk() {
            Some((time, key)) => Ok(Self {
                time: u32::from_be_bytes(*time),
                key,
            }),
            None => Err(option.malformed(Fault::Length)),
        }
    }
}

impl<'a> BindingLease<'a> {
    /// Kind of the IA.
    pub fn kind(&self) -> IaKind {
        self.ia.kind
    }

    /// Which of the client's IAs.
    pub fn iaid(&self) -> Iaid {
        self.ia.iaid
    }

    /// The error with which the lease or its IA was rejected (RFC 8156 §7.6, §7.7).
    pub fn rejection(&self) -> Option<Status<'a>> {
        rejection(self.ia_status).or_else(|| self.options.rejection())
    }
}

impl<'a> PrefixData<'a> {
    fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let prefix = IaPrefix::parse(option)?;
        Ok(Self {
            prefix,
            options: LeaseOptions::parse(prefix.options)?,
        })
    }
}

/// The leases of one IA; ends with the first malformed one.
struct IaLeases<'a> {
    ia: Ia<'a>,
    status: Option<Status<'a>>,
    rest: Options<'a>,
}

impl<'a> IaLeases<'a> {
    fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let ia = Ia::parse(option)?;
        Ok(Self {
            ia,
            status: status(ia.options)?,
            rest: ia.options,
        })
    }

    fn lease(&self, option: &RawOption<'a>) -> Result<Option<BindingLease<'a>>, Malformed> {
        let (leased, options) = match (self.ia.kind, option.code) {
            (IaKind::Na, OptionCode::IAADDR) => {
                let address = IaAddress::parse(option)?;
                (Leased::Address(address), address.options)
            }
            (IaKind::Pd, OptionCode::IAPREFIX) => {
                let prefix = IaPrefix::parse(option)?;
                (Leased::Prefix(prefix), prefix.options)
            }
            _ => return Ok(None),
        };
        Ok(Some(BindingLease {
            ia: self.ia,
            ia_status: self.status,
            leased,
            options: LeaseOptions::parse(options)?,
        }))
    }
}

impl<'a> Iterator for IaLeases<'a> {
    type Item = Result<BindingLease<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let option = match self.rest.next()? {
                Ok(option) => option,
                Err(malformed) => return Some(Err(malformed)),
            };
            match self.lease(&option) {
                Ok(Some(lease)) => return Some(Ok(lease)),
                Ok(None) => {}
                Err(malformed) => {
                    self.rest = Options::default();
                    return Some(Err(malformed));
                }
            }
        }
    }
}
