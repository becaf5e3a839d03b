//! Identity Associations and what they hold: IA_NA, IA_PD, IAADDR, IAPREFIX
//! (RFC 9915 §21.4, §21.6, §21.21, §21.22).

use arrayvec::ArrayVec;
use zerocopy::network_endian::{U32, U128};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use crate::code::OptionCode;
use crate::duid::{IaKind, Iaid};
use crate::malformed::{Fault, Malformed};
use crate::option::{Options, RawOption};
use crate::options::status::Status;

/// Leases of one IA that are looked at. More are flagged by [`IaIndex::more`]; the RFC lets a
/// server limit what it gives one client (RFC 9915 §22).
pub const LEASES_PER_IA_MAX: usize = 16;

/// An IA_NA or IA_PD option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ia<'a> {
    /// Addresses or prefixes.
    pub kind: IaKind,
    /// Which of the client's IAs of this kind.
    pub iaid: Iaid,
    /// T1 in seconds; a server ignores what a client sends (RFC 9915 §21.4).
    pub t1: u32,
    /// T2 in seconds; likewise.
    pub t2: u32,
    /// The nested options.
    pub options: Options<'a>,
    /// Octets from the start of the UDP payload to the option's code.
    pub offset: u32,
}

impl<'a> Ia<'a> {
    /// Reads an option whose code is IA_NA or IA_PD; any code but the latter is taken for IA_NA.
    ///
    /// # Errors
    /// [`Fault::Length`] if the fixed fields do not fit.
    #[inline]
    pub fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let fixed = fixed_part::<IaFixed>(option)?;
        Ok(Self {
            kind: if option.code == OptionCode::IA_PD {
                IaKind::Pd
            } else {
                IaKind::Na
            },
            iaid: Iaid(fixed.iaid.get()),
            t1: fixed.t1.get(),
            t2: fixed.t2.get(),
            options: option.nested(size_of::<IaFixed>())?,
            offset: option.offset,
        })
    }
}

/// An IAADDR option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaAddress<'a> {
    /// The address.
    pub address: u128,
    /// Preferred lifetime in seconds.
    pub preferred: u32,
    /// Valid lifetime in seconds.
    pub valid: u32,
    /// The nested options.
    pub options: Options<'a>,
}

impl<'a> IaAddress<'a> {
    /// Reads an IAADDR option.
    ///
    /// # Errors
    /// [`Fault::Length`] if the fixed fields do not fit.
    #[inline]
    pub fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let fixed = fixed_part::<IaAddressFixed>(option)?;
        Ok(Self {
            address: fixed.address.get(),
            preferred: fixed.preferred.get(),
            valid: fixed.valid.get(),
            options: option.nested(size_of::<IaAddressFixed>())?,
        })
    }
}

/// An IAPREFIX option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IaPrefix<'a> {
    /// The prefix as sent: bits behind the length are not cleared, and `::` with a length is a
    /// hint for that length (RFC 8168).
    pub prefix: u128,
    /// Its length in bits, at most 128.
    pub prefix_len: u8,
    /// Preferred lifetime in seconds.
    pub preferred: u32,
    /// Valid lifetime in seconds.
    pub valid: u32,
    /// The nested options.
    pub options: Options<'a>,
}

impl<'a> IaPrefix<'a> {
    /// Reads an IAPREFIX option.
    ///
    /// # Errors
    /// [`Fault::Length`] if the fixed fields do not fit, [`Fault::PrefixLength`] above 128.
    #[inline]
    pub fn parse(option: &RawOption<'a>) -> Result<Self, Malformed> {
        let fixed = fixed_part::<IaPrefixFixed>(option)?;
        if fixed.prefix_len > 128 {
            return Err(option.malformed(Fault::PrefixLength));
        }
        Ok(Self {
            prefix: fixed.prefix.get(),
            prefix_len: fixed.prefix_len,
            preferred: fixed.preferred.get(),
            valid: fixed.valid.get(),
            options: option.nested(size_of::<IaPrefixFixed>())?,
        })
    }
}

/// What an IA holds, found in one pass over its options.
///
/// IAADDR counts only in an IA_NA and IAPREFIX only in an IA_PD; elsewhere they are skipped, as
/// an option in a place where it has no meaning is (RFC 9915 §16).
#[derive(Clone, Debug, Default)]
pub struct IaIndex<'a> {
    /// IAADDR options in the order of the wire.
    pub addresses: ArrayVec<IaAddress<'a>, LEASES_PER_IA_MAX>,
    /// IAPREFIX options in the order of the wire.
    pub prefixes: ArrayVec<IaPrefix<'a>, LEASES_PER_IA_MAX>,
    /// There were more than [`LEASES_PER_IA_MAX`] leases.
    pub more: bool,
    /// The first Status Code.
    pub status: Option<Status<'a>>,
}

impl<'a> IaIndex<'a> {
    /// Reads all options of `ia`. Cannot fail on an IA that
    /// [`MessageIndex`](crate::message::MessageIndex) holds: that one has checked.
    ///
    /// # Errors
    /// The first malformed option, those nested in leases included.
    #[inline]
    pub fn new(ia: &Ia<'a>) -> Result<Self, Malformed> {
        let mut index = Self::default();
        for option in ia.options {
            match Held::parse(ia.kind, &option?)? {
                Held::Address(address) => {
                    index.more |= index.addresses.try_push(address).is_err();
                }
                Held::Prefix(prefix) => index.more |= index.prefixes.try_push(prefix).is_err(),
                Held::Status(status) => {
                    index.status.get_or_insert(status);
                }
                Held::Other => {}
            }
        }
        Ok(index)
    }

    /// Reads as [`new`](Self::new) does and keeps nothing.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[inline]
    pub fn check(ia: &Ia<'a>) -> Result<(), Malformed> {
        for option in ia.options {
            Held::parse(ia.kind, &option?)?;
        }
        Ok(())
    }
}

/// An option inside an IA.
enum Held<'a> {
    Address(IaAddress<'a>),
    Prefix(IaPrefix<'a>),
    Status(Status<'a>),
    Other,
}

impl<'a> Held<'a> {
    #[inline]
    fn parse(kind: IaKind, option: &RawOption<'a>) -> Result<Self, Malformed> {
        Ok(match (kind, option.code) {
            (IaKind::Na, OptionCode::IAADDR) => {
                let address = IaAddress::parse(option)?;
                walk(address.options)?;
                Self::Address(address)
            }
            (IaKind::Pd, OptionCode::IAPREFIX) => {
                let prefix = IaPrefix::parse(option)?;
                walk(prefix.options)?;
                Self::Prefix(prefix)
            }
            (_, OptionCode::STATUS_CODE) => Self::Status(Status::parse(option)?),
            _ => Self::Other,
        })
    }
}

#[inline]
fn walk(options: Options<'_>) -> Result<(), Malformed> {
    for option in options {
        option?;
    }
    Ok(())
}

#[inline]
fn fixed_part<'a, T>(option: &RawOption<'a>) -> Result<&'a T, Malformed>
where
    T: FromBytes + Immutable + KnownLayout + Unaligned,
{
    match T::ref_from_prefix(option.data) {
        Ok((fixed, _)) => Ok(fixed),
        Err(_) => Err(option.malformed(Fault::Length)),
    }
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IaFixed {
    iaid: U32,
    t1: U32,
    t2: U32,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IaAddressFixed {
    address: U128,
    preferred: U32,
    valid: U32,
}

#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct IaPrefixFixed {
    preferred: U32,
    valid: U32,
    prefix_len: u8,
    prefix: U128,
}
