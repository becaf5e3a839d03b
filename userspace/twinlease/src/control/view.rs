//! Bindings as operators see them: in JSON over the control socket, and as the client reads them back.
//!
//! A view is made on the control thread from what a worker copied out of its shard; names of links
//! and pools are those of the running config.

use engine::Model;
use lease::{AbsTime, BindingStatus, Lease, LinkKey, PartnerTimes, PoolSpec};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::Ipv6Addr;
use wire::{IaKind, Iaid};

use super::command::OwnedBinding;
use super::subscriber;

/// [`BindingView::pool`] of a lease that no configured pool contains.
pub const OUTSIDE: &str = "outside";
/// What [`BindingView::link`] starts with when the link is no longer configured; its key follows
/// as 16 hexadecimal digits.
pub const LINK_KEY_PREFIX: &str = "key:";
/// [`Moment::utc`] of an end that never comes.
pub const NEVER: &str = "never";

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BindingView {
    /// The address, or the delegated prefix with its length.
    pub lease: String,
    /// `address` or `prefix`.
    pub kind: String,
    /// The client, in hexadecimal with colons.
    pub duid: String,
    /// Which of the client's IAs of this kind.
    pub iaid: u32,
    /// The subscriber, where the link tells its clients apart by a relay's word: the option, its
    /// data in hexadecimal with colons and, of an Interface-Id, behind which link-address it is
    /// unique. Absent if the lease is the client's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subscriber: String,
    /// Which of the subscriber's IAs of this kind, from 0; absent if that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub subscriber_ia: u32,
    /// The link's name; [`LINK_KEY_PREFIX`] and its key if the config has no such link any more.
    pub link: String,
    /// The range of the pool the lease is drawn from, or [`OUTSIDE`].
    #[serde(default)]
    pub pool: String,
    /// By which key, and on which link, the lease is reserved; absent if it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reserved: String,
    /// Binding-status in the words of RFC 8156 §7.2: `active`, `expired`, `released`,
    /// `pending-free`, `free`, `free-backup`, `abandoned`, `reset`.
    pub status: String,
    /// Preferred lifetime as last told to the client; 4294967295 is infinity (RFC 9915 §7.7).
    pub preferred_secs: u32,
    /// Valid lifetime as last told to the client; 4294967295 is infinity.
    pub valid_secs: u32,
    /// Client-last-transaction-time.
    pub cltt: Moment,
    /// Since when the status holds.
    pub status_since: Moment,
    /// When the status ends by itself.
    pub expires: Moment,
    /// What the failover partner was told of it and has told; absent if nothing ever was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<PartnerView>,
    /// Whether the client takes Reconfigure messages; absent if not.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub accepts_reconfigure: bool,
    /// How the client is reached, in hexadecimal with colons: the body of OPTION_LQ_RELAY_DATA
    /// (RFC 5007 §4.1.2.4), or the client's address alone; absent if that is not kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub via: String,
}

/// The times of a lease between the two servers of a pair (RFC 8156 §7.3); absent: never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartnerView {
    /// Whether the record holds a change that the partner has not acknowledged.
    pub unacked: bool,
    /// Greatest expiry sent to the partner, or to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_lifetime: Option<Moment>,
    /// Greatest expiry that the partner has acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_partner_lifetime: Option<Moment>,
    /// Greatest expiry that the partner was told is acknowledged here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Moment>,
    /// When the partner last talked to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_raw_clt_time: Option<Moment>,
}

/// A moment in two notations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// RFC 3339 in UTC, or [`NEVER`].
    pub utc: String,
    /// Seconds since 2000-01-01T00:00:00Z: absolute time of RFC 8156 §3.
    pub secs_since_2000: u32,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeasePage {
    /// In no particular order; possibly empty although more pages follow.
    pub leases: Vec<BindingView>,
    /// The `from` of the next page; `None`: this was the last.
    pub next: Option<String>,
}

