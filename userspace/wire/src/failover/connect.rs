//! CONNECT and CONNECTREPLY (RFC 8156 §6.1.1, §6.1.2).

use crate::code::OptionCode;
use crate::failover::once;
use crate::failover::values::{ConnectFlags, ProtocolVersion};
use crate::failover::writer::FrameWriter;
use crate::malformed::Malformed;
use crate::option::Options;
use crate::options::scalar::number_32;
use crate::options::status::Status;
use crate::reply::NoRoom;

/// What a server says of itself when a connection is set up. `None`: the option is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Why the connection is rejected; only in CONNECTREPLY.
    pub status: Option<Status<'a>>,
    /// Which version of the protocol the sender speaks.
    pub protocol_version: Option<ProtocolVersion>,
    /// Maximum Client Lead Time in seconds.
    pub mclt_secs: Option<u32>,
    /// Seconds of silence after which the sender gives the connection up.
    pub keepalive_secs: Option<u32>,
    /// BNDUPDs that the sender takes off the connection without having answered them.
    pub max_unacked_bndupd: Option<u32>,
    /// Which relationship is meant; only in CONNECT. Should be UTF-8; not checked.
    pub relationship_name: Option<&'a [u8]>,
    /// What the sender's pools are like.
    pub flags: Option<ConnectFlags>,
    /// Data of the first OPTION_VENDOR_OPTS, enterprise-number first.
    pub vendor_opts: Option<&'a [u8]>,
}

impl<'a> Connect<'a> {
    pub(super) fn parse(options: Options<'a>) -> Result<Self, Malformed> {
        let mut connect = Self::default();
        for option in options {
            let option = option?;
            match option.code {
                OptionCode::STATUS_CODE => {
                    once(&mut connect.status, &option, Status::parse(&option)?)?;
                }
                OptionCode::F_PROTOCOL_VERSION => {
                    let version = ProtocolVersion::parse(&option)?;
                    once(&mut connect.protocol_version, &option, version)?;
                }
                OptionCode::F_MCLT => {
                    once(&mut connect.mclt_secs, &option, number_32(&option)?)?;
                }
                OptionCode::F_KEEPALIVE_TIME => {
                    once(&mut connect.keepalive_secs, &option, number_32(&option)?)?;
                }
                OptionCode::F_MAX_UNACKED_BNDUPD => {
                    once(
                        &mut connect.max_unacked_bndupd,
                        &option,
                        number_32(&option)?,
                    )?;
                }
                OptionCode::F_RELATIONSHIP_NAME => {
                    once(&mut connect.relationship_name, &option, option.data)?;
                }
                OptionCode::F_CONNECT_FLAGS => {
                    once(&mut connect.flags, &option, ConnectFlags::parse(&option)?)?;
                }
                OptionCode::VENDOR_OPTS => {
                    // One for each enterprise number (RFC 9915 §21.17).
                    connect.vendor_opts.get_or_insert(option.data);
                }
                _ => {}
            }
        }
        Ok(connect)
    }

    /// Writes the options.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        if let Some(status) = &self.status {
            frame.status(status)?;
        }
        frame.maybe(
            OptionCode::F_PROTOCOL_VERSION,
            self.protocol_version.map(ProtocolVersion::octets),
        )?;
        frame.maybe_number(OptionCode::F_MCLT, self.mclt_secs)?;
        frame.maybe_number(OptionCode::F_KEEPALIVE_TIME, self.keepalive_secs)?;
        frame.maybe_number(OptionCode::F_MAX_UNACKED_BNDUPD, self.max_unacked_bndupd)?;
        frame.maybe(OptionCode::F_RELATIONSHIP_NAME, self.relationship_name)?;
        frame.maybe(
            OptionCode::F_CONNECT_FLAGS,
            self.flags.map(|flags| flags.0.to_be_bytes()),
        )?;
        frame.maybe(OptionCode::VENDOR_OPTS, self.vendor_opts)
    }
}
