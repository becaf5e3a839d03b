//! `[[class]]`: what messages must say for their client to be in a class, as the file writes it.
//!
//! Each match is a key with the values that count. An asterisk at either end of a text stands for
//! anything; whatever a text cannot say is written in hexadecimal.

use engine::{
    Attribute, AttributeValue, CLASSES_MAX, ClassMatch, ClassSpec, OptionValues, Pattern,
};
use std::collections::BTreeMap;
use toml::de::DeValue;

use super::check;
use super::fault::{Findings, Place};
use super::file::{self, Lifetimes, Maybe};
use super::model;
use super::options;
use super::read::{Placed, Reader};
use super::value::{FromToml, Within, Wrong, parse_hex, wrong, wrong_type};

/// Classes listed in a remedy at most, so that it stays one line.
const NAMES_SHOWN_MAX: usize = 8;

/// One `[[class]]` as written.
#[derive(Debug)]
pub struct Class {
    pub place: Place,
    pub name: Maybe<String>,
    pub matches: Vec<ClassMatch>,
    pub lifetimes: Lifetimes,
    pub options: OptionValues,
}

/// `class = "…"` or `class = […]` of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassNames(pub Vec<String>);

impl Class {
    /// Reads the table.
    pub fn read(t: &mut Reader<'_, '_>) -> Self {
        let mut matches = Vec::new();
        let mut has_matches = false;
        for (key, of) in KEYS {
            has_matches |= t.has(key);
            let values = match of {
                Attribute::UserClass | Attribute::InterfaceId | Attribute::SubscriberId => {
                    values::<Text>(t, key)
                }
                Attribute::VendorClass | Attribute::RemoteId => values::<Branded>(t, key),
                Attribute::VendorOpts => values::<Enterprise>(t, key),
                Attribute::Architecture => values::<Architecture>(t, key),
                Attribute::Duid | Attribute::LinkLayerAddress | Attribute::RelayId => {
                    values::<Hex>(t, key)
                }
            };
            matches.extend(values.map(|values| ClassMatch { of, values }));
        }
        if !has_matches {
            let known: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            let remedy = format!("add at least one of {}", known.join(", "));
            t.fault("has no match, so every client would be in it", remedy);
        }
        Self {
            place: t.place().clone(),
            name: t.require("name"),
            matches,
            lifetimes: t.table("lifetimes", Lifetimes::read),
            options: t.table("options", options::read),
        }
    }
}

/// The keys that are matches.
const KEYS: [(&str, Attribute); 10] = [
    ("vendor-class", Attribute::VendorClass),
    ("user-class", Attribute::UserClass),
    ("vendor-opts", Attribute::VendorOpts),
    ("architecture", Attribute::Architecture),
    ("duid", Attribute::Duid),
    ("link-layer-address", Attribute::LinkLayerAddress),
    ("remote-id", Attribute::RemoteId),
    ("interface-id", Attribute::InterfaceId),
    ("subscriber-id", Attribute::SubscriberId),
    ("relay-id", Attribute::RelayId),
];

/// The values of a match; `None` if it is not there or all of them are at fault.
fn values<T: FromToml + Into<AttributeValue>>(
    t: &mut Reader<'_, '_>,
    key: &'static str,
) -> Option<Vec<AttributeValue>> {
    let list = t.list::<T>(key)?.value;
    if t.is_empty_list(key) {
        t.fault_at(
            key,
            "has no value, so no client would be in the class".to_owned(),
            "name at least one, or leave the key out",
        );
    }
    let values: Vec<AttributeValue> = list.into_iter().map(|placed| placed.value.into()).collect();
    (!values.is_empty()).then_some(values)
}

