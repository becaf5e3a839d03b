//! The kinds of value that a config file holds, and how each is read from TOML.
//!
//! A reader says what is wrong and what would be right; where it stands is the caller's to add.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeValue;

/// Why a value cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong with it.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

/// A fault with its remedy.
///
/// # Errors
/// Always.
pub fn wrong<T>(problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong {
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

/// A kind of value that a key can have.
pub trait FromToml: Sized {
    /// What is expected, with an example; used when the TOML type is another.
    const EXPECTED: &'static str;

    /// Reads the value.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong>;
}

/// The fault of a value whose TOML type is not the one expected.
pub fn wrong_type<T: FromToml>(value: &DeValue<'_>) -> Result<T, Wrong> {
    let found = value.type_str();
    let article = if found.starts_with(['a', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    wrong(
        format!("{article} {found} cannot stand here"),
        format!("write {}", T::EXPECTED),
    )
}

/// Reads a value that is text in TOML.
fn text<T: FromToml>(
    value: &DeValue<'_>,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    match value {
        DeValue::String(text) => parse(text),
        other => wrong_type::<T>(other),
    }
}

impl FromToml for String {
    const EXPECTED: &'static str = "text in quotes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| match text.trim().is_empty() {
            true => wrong("is empty", "give it a value, or leave the key out"),
            false => Ok(text.to_owned()),
        })
    }
}

impl FromToml for PathBuf {
    const EXPECTED: &'static str = "a path in quotes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| match text {
            "" => wrong("is empty", "name a path, or leave the key out"),
            text if text.contains('\0') => wrong("holds a zero octet", "remove it"),
            text => Ok(text.into()),
        })
    }
}

impl FromToml for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match value {
            DeValue::Boolean(value) => Ok(*value),
            other => wrong_type::<Self>(other),
        }
    }
}

/// A whole number within bounds known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> FromToml for Within<MIN, MAX> {
    const EXPECTED: &'static str = "a whole number, without quotes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let DeValue::Integer(number) = value else {
            return wrong_type::<Self>(value);
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => wrong(
                format!("{number} is out of range"),
                format!("write a number from {MIN} to {MAX}"),
            ),
        }
    }
}

/// A share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl FromToml for Share {
    const EXPECTED: &'static str = "a number from 0.0 to 1.0";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let number = match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            other => return wrong_type::<Self>(other),
        };
        match number {
            Some(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => wrong("is out of range", format!("write {}", Self::EXPECTED)),
        }
    }
}

/// A lifetime or another duration in whole seconds; `u32::MAX` is infinity (RFC 9915 §7.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secs(pub u32);

impl Secs {
    /// Never ends.
    pub const INFINITE: Self = Self(u32::MAX);
}

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u32::MAX => f.write_str("infinite"),
            0 => f.write_str("0s"),
            secs => {
                let units = [
                    (604_800, 'w'),
                    (86_400, 'd'),
                    (3_600, 'h'),
                    (60, 'm'),
                    (1, 's'),
                ];
                let (unit, name) = units
                    .into_iter()
                    .find(|(unit, _)| secs.is_multiple_of(*unit))
                    .unwrap_or((1, 's'));
                write!(f, "{}{name}", secs / unit)
            }
        }
    }
}

impl FromToml for Secs {
    const EXPECTED: &'static str =
        "a duration such as \"90s\", \"30m\", \"1h\", \"3d\" or \"infinite\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, parse_duration)
    }
}

/// Reads a duration.
pub(super) fn parse_duration(text: &str) -> Result<Secs, Wrong> {
    match parse_secs(text) {
        Some(secs) => Ok(secs),
        None => wrong(
            format!("\"{text}\" is not a duration"),
            format!("write {}", Secs::EXPECTED),
        ),
    }
}

/// One or several numbers with a unit each: `1h30m`. The end of the 32-bit range is infinity.
fn parse_secs(text: &str) -> Option<Secs> {
    if text == "infinite" {
        return Some(Secs::INFINITE);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes()[digits] {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    let secs = u32::try_from(total).ok()?;
    (!text.is_empty() && secs < u32::MAX).then_some(Secs(secs))
}

impl FromToml for Ipv6Addr {
    const EXPECTED: &'static str = "an IPv6 address in quotes, such as \"2001:db8::1\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, parse_address)
    }
}

/// Reads an IPv6 address.
pub(super) fn parse_address(text: &str) -> Result<Ipv6Addr, Wrong> {
    match text.trim().parse::<Ipv6Addr>() {
        Ok(address) => Ok(address),
        Err(_) => wrong(
            format!("\"{text}\" is not an IPv6 address"),
            format!("write {}", Ipv6Addr::EXPECTED),
        ),
    }
}

impl FromToml for SocketAddr {
    const EXPECTED: &'static str = "an address and a port in quotes, such as \"[::1]:9547\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(address),
            Ok(_) => wrong("port 0 names no port", "write a port from 1 to 65535"),
            Err(_) => wrong(
                format!("\"{text}\" is not an address with a port"),
                format!("write {}", Self::EXPECTED),
            ),
        })
    }
}