impl BindingView {
    /// `binding` with the names that `model` has for its link and pool.
    pub fn new(binding: &OwnedBinding, model: &Model) -> Self {
        let link = model.link_by_key(binding.link);
        let pool = model.pool_of(binding.lease);
        Self {
            lease: binding.lease.to_string(),
            kind: kind_word(binding.kind).into(),
            duid: hex(&binding.duid),
            iaid: binding.iaid.0,
            subscriber: match &binding.subscriber {
                Some((key, _)) => subscriber::word(key),
                None => String::new(),
            },
            subscriber_ia: binding.subscriber.as_ref().map_or(0, |(_, Iaid(ia))| *ia),
            link: link.map_or_else(|| key_word(binding.link), |link| link.name().into()),
            pool: pool.map_or_else(|| OUTSIDE.into(), |served| range_of(served.pool().spec())),
            reserved: reserved_by(binding.lease, model).unwrap_or_default(),
            status: status_word(binding.status).into(),
            preferred_secs: binding.preferred_secs,
            valid_secs: binding.valid_secs,
            cltt: binding.cltt.into(),
            status_since: binding.status_since.into(),
            expires: binding.expires.into(),
            partner: PartnerView::new(binding.partner),
            accepts_reconfigure: binding.accepts_reconfigure,
            via: hex(&binding.via),
        }
    }
}

impl PartnerView {
    /// `None` if no partner ever had to do with the lease.
    fn new(times: PartnerTimes) -> Option<Self> {
        let moment = |time: AbsTime| (time != AbsTime(0)).then(|| time.into());
        (times != PartnerTimes::NONE).then(|| Self {
            unacked: times.unacked,
            partner_lifetime: moment(times.partner_lifetime),
            acked_partner_lifetime: moment(times.acked_partner_lifetime),
            expiration_time: moment(times.expiration_time),
            partner_raw_clt_time: moment(times.partner_raw_cltt),
        })
    }
}

impl From<AbsTime> for Moment {
    fn from(time: AbsTime) -> Self {
        let utc = match time {
            AbsTime::NEVER => NEVER.into(),
            _ => rfc3339(time.unix_secs()),
        };
        Self {
            utc,
            secs_since_2000: time.0,
        }
    }
}

/// By which key, and on which link, a lease is reserved.
pub fn reserved_by(lease: Lease, model: &Model) -> Option<String> {
    let reserved = model.reservation_table().of_lease(lease)?;
    Some(format!("by {} on link {}", reserved.key, reserved.link))
}

/// As text if it is nothing else, otherwise in hexadecimal.
pub fn readable(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            format!("{text:?}")
        }
        _ => hex(octets),
    }
}

/// `address` or `prefix`.
pub fn kind_word(kind: IaKind) -> &'static str {
    match kind {
        IaKind::Na => "address",
        IaKind::Pd => "prefix",
    }
}

/// The range of a pool: a prefix where it is one, else first and last address.
pub fn range_of(spec: &PoolSpec) -> String {
    let unit_bits = 128 - u32::from(spec.unit_len.min(128));
    let aligned = |bits: u32| spec.first.trailing_zeros() >= bits;
    let bits = unit_bits + spec.count.trailing_zeros();
    if spec.count.is_power_of_two() && bits <= 128 && aligned(bits) {
        return format!("{}/{}", Ipv6Addr::from_bits(spec.first), 128 - bits);
    }
    let beyond = spec.count.saturating_sub(1).checked_shl(unit_bits);
    let last = spec.first.saturating_add(beyond.unwrap_or(0));
    let (first, last) = (Ipv6Addr::from_bits(spec.first), Ipv6Addr::from_bits(last));
    format!("{first}-{last}")
}

/// An address, or a prefix with its length.
///
/// # Errors
/// It is neither, or the prefix has bits behind its length; in words for who wrote it.
pub fn parse_lease(text: &str) -> Result<Lease, String> {
    let wrong =
        || format!("{text:?} is neither an IPv6 address nor a prefix such as 2001:db8::/56");
    let (ip, len) = match text.split_once('/') {
        Some((ip, len)) => (ip, len.parse().ok().filter(|len| *len <= 128)),
        None => (text, Some(128)),
    };
    let (ip, len): (Ipv6Addr, u8) = (ip.parse().map_err(|_| wrong())?, len.ok_or_else(wrong)?);
    let addr = ip.to_bits();
    let network = addr & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    if network != addr {
        let network = Lease { addr: network, len };
        return Err(format!(
            "{text} has bits behind its length; write {network}"
        ));
    }
    Ok(Lease { addr, len })
}

