//! The lengths of the prefixes that a pool delegates: one, or a range of them (RFC 8168).

use lease::Lengths;
use lease::pool::{LENGTHS_BITS_MAX, LENGTHS_POSITIONS_MAX};
use std::fmt;
use toml::de::DeValue;

use super::fault::Findings;
use super::file::PrefixPool;
use super::value::{FromToml, Within, Wrong, wrong, wrong_type};

/// `delegated-length`: `56`, or `"48-64"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelegatedLength {
    /// The shortest.
    pub shortest: u8,
    /// The longest; the same if there is one only.
    pub longest: u8,
}

impl DelegatedLength {
    fn is_range(self) -> bool {
        self.shortest < self.longest
    }
}

impl fmt::Display for DelegatedLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_range() {
            true => write!(f, "/{} to /{}", self.shortest, self.longest),
            false => write!(f, "/{}", self.longest),
        }
    }
}

impl FromToml for DelegatedLength {
    const EXPECTED: &'static str = "a length such as 56, or a range of them such as \"48-64\"";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let text = match value {
            DeValue::Integer(_) => {
                let len = Within::<1, 127>::from_toml(value)?.0 as u8;
                return Ok(Self {
                    shortest: len,
                    longest: len,
                });
            }
            DeValue::String(text) => text,
            _ => return wrong_type::<Self>(value),
        };
        let len = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|len| (1..=127).contains(len))
        };
        let ends = text.split_once('-').map(|(from, to)| (len(from), len(to)));
        let Some((Some(shortest), Some(longest))) = ends else {
            let problem = format!("\"{}\" is no range of lengths", text.escape_debug());
            return wrong(problem, format!("write {}, from 1 to 127", Self::EXPECTED));
        };
        if shortest >= longest {
            let problem = format!("\"{text}\" is not from a shorter to a longer length");
            return wrong(
                problem,
                "write the shorter length, which is the larger prefix, first",
            );
        }
        Ok(Self { shortest, longest })
    }
}

/// What a pool of `pool_len` says of its lengths; `None`, and a fault, if that cannot be.
pub(super) fn check(
    pool: &PrefixPool,
    pool_len: u8,
    findings: &mut Findings,
) -> Option<(DelegatedLength, Option<Lengths>)> {
    let length = pool.delegated_length.as_ref()?;
    let DelegatedLength { shortest, longest } = length.value;
    if shortest < pool_len {
        let prefix = pool.prefix.as_ref()?.value;
        let problem = format!("a /{shortest} does not fit into {prefix}");
        let remedy = match length.value.is_range() {
            true => format!("begin the range with a length from {pool_len} to 126"),
            false => format!("write a length from {pool_len} to 127"),
        };
        findings.fault(&length.place, problem, remedy);
        return None;
    }
    let default = pool.default_length.as_ref();
    if let Some(default) = default
        && !(u64::from(shortest)..=u64::from(longest)).contains(&default.value.0)
    {
        let problem = format!("the pool has no /{}, but {}", default.value.0, length.value);
        let remedy = match length.value.is_range() {
            true => format!("write a length from {shortest} to {longest}"),
            false => "remove it: it is for pools with a range of lengths".to_owned(),
        };
        findings.fault(&default.place, problem, remedy);
        return None;
    }
    if !length.value.is_range() {
        return Some((length.value, None));
    }
    if longest - shortest > LENGTHS_BITS_MAX {
        let problem = format!("{} are too many lengths for one pool", length.value);
        let remedy = format!("let them be at most {LENGTHS_BITS_MAX} bits apart");
        findings.fault(&length.place, problem, remedy);
        return None;
    }
    let bits_max = LENGTHS_POSITIONS_MAX.ilog2() as u8;
    if longest - pool_len > bits_max {
        let problem = format!("has more than {LENGTHS_POSITIONS_MAX} prefixes of length {longest}");
        let remedy = format!(
            "divide it into pools of /{} or longer, or let the range end with {} or less",
            longest - bits_max,
            pool_len + bits_max
        );
        findings.fault(&pool.prefix.as_ref()?.place, problem, remedy);
        return None;
    }
    if default.is_none() && longest == 64 {
        findings.warn(
            &length.place,
            "clients that ask for no length get a /64, which is a single subnet",
            "write default-length = 56, or what your clients expect",
        );
    }
    let default = default.map_or(longest, |default| default.value.0 as u8);
    Some((length.value, Some(Lengths { shortest, default })))
}