/// An IPv6 prefix whose bits behind its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The first address, read as an integer.
    pub first: u128,
    /// Length in bits, 0 to 128.
    pub len: u8,
}

impl Prefix {
    /// The last address.
    pub fn last(self) -> u128 {
        self.first | u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0)
    }

    /// Whether `address` lies inside.
    pub fn contains(self, address: u128) -> bool {
        (self.first..=self.last()).contains(&address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from_bits(self.first), self.len)
    }
}

impl FromToml for Prefix {
    const EXPECTED: &'static str = "a prefix in quotes, such as \"2001:db8:1::/64\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, parse_prefix)
    }
}

/// Reads a prefix.
pub(super) fn parse_prefix(text: &str) -> Result<Prefix, Wrong> {
    let split = text.split_once('/').and_then(|(address, len)| {
        let address: Ipv6Addr = address.parse().ok()?;
        let len: u8 = len.parse().ok().filter(|len| *len <= 128)?;
        Some((address.to_bits(), len))
    });
    let Some((address, len)) = split else {
        return wrong(
            format!("\"{text}\" is not a prefix"),
            format!("write {}", Prefix::EXPECTED),
        );
    };
    let behind = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
    let prefix = Prefix {
        first: address & !behind,
        len,
    };
    if prefix.first == address {
        return Ok(prefix);
    }
    wrong(
        format!("\"{text}\" has bits set behind its length"),
        format!("write \"{prefix}\""),
    )
}

impl FromToml for Ipv4Addr {
    const EXPECTED: &'static str = "an IPv4 address in quotes, such as \"192.0.2.1\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| match text.parse() {
            Ok(address) => Ok(address),
            Err(_) => wrong(
                format!("\"{text}\" is not an IPv4 address"),
                format!("write {}", Self::EXPECTED),
            ),
        })
    }
}

/// An IPv4 prefix whose bits behind its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Prefix {
    /// The first address.
    pub first: Ipv4Addr,
    /// Length in bits, 0 to 32.
    pub len: u8,
}

impl FromToml for Ipv4Prefix {
    const EXPECTED: &'static str = "an IPv4 prefix in quotes, such as \"192.0.2.0/24\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| {
            let split = text.split_once('/').and_then(|(address, len)| {
                let first: Ipv4Addr = address.parse().ok()?;
                let len: u8 = len.parse().ok().filter(|len| *len <= 32)?;
                let behind = u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
                (first.to_bits() & behind == 0).then_some(Self { first, len })
            });
            match split {
                Some(prefix) => Ok(prefix),
                None => wrong(
                    format!("\"{text}\" is not an IPv4 prefix"),
                    format!("write {}, with no bits behind its length", Self::EXPECTED),
                ),
            }
        })
    }
}

/// A range of addresses: a prefix, or first and last address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// As written.
    pub text: String,
    /// First address.
    pub first: u128,
    /// Last address; not before `first`.
    pub last: u128,
}

impl FromToml for Range {
    const EXPECTED: &'static str =
        "a prefix \"2001:db8:1::/64\" or a range \"2001:db8:1::1000-2001:db8:1::1fff\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| {
            let (first, last) = match text.split_once('-') {
                Some((first, last)) => (
                    parse_address(first)?.to_bits(),
                    parse_address(last)?.to_bits(),
                ),
                None if text.contains('/') => {
                    let prefix = parse_prefix(text)?;
                    (prefix.first, prefix.last())
                }
                None => {
                    return wrong(
                        format!("\"{text}\" is not a range"),
                        format!("write {}", Self::EXPECTED),
                    );
                }
            };
            if last < first {
                return wrong(
                    format!("\"{text}\" ends before it starts"),
                    "write the lower address first",
                );
            }
            Ok(Self {
                text: text.to_owned(),
                first,
                last,
            })
        })
    }
}

/// Octets in hexadecimal, with or without colons; at least `MIN` and at most `MAX` of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets<const MIN: usize, const MAX: usize>(pub Box<[u8]>);

/// A DUID (RFC 9915 §11.1).
pub type DuidOctets = Octets<{ wire::duid::DUID_LEN_MIN }, { wire::duid::DUID_LEN_MAX }>;

impl<const MIN: usize, const MAX: usize> FromToml for Octets<MIN, MAX> {
    const EXPECTED: &'static str =
        "octets in hexadecimal, such as \"00:03:00:01:52:54:00:12:34:56\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| {
            let octets = parse_octets(text)?;
            if (MIN..=MAX).contains(&octets.len()) {
                return Ok(Self(octets));
            }
            let bounds = match MIN == MAX {
                true => format!("{MIN}"),
                false => format!("{MIN} to {MAX}"),
            };
            wrong(
                format!("has {} octets", octets.len()),
                format!("write {bounds} octets in hexadecimal"),
            )
        })
    }
}

