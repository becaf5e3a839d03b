//! A client/server message (RFC 9915 §8) and the index that reads it once.

use arrayvec::ArrayVec;

use crate::code::{MessageType, OptionCode};
use crate::duid::Duid;
use crate::malformed::{Fault, Malformed};
use crate::option::{Options, RawOption};
use crate::options::ia::{Ia, IaIndex};
use crate::options::identity::duid;
use crate::options::oro::Oro;

/// Octets of `msg-type` and `transaction-id`.
pub const MESSAGE_HEADER_LEN: usize = 4;

/// IAs of one message that are looked at; a home gateway has two, a busy one a handful. More are
/// flagged by [`MessageIndex::more_ias`] and get no answer, as a server may limit (RFC 9915 §22).
pub const IA_MAX: usize = 16;

/// A message between client and server, header read and options untouched.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |    msg-type   |               transaction-id                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// .                           options                             .
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is; not checked to be one a server wants.
    pub msg_type: MessageType,
    /// Chosen by the client, copied into the answer.
    pub transaction_id: [u8; 3],
    /// Everything behind the header.
    pub options: Options<'a>,
}

impl<'a> Message<'a> {
    /// Reads the header of the message in `octets`, which begins `offset` octets into the UDP
    /// payload and is held by the option `holder` (0 if it is the payload itself).
    ///
    /// # Errors
    /// [`Fault::ShortHeader`] if there are fewer than four octets.
    #[inline]
    pub fn parse(octets: &'a [u8], offset: u32, holder: OptionCode) -> Result<Self, Malformed> {
        let Some((&[msg_type, a, b, c], rest)) = octets.split_first_chunk() else {
            return Err(Malformed {
                option: holder,
                offset,
                why: Fault::ShortHeader,
            });
        };
        Ok(Self {
            msg_type: MessageType(msg_type),
            transaction_id: [a, b, c],
            options: Options::new(rest, offset.wrapping_add(MESSAGE_HEADER_LEN as u32)),
        })
    }
}

/// What a server wants to know of a message, found in one pass over its options.
///
/// Where an option may stand only once the first instance counts and the second is reported by
/// [`repeated`](Self::repeated). Options of no interest here are skipped; they are still in
/// [`Message::options`].
#[derive(Clone, Debug, Default)]
pub struct MessageIndex<'a> {
    /// Client Identifier.
    pub client_id: Option<Duid<'a>>,
    /// Server Identifier.
    pub server_id: Option<Duid<'a>>,
    /// What the client asks for; empty without an Option Request option.
    pub oro: Oro<'a>,
    /// Whether an Option Request option is there at all.
    pub has_oro: bool,
    /// Rapid Commit is there.
    pub rapid_commit: bool,
    /// Reconfigure Accept is there.
    pub reconf_accept: bool,
    /// Elapsed Time, in hundredths of a second; 0xffff means that or more.
    pub elapsed_hundredths: Option<u16>,
    /// IA_NA and IA_PD options in the order of the wire; their nested options are well formed.
    pub ias: ArrayVec<Ia<'a>, IA_MAX>,
    /// There were more than [`IA_MAX`] IAs.
    pub more_ias: bool,
    /// An obsolete IA_TA is there: to be ignored, but an IA all the same where none may stand.
    pub has_ia_ta: bool,
    /// User Class, uninterpreted.
    pub user_class: Option<&'a [u8]>,
    /// The first Vendor Class, uninterpreted.
    pub vendor_class: Option<&'a [u8]>,
    /// Client FQDN (RFC 4704), uninterpreted.
    pub client_fqdn: Option<&'a [u8]>,
    /// The first option that stood again although it may stand only once.
    pub repeated: Option<Malformed>,
}

impl<'a> MessageIndex<'a> {
    /// Reads all options of `message`, and those nested in its IAs.
    ///
    /// # Errors
    /// The first malformed option, nested ones included. A repeated singleton is no error.
    #[inline]
    pub fn new(message: &Message<'a>) -> Result<Self, Malformed> {
        let mut index = Self::default();
        index.read(message)?;
        Ok(index)
    }

    /// As [`new`](Self::new) on an empty index, in the place where it is to stand: it is too large
    /// to be moved for each packet.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[inline]
    pub fn read(&mut self, message: &Message<'a>) -> Result<(), Malformed> {
        for option in message.options {
            self.take(&option?)?;
        }
        Ok(())
    }

    #[inline]
    fn take(&mut self, option: &RawOption<'a>) -> Result<(), Malformed> {
        let again = match option.code {
            OptionCode::CLIENTID => set(&mut self.client_id, duid(option)?),
            OptionCode::SERVERID => set(&mut self.server_id, duid(option)?),
            OptionCode::IA_NA | OptionCode::IA_PD => return self.take_ia(option),
            OptionCode::IA_TA => {
                self.has_ia_ta = true;
                false
            }
            OptionCode::ORO => {
                let oro = Oro::parse(option)?;
                let again = self.has_oro;
                if !again {
                    self.oro = oro;
                    self.has_oro = true;
                }
                again
            }
            OptionCode::ELAPSED_TIME => {
                let hundredths = u16::from_be_bytes(*option.fixed()?);
                set(&mut self.elapsed_hundredths, hundredths)
            }
            OptionCode::RAPID_COMMIT => raise(&mut self.rapid_commit, option)?,
            OptionCode::RECONF_ACCEPT => raise(&mut self.reconf_accept, option)?,
            OptionCode::USER_CLASS => set(&mut self.user_class, option.data),
            OptionCode::VENDOR_CLASS => {
                // One for each enterprise number (RFC 9915 §21.16).
                self.vendor_class.get_or_insert(option.data);
                false
            }
            OptionCode::CLIENT_FQDN => set(&mut self.client_fqdn, option.data),
            _ => false,
        };
        if again && self.repeated.is_none() {
            self.repeated = Some(option.malformed(Fault::Repeated));
        }
        Ok(())
    }

    #[inline]
    fn take_ia(&mut self, option: &RawOption<'a>) -> Result<(), Malformed> {
        let ia = Ia::parse(option)?;
        IaIndex::check(&ia)?;
        if self.ias.try_push(ia).is_err() {
            self.more_ias = true;
        }
        Ok(())
    }
}

/// Fills `slot` unless it is full; says whether it was.
#[inline]
fn set<T>(slot: &mut Option<T>, value: T) -> bool {
    let again = slot.is_some();
    slot.get_or_insert(value);
    again
}

/// Raises the flag that an empty option stands for; says whether it was up.
#[inline]
fn raise(flag: &mut bool, option: &RawOption<'_>) -> Result<bool, Malformed> {
    let [] = option.fixed()?;
    Ok(core::mem::replace(flag, true))
}

#[cfg(test)]
mod tests;
