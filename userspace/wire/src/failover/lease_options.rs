//! The options of one lease in a BNDUPD or BNDREPLY (RFC 8156 §7.4, §7.6).

use crate::code::{OptionCode, StatusCode};
use crate::failover::dns::DnsRemovalInfo;
use crate::failover::once;
use crate::failover::writer::FrameWriter;
use crate::malformed::Malformed;
use crate::option::Options;
use crate::options::scalar::{number_32, octet};
use crate::options::status::Status;
use crate::reply::NoRoom;

/// What stands in an IAADDR or IAPREFIX. `None`: the option is not there. Times are absolute
/// unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseOptions<'a> {
    /// Accepted or rejected; only in BNDREPLY.
    pub status: Option<Status<'a>>,
    /// Which VPN the lease is in, uninterpreted; only in a top-level IAPREFIX.
    pub vss: Option<&'a [u8]>,
    /// When the container was filled; only in a top-level IAPREFIX.
    pub base_time: Option<u32>,
    /// Value of RFC 8156 §5.5.1; any number.
    pub binding_status: Option<u8>,
    /// When the binding-status took its present value.
    pub start_time_of_state: Option<u32>,
    /// When the present binding-status ends.
    pub state_expiration_time: Option<u32>,
    /// Seconds from the client's last transaction to the container's base-time.
    pub clt_time_secs_ago: Option<u32>,
    /// When the receiver may consider the lease reusable.
    pub partner_lifetime: Option<u32>,
    /// Echo of the partner-lifetime received.
    pub partner_lifetime_sent: Option<u32>,
    /// When the receiver last heard the client, as it had told the sender.
    pub partner_raw_clt_time: Option<u32>,
    /// The greatest partner-lifetime that the sender has acknowledged.
    pub expiration_time: Option<u32>,
    /// Client FQDN (RFC 4704), uninterpreted.
    pub client_fqdn: Option<&'a [u8]>,
    /// What it takes to remove the client's name from the DNS.
    pub dns_removal_info: Option<DnsRemovalInfo<'a>>,
}

impl<'a> LeaseOptions<'a> {
    pub(super) fn parse(options: Options<'a>) -> Result<Self, Malformed> {
        let mut lease = Self::default();
        for option in options {
            let option = option?;
            let number = match option.code {
                OptionCode::LQ_BASE_TIME => &mut lease.base_time,
                OptionCode::F_START_TIME_OF_STATE => &mut lease.start_time_of_state,
                OptionCode::F_STATE_EXPIRATION_TIME => &mut lease.state_expiration_time,
                OptionCode::CLT_TIME => &mut lease.clt_time_secs_ago,
                OptionCode::F_PARTNER_LIFETIME => &mut lease.partner_lifetime,
                OptionCode::F_PARTNER_LIFETIME_SENT => &mut lease.partner_lifetime_sent,
                OptionCode::F_PARTNER_RAW_CLT_TIME => &mut lease.partner_raw_clt_time,
                OptionCode::F_EXPIRATION_TIME => &mut lease.expiration_time,
                OptionCode::F_BINDING_STATUS => {
                    once(&mut lease.binding_status, &option, octet(&option)?)?;
                    continue;
                }
                OptionCode::STATUS_CODE => {
                    once(&mut lease.status, &option, Status::parse(&option)?)?;
                    continue;
                }
                OptionCode::VSS => {
                    once(&mut lease.vss, &option, option.data)?;
                    continue;
                }
                OptionCode::CLIENT_FQDN => {
                    once(&mut lease.client_fqdn, &option, option.data)?;
                    continue;
                }
                OptionCode::F_DNS_REMOVAL_INFO => {
                    let info = DnsRemovalInfo::parse(&option)?;
                    once(&mut lease.dns_removal_info, &option, info)?;
                    continue;
                }
                _ => continue,
            };
            once(number, &option, number_32(&option)?)?;
        }
        Ok(lease)
    }

    /// The error the lease was rejected with. Success is no rejection (RFC 8156 §7.6).
    pub fn rejection(&self) -> Option<Status<'a>> {
        rejection(self.status)
    }

    /// When the sender last heard the client, absolute, in a container filled at `base_time`.
    pub fn client_last_transaction_time(&self, base_time: u32) -> Option<u32> {
        let secs_ago = self.clt_time_secs_ago?;
        Some(base_time.saturating_sub(secs_ago))
    }

    pub(super) fn put(&self, frame: &mut FrameWriter<'_>) -> Result<(), NoRoom> {
        if let Some(status) = &self.status {
            frame.status(status)?;
        }
        frame.maybe(OptionCode::VSS, self.vss)?;
        frame.maybe_number(OptionCode::LQ_BASE_TIME, self.base_time)?;
        frame.maybe(
            OptionCode::F_BINDING_STATUS,
            self.binding_status.map(|status| [status]),
        )?;
        for (code, number) in [
            (OptionCode::F_START_TIME_OF_STATE, self.start_time_of_state),
            (
                OptionCode::F_STATE_EXPIRATION_TIME,
                self.state_expiration_time,
            ),
            (OptionCode::CLT_TIME, self.clt_time_secs_ago),
            (OptionCode::F_PARTNER_LIFETIME, self.partner_lifetime),
            (
                OptionCode::F_PARTNER_LIFETIME_SENT,
                self.partner_lifetime_sent,
            ),
            (
                OptionCode::F_PARTNER_RAW_CLT_TIME,
                self.partner_raw_clt_time,
            ),
            (OptionCode::F_EXPIRATION_TIME, self.expiration_time),
        ] {
            frame.maybe_number(code, number)?;
        }
        frame.maybe(OptionCode::CLIENT_FQDN, self.client_fqdn)?;
        match &self.dns_removal_info {
            Some(info) => info.put(frame),
            None => Ok(()),
        }
    }
}

/// `status` if it is an error.
pub(super) fn rejection(status: Option<Status<'_>>) -> Option<Status<'_>> {
    status.filter(|status| status.code != StatusCode::SUCCESS)
}