/// Reads octets in hexadecimal, of whatever number.
pub(super) fn parse_octets(text: &str) -> Result<Box<[u8]>, Wrong> {
    match parse_hex(text) {
        Some(octets) => Ok(octets.into()),
        None => wrong(
            format!("\"{text}\" is not hexadecimal"),
            format!("write {}", DuidOctets::EXPECTED),
        ),
    }
}

/// A client's link-layer address; six octets for Ethernet.
pub type LinkLayerOctets = Octets<1, 32>;

/// What a relay calls a line or a subscriber: octets that are mostly text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub Box<[u8]>);

impl Identity {
    /// Reads text as its octets, or octets in hexadecimal behind `0x`.
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let octets = match text.strip_prefix("0x") {
            Some(digits) => parse_hex(digits),
            None => Some(text.as_bytes().to_vec()),
        };
        match octets {
            Some(octets) if octets.is_empty() => {
                wrong("is empty", format!("write {}", Self::EXPECTED))
            }
            Some(octets) => Ok(Self(octets.into())),
            None => wrong(
                format!("\"{text}\" is not hexadecimal behind 0x"),
                "write two digits for each octet; text that begins so is written in hexadecimal",
            ),
        }
    }
}

impl FromToml for Identity {
    const EXPECTED: &'static str = "text in quotes, or octets such as \"0x0a0b\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, Self::parse)
    }
}

/// Octets from hexadecimal, two digits each, with colons between all of them or none.
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let octet = |pair: &[u8]| {
        let digit = |c: u8| char::from(c).to_digit(16);
        let (high, low) = (digit(*pair.first()?)?, digit(*pair.get(1)?)?);
        u8::try_from(high << 4 | low)
            .ok()
            .filter(|_| pair.len() == 2)
    };
    match text.contains(':') {
        true => text.split(':').map(|pair| octet(pair.as_bytes())).collect(),
        false => text.as_bytes().chunks(2).map(octet).collect(),
    }
}

/// A domain name in text, without the last dot, of legal lengths (RFC 1035 §2.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainName(pub String);

impl FromToml for DomainName {
    const EXPECTED: &'static str = "a domain name in quotes, such as \"example.net\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        text::<Self>(value, |text| {
            let name = text.strip_suffix('.').unwrap_or(text);
            let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(legal);
            if name.len() <= 253 && name.split('.').all(label) {
                return Ok(Self(name.to_owned()));
            }
            wrong(
                format!("\"{text}\" is not a domain name"),
                "write labels of 1 to 63 letters, digits and hyphens, 253 characters in all",
            )
        })
    }
}

/// Reads one of a fixed set of words.
///
/// # Errors
/// The words that may stand here.
pub fn word<T: FromToml + Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    text::<T>(value, |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        match found {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let list: Vec<_> = words
                    .iter()
                    .map(|(word, _)| format!("\"{word}\""))
                    .collect();
                wrong(
                    format!("\"{text}\" is not one of the words for this key"),
                    format!("write {}", list.join(" or ")),
                )
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_and_nothing_else_is_one() {
        for (text, secs) in [
            ("90s", 90),
            ("1h30m", 5_400),
            ("3d", 259_200),
            ("2w", 1_209_600),
        ] {
            assert_eq!(parse_secs(text), Some(Secs(secs)), "{text}");
        }
        assert_eq!(parse_secs("infinite"), Some(Secs::INFINITE));
        for text in [
            "",
            "90",
            "s",
            "-1s",
            "1.5h",
            "1 h",
            "4294967295s",
            "99999999999999999999s",
            "1ä",
        ] {
            assert_eq!(parse_secs(text), None, "{text}");
        }
    }

    #[test]
    fn durations_print_as_they_are_written() {
        for text in ["0s", "90s", "1m", "3d", "infinite"] {
            assert_eq!(parse_secs(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn hex_takes_colons_everywhere_or_nowhere() {
        assert_eq!(parse_hex("00:0a:ff"), Some(vec![0, 10, 255]));
        assert_eq!(parse_hex("000aFF"), Some(vec![0, 10, 255]));
        for text in ["0", "00:0", "00:0a:", "00:0aff", "zz", "+1", "0ä"] {
            assert_eq!(parse_hex(text), None, "{text}");
        }
    }

    #[test]
    fn the_widest_and_the_narrowest_prefix_have_right_ends() {
        assert_eq!(parse_prefix("::/0").unwrap().last(), u128::MAX);
        assert_eq!(parse_prefix("::1/128").unwrap().last(), 1);
        assert!(parse_prefix("2001:db8::1/64").is_err());
        assert!(parse_prefix("2001:db8::/129").is_err());
    }
}