/// The link that `text` names: a configured link, or one that bindings know by its key alone.
pub fn parse_link(text: &str, model: &Model) -> Option<LinkKey> {
    if let Some(link) = model.links().iter().find(|link| link.name() == text) {
        return Some(link.key());
    }
    let digits = text.strip_prefix(LINK_KEY_PREFIX)?;
    let exact = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let key = exact.then(|| u64::from_str_radix(digits, 16).ok())?;
    key.map(LinkKey)
}

fn key_word(key: LinkKey) -> String {
    format!("{LINK_KEY_PREFIX}{:016x}", key.0)
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Binding-status in the words of RFC 8156 §7.2.
pub fn status_word(status: BindingStatus) -> &'static str {
    match status {
        BindingStatus::Active => "active",
        BindingStatus::Expired => "expired",
        BindingStatus::Released => "released",
        BindingStatus::PendingFree => "pending-free",
        BindingStatus::Free => "free",
        BindingStatus::FreeBackup => "free-backup",
        BindingStatus::Abandoned => "abandoned",
        BindingStatus::Reset => "reset",
    }
}

/// The kind that `text` names, which must fit the lease.
///
/// # Errors
/// It is neither `address` nor `prefix`, or not that of the lease.
pub fn parse_kind(text: &str, lease: Lease) -> Result<IaKind, String> {
    let kind = match text {
        "address" => IaKind::Na,
        "prefix" => IaKind::Pd,
        _ => return Err(format!("{text:?} is neither \"address\" nor \"prefix\"")),
    };
    match (kind, lease.len) {
        (IaKind::Na, 128) | (IaKind::Pd, 1..=127) => Ok(kind),
        _ => Err(format!("{lease} is no {text}")),
    }
}

/// The status that `text` names.
pub fn parse_status(text: &str) -> Option<BindingStatus> {
    let all = (1..=8).filter_map(BindingStatus::from_wire);
    all.into_iter().find(|status| status_word(*status) == text)
}

/// Octets in hexadecimal with colons, as DUIDs are written.
pub fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 3);
    for (index, octet) in octets.iter().enumerate() {
        let colon = if index > 0 { ":" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{colon}{octet:02x}");
    }
    text
}