/// Checks all classes. The result leaves out what is at fault.
pub fn check(
    file: &[Class],
    links: &[file::Link],
    outer: model::Lifetimes,
    findings: &mut Findings,
) -> Vec<ClassSpec> {
    let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
    for class in file {
        let Some(name) = &class.name else { continue };
        if let Some(first) = names.get(name.value.as_str()) {
            let problem = format!("\"{}\" is already the name of {}", name.value, first.key);
            findings.fault(&name.place, problem, "give each class its own name");
            continue;
        }
        names.insert(&name.value, &class.place);
    }
    if let Some(one_too_many) = file.get(CLASSES_MAX) {
        let problem = format!("{} classes are too many", file.len());
        let remedy = format!("keep {CLASSES_MAX}: a match may list several values");
        findings.fault(&one_too_many.place, problem, remedy);
    }
    let used = uses(&names, links, findings);
    for class in file {
        let Some(name) = &class.name else { continue };
        let says_nothing = class.options.is_empty() && !class.lifetimes.says_anything();
        if says_nothing && !used.contains(&name.value.as_str()) {
            let problem = format!(
                "no pool is for class \"{}\", and it has no options",
                name.value
            );
            let remedy = "write class = … in a pool, give it options or lifetimes, or remove it";
            findings.warn(&class.place, problem, remedy);
        }
    }
    let specs = file.iter().filter_map(|class| {
        let resolved = check::lifetimes(&class.lifetimes, outer, findings);
        Some(ClassSpec {
            name: class.name.as_ref()?.value.clone(),
            matches: class.matches.clone(),
            lifetimes: class
                .lifetimes
                .says_anything()
                .then(|| super::build::lifetimes(resolved)),
            options: class.options.clone(),
        })
    });
    specs.collect()
}

/// The classes that pools are for; those that there are not are faults.
fn uses<'f>(
    names: &BTreeMap<&str, &Place>,
    links: &'f [file::Link],
    findings: &mut Findings,
) -> Vec<&'f str> {
    let addresses = links.iter().flat_map(|link| &link.address_pools);
    let prefixes = links.iter().flat_map(|link| &link.prefix_pools);
    let pools = addresses
        .map(|pool| &pool.class)
        .chain(prefixes.map(|pool| &pool.class));
    let mut used = Vec::new();
    for Placed { value, place } in pools.flatten() {
        for name in &value.0 {
            if !names.contains_key(name.as_str()) {
                let known: Vec<&str> = names.keys().copied().take(NAMES_SHOWN_MAX).collect();
                let remedy = match known.is_empty() {
                    true => "add [[class]] with this name and a match".to_owned(),
                    false => format!("add it, or choose from: {}", known.join(", ")),
                };
                findings.fault(place, format!("there is no [[class]] \"{name}\""), remedy);
            }
            used.push(name.as_str());
        }
    }
    used
}

impl FromToml for ClassNames {
    const EXPECTED: &'static str = "the name of a class in quotes, or a list of names";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let names = match value {
            DeValue::Array(items) => {
                let names = items.iter().map(|item| String::from_toml(item.get_ref()));
                names.collect::<Result<Vec<_>, _>>()?
            }
            DeValue::String(_) => vec![String::from_toml(value)?],
            other => return wrong_type::<Self>(other),
        };
        match names.is_empty() {
            true => wrong(
                "names no class, so no client would draw from the pool",
                "name at least one, or leave the key out for all clients",
            ),
            false => Ok(Self(names)),
        }
    }
}

/// Octets written as text.
struct Text(AttributeValue);

/// Octets behind an enterprise number.
struct Branded(AttributeValue);

/// Octets in hexadecimal.
struct Hex(AttributeValue);

/// An enterprise number alone.
struct Enterprise(AttributeValue);

/// A processor architecture (RFC 5970 §3.3).
struct Architecture(AttributeValue);

macro_rules! are_attribute_values {
    ($($type:ident)+) => {
        $(impl From<$type> for AttributeValue {
            fn from(value: $type) -> Self {
                value.0
            }
        })+
    };
}

are_attribute_values!(Text Branded Hex Enterprise Architecture);

impl FromToml for Text {
    const EXPECTED: &'static str =
        "text in quotes, such as \"olt-7/*\", or { text = … } or { hex = … }";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let octets = match value {
            DeValue::String(text) => text_pattern(text)?,
            DeValue::Table(_) => {
                let (enterprise, octets) = fields(value, &["text", "hex"], Self::EXPECTED)?;
                debug_assert!(enterprise.is_none());
                match octets {
                    Some(octets) => octets,
                    None => return wrong("says nothing", format!("write {}", Self::EXPECTED)),
                }
            }
            other => return wrong_type::<Self>(other),
        };
        Ok(Self(AttributeValue {
            enterprise: None,
            octets: Some(octets),
        }))
    }
}

