//! Options by number: `[[options.raw]]`, and those inside `[[options.vendor]]`.

use std::net::Ipv6Addr;

use engine::is_configurable;
use wire::OptionCode;

use super::super::read::Reader;
use super::super::value::{DomainName, Octets, Within};
use super::KEYS;
use super::values::encoded_name;

/// `code`, and one of the keys that say what the data is.
pub fn option(t: &mut Reader<'_, '_>) -> Option<(OptionCode, Vec<u8>)> {
    let code = t.require::<Within<1, 65_535>>("code");
    let data = data(t);
    let code = OptionCode(code?.value.0 as u16);
    if let Some((key, _)) = KEYS.iter().find(|(_, known)| *known == code) {
        let remedy = format!("write {key} = … in the options instead");
        t.fault_at("code", format!("{code} has a key of its own"), &remedy);
        return None;
    }
    if !is_configurable(code) {
        let problem = format!("{code} is written by rules of its own, or never by a server");
        t.fault_at("code", problem, "remove it");
        return None;
    }
    Some((code, data?))
}

/// The data of a Vendor-specific Information option (RFC 9915 §21.17).
pub fn vendor(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let enterprise = t.require::<Within<1, 0xffff_ffff>>("enterprise");
    let suboptions = t.tables("option", |t| {
        let code = t.require::<Within<0, 65_535>>("code");
        let data = data(t);
        Some((code?.value.0 as u16, data?))
    });
    let mut vendor = (enterprise?.value.0 as u32).to_be_bytes().to_vec();
    for (code, data) in suboptions.into_iter().flatten() {
        vendor.extend(code.to_be_bytes());
        vendor.extend((data.len() as u16).to_be_bytes());
        vendor.extend(data);
    }
    Some(vendor)
}

const DATA_REMEDY: &str =
    "write one of hex, text, addresses, names, u8, u16, u32, or hex = \"\" for no data";

/// The data, from exactly one of the keys for it.
fn data(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let number = |bits: u32, value: u64| value.to_be_bytes()[8 - bits as usize / 8..].to_vec();
    let kinds = [
        t.get::<Octets<0, 65_535>>("hex")
            .map(|hex| hex.value.0.into_vec()),
        t.get::<String>("text").map(|text| text.value.into_bytes()),
        t.list::<Ipv6Addr>("addresses").map(|list| {
            let octets = list.value.iter().flat_map(|address| address.value.octets());
            octets.collect()
        }),
        t.list::<DomainName>("names").map(|list| {
            let names = list.value.iter().flat_map(|name| encoded_name(&name.value));
            names.collect()
        }),
        t.get::<Within<0, 0xff>>("u8").map(|n| number(8, n.value.0)),
        t.get::<Within<0, 0xffff>>("u16")
            .map(|n| number(16, n.value.0)),
        t.get::<Within<0, 0xffff_ffff>>("u32")
            .map(|n| number(32, n.value.0)),
    ];
    let keys = ["hex", "text", "addresses", "names", "u8", "u16", "u32"];
    let written = keys.into_iter().filter(|key| t.has(key)).count();
    if written != 1 {
        let problem = match written {
            0 => "has no data",
            _ => "has data in several forms",
        };
        t.fault(problem, DATA_REMEDY);
        return None;
    }
    kinds.into_iter().flatten().next()
}