/// RFC 3339 in UTC, whole seconds.
fn rfc3339(unix_secs: u64) -> String {
    let (days, secs) = (unix_secs / 86_400, unix_secs % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A moment as [`Moment::utc`] shows it: RFC 3339 in UTC, to the second.
///
/// # Errors
/// It is not written so; in words for who wrote it.
pub fn parse_moment(text: &str) -> Result<AbsTime, String> {
    let wrong = || format!("{text:?} is no time such as 2026-03-01T14:05:00Z");
    let digits = |at: usize, len: usize| {
        let part = text
            .get(at..at + len)
            .filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|part| part.parse::<u64>().ok())
            .ok_or_else(wrong)
    };
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    // What is shown for the number is what was written, or it was no such time.
    let days = (0..366 + 31)
        .map(|day| year.saturating_sub(1970) * 365 + year.saturating_sub(1969) / 4 + day);
    let wanted = (year, month, day);
    let days = days
        .map(|day| day.saturating_sub(31))
        .find(|days| civil_from_days(*days) == wanted);
    let secs = days.ok_or_else(wrong)? * 86_400 + hour * 3600 + minute * 60 + second;
    match rfc3339(secs) == text && secs >= UNIX_SECS_MIN {
        true => Ok(AbsTime::from_unix_secs(secs)),
        false => Err(wrong()),
    }
}

/// 2000-01-01T00:00:00Z, before which no time can be told.
const UNIX_SECS_MIN: u64 = 946_684_800;

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year: in days from
/// 0000-03-01 an era of 400 years has 146,097 of them, whatever year it begins in.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 31, 30, 31, 30, 31 days and so on: 153 in every five.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year_of_era + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_the_calendars() {
        for (secs, text) in [
            (0, "2000-01-01T00:00:00Z"),
            (59 * 86_400 - 1, "2000-02-28T23:59:59Z"),
            (59 * 86_400, "2000-02-29T00:00:00Z"),
            (60 * 86_400, "2000-03-01T00:00:00Z"),
            (366 * 86_400 - 1, "2000-12-31T23:59:59Z"),
            (817_218_245, "2025-11-23T13:04:05Z"),
            (3_160_771_200, "2100-02-28T00:00:00Z"),
            (3_160_857_600, "2100-03-01T00:00:00Z"),
            (u32::MAX - 1, "2136-02-07T06:28:14Z"),
            (u32::MAX, NEVER),
        ] {
            assert_eq!(Moment::from(AbsTime(secs)).utc, text, "{secs}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil_from_days(0);
        assert_eq!(before, (1970, 1, 1));
        for days in 1..80_000 {
            let (year, month, day) = civil_from_days(days);
            let next_day = (year, month, day) == (before.0, before.1, before.2 + 1);
            let next_month = (year, month, day) == (before.0, before.1 + 1, 1);
            let next_year = (year, month, day) == (before.0 + 1, 1, 1) && before.1 == 12;
            assert!(next_day && day <= 31 || next_month && before.2 >= 28 || next_year);
            before = (year, month, day);
        }
    }

    #[test]
    fn a_pool_is_a_prefix_where_it_can_be() {
        let lease = |text| parse_lease(text).unwrap();
        let addresses = |first: &str, last: &str| {
            let ends = (first.parse().unwrap(), last.parse().unwrap());
            range_of(&PoolSpec::addresses(ends.0, ends.1).unwrap())
        };
        let part = addresses("2001:db8::1000", "2001:db8::1ffe");
        assert_eq!(part, "2001:db8::1000-2001:db8::1ffe");
        let whole = addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff");
        assert_eq!(whole, "2001:db8::/64");
        assert_eq!(addresses("2001:db8::5", "2001:db8::5"), "2001:db8::5/128");
        let unaligned = addresses("2001:db8::1", "2001:db8::2");
        assert_eq!(unaligned, "2001:db8::1-2001:db8::2");
        let prefixes = PoolSpec::prefixes(lease("2001:db8:8000::/40"), 56).unwrap();
        assert_eq!(range_of(&prefixes), "2001:db8:8000::/40");
    }

    #[test]
    fn a_lease_is_an_address_or_a_prefix() {
        for text in ["2001:db8::5", "2001:db8:8000::/56", "::/0"] {
            assert_eq!(parse_lease(text).unwrap().to_string(), text);
        }
        assert_eq!(parse_lease("::1/128").unwrap().to_string(), "::1");
        for text in [
            "",
            "192.0.2.1",
            "2001:db8::/129",
            "2001:db8::/x",
            "2001:db8::1/2/3",
        ] {
            assert!(parse_lease(text).unwrap_err().contains("neither"), "{text}");
        }
        let bits = parse_lease("2001:db8::1/64").unwrap_err();
        assert!(bits.ends_with("write 2001:db8::/64"), "{bits}");
    }

    #[test]
    fn a_moment_is_read_as_it_is_shown_and_nothing_else_is() {
        for secs in [0, 86_400 * 59, 86_400 * 365, 800_000_000, u32::MAX - 1] {
            let text = Moment::from(AbsTime(secs)).utc;
            assert_eq!(parse_moment(&text), Ok(AbsTime(secs)), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-02-30T00:00:00Z",
            "2026-02-28T24:00:00Z",
            "1999-12-31T23:59:59Z",
            "2026-02-28T00:00:00+01:00",
            "9999999999-01-01T00:00:00Z",
        ] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }
}
