//! OPTION_F_DNS_REMOVAL_INFO (RFC 8156 §5.5.3).

use crate::code::OptionCode;
use crate::failover::once;
use crate::failover::values::DnsFlags;
use crate::failover::writer::FrameWriter;
use crate::malformed::{Fault, Malformed};
use crate::option::RawOption;
use crate::options::dns::{Name, names};
use crate::reply::NoRoom;

/// What it takes to remove a name that the partner put in the DNS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsRemovalInfo<'a> {
    /// The name as it was put in the DNS.
    pub host_name: Option<Name<'a>>,
    /// The zone it was put in.
    pub zone_name: Option<Name<'a>>,
    /// How the name came about, and which zones hold it.
    pub flags: Option<DnsFlags>,
}

impl<'a> DnsRemovalInfo<'a> {
    pub(super) fn parse(container: &RawOption<'a>) -> Result<Self, Malformed> {
        let mut info = Self::default();
        for option in container.nested(0)? {
            let option = option?;
            match option.code {
                OptionCode::F_DNS_HOST_NAME => {
                    once(&mut info.host_name, &option, name(&option)?)?;
                }
                OptionCode::F_DNS_ZONE_NAME => {
                    once(&mut info.zone_name, &option, name(&option)?)?;
                }
                OptionCode::F_DNS_FLAGS => {
                    once(&mut info.flags, &option, DnsFlags::parse(&option)?)?;
                }
                _ => {}
            }
        }
        Ok(info)
    }

    pub(super) fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        let open = frame.open(OptionCode::F_DNS_REMOVAL_INFO)?;
        frame.maybe(
            OptionCode::F_DNS_HOST_NAME,
            self.host_name.map(Name::octets),
        )?;
        frame.maybe(
            OptionCode::F_DNS_ZONE_NAME,
            self.zone_name.map(Name::octets),
        )?;
        frame.maybe(
            OptionCode::F_DNS_FLAGS,
            self.flags.map(|flags| flags.0.to_be_bytes()),
        )?;
        frame.close(open)
    }
}

/// The one name that is the data of `option`.
fn name<'a>(option: &RawOption<'a>) -> Result<Name<'a>, Malformed> {
    let mut names = names(option);
    match (names.next(), names.next()) {
        (Some(name), None) => name,
        _ => Err(option.malformed(Fault::DomainName)),
    }
}