impl FromToml for Branded {
    const EXPECTED: &'static str =
        "text in quotes, an enterprise number, or { enterprise = …, text = … } or with hex = …";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let (enterprise, octets) = match value {
            DeValue::String(text) => (None, Some(text_pattern(text)?)),
            DeValue::Integer(_) => return Ok(Self(Enterprise::from_toml(value)?.0)),
            DeValue::Table(_) => fields(value, &["enterprise", "text", "hex"], Self::EXPECTED)?,
            other => return wrong_type::<Self>(other),
        };
        if enterprise.is_none() && octets.is_none() {
            return wrong("says nothing", format!("write {}", Self::EXPECTED));
        }
        Ok(Self(AttributeValue { enterprise, octets }))
    }
}

impl FromToml for Hex {
    const EXPECTED: &'static str =
        "octets in hexadecimal, such as \"00:03:00:01:*\", an asterisk for whatever follows";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        match value {
            DeValue::String(text) => Ok(Self(AttributeValue {
                enterprise: None,
                octets: Some(hex_pattern(text)?),
            })),
            other => wrong_type::<Self>(other),
        }
    }
}

impl FromToml for Enterprise {
    const EXPECTED: &'static str = "an enterprise number, without quotes";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let DeValue::Integer(_) = value else {
            return wrong_type::<Self>(value);
        };
        let number = Within::<0, 0xffff_ffff>::from_toml(value)?;
        Ok(Self(AttributeValue {
            enterprise: Some(number.0 as u32),
            octets: None,
        }))
    }
}

impl FromToml for Architecture {
    const EXPECTED: &'static str = "an architecture type, without quotes, such as 7 for x64 UEFI";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let DeValue::Integer(_) = value else {
            return wrong_type::<Self>(value);
        };
        let number = Within::<0, 0xffff>::from_toml(value)?;
        let octets = Pattern::exact(&(number.0 as u16).to_be_bytes());
        Ok(Self(AttributeValue {
            enterprise: None,
            octets: Some(octets),
        }))
    }
}

/// The fields of a value that is a table: enterprise number, and octets as text or hexadecimal.
fn fields(
    value: &DeValue<'_>,
    known: &[&str],
    expected: &str,
) -> Result<(Option<u32>, Option<Pattern>), Wrong> {
    let DeValue::Table(table) = value else {
        return Ok((None, None));
    };
    let (mut enterprise, mut octets) = (None, None);
    for (name, value) in table {
        let (name, value) = (name.get_ref().as_ref(), value.get_ref());
        if !known.contains(&name) {
            return wrong(
                format!("has an unknown key \"{name}\""),
                format!("write {expected}"),
            );
        }
        if name == "enterprise" {
            enterprise = Enterprise::from_toml(value)?.0.enterprise;
            continue;
        }
        let text = String::from_toml(value)?;
        let pattern = match name {
            "hex" => hex_pattern(&text)?,
            _ => text_pattern(&text)?,
        };
        if octets.replace(pattern).is_some() {
            return wrong("has both text and hex", "keep one of the two");
        }
    }
    Ok((enterprise, octets))
}

/// A text with an asterisk at one end, both or neither.
fn text_pattern(text: &str) -> Result<Pattern, Wrong> {
    let (open_start, inner, open_end) = asterisks(text);
    if inner.contains('*') {
        return wrong(
            format!("\"{text}\" has an asterisk that is not at an end"),
            "write what is in front of it and an asterisk, or all octets as { hex = … }",
        );
    }
    if text.is_empty() {
        return wrong("is empty", "write the text, or \"*\" for whatever is there");
    }
    Ok(Pattern {
        octets: inner.as_bytes().to_vec(),
        open_start,
        open_end,
    })
}

/// Octets in hexadecimal with an asterisk at one end, both or neither.
fn hex_pattern(text: &str) -> Result<Pattern, Wrong> {
    let (open_start, inner, open_end) = asterisks(text);
    let inner = match open_start {
        true => inner.strip_prefix(':').unwrap_or(inner),
        false => inner,
    };
    let inner = match open_end {
        true => inner.strip_suffix(':').unwrap_or(inner),
        false => inner,
    };
    match parse_hex(inner) {
        Some(octets) if !text.is_empty() => Ok(Pattern {
            octets,
            open_start,
            open_end,
        }),
        _ => wrong(
            format!("\"{text}\" is not hexadecimal"),
            format!("write {}", Hex::EXPECTED),
        ),
    }
}

/// Whether an asterisk stands before, what is between, and whether one stands behind.
fn asterisks(text: &str) -> (bool, &str, bool) {
    let (inner, open_end) = match text.strip_suffix('*') {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    match inner.strip_prefix('*') {
        Some(inner) => (true, inner, open_end),
        None => (false, inner, open_end),
    }
}
