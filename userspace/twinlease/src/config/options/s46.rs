//! Softwire containers: MAP-E, MAP-T, Lightweight 4over6 (RFC 7598).

use std::net::Ipv4Addr;

use wire::OptionCode;

use super::super::read::Reader;
use super::super::value::{Ipv4Prefix, Prefix, Within};
use super::values::Unicast;

/// Reads a container's table: its data.
type Container = fn(&mut Reader<'_, '_>) -> Option<Vec<u8>>;

/// Key, code and reader of each container.
pub const CONTAINERS: [(&str, OptionCode, Container); 3] = [
    ("map-e", OptionCode::S46_CONT_MAPE, map_e),
    ("map-t", OptionCode::S46_CONT_MAPT, map_t),
    ("lw4o6", OptionCode::S46_CONT_LW, lw4o6),
];

/// At least one rule and one border relay (RFC 7598 §5.1).
fn map_e(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let rules = rules(t);
    let relays = border_relays(t);
    Some([rules?, relays?].concat())
}

/// At least one rule and the default mapping rule (RFC 7598 §5.2).
fn map_t(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let rules = rules(t);
    let mut default = Vec::new();
    prefix6(
        t.require::<Prefix>("default-mapping-rule")?.value,
        &mut default,
    );
    Some([rules?, option(OptionCode::S46_DMR, &default)].concat())
}

/// At least one border relay, and the client's own addresses if they are said (RFC 7598 §5.3).
fn lw4o6(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let relays = border_relays(t);
    let bindings = t.tables("binding", |t| {
        let (v4, v6) = (
            t.require::<Ipv4Addr>("ipv4-address"),
            t.require::<Prefix>("ipv6-prefix"),
        );
        let ports = port_parameters(t);
        let mut data = v4?.value.octets().to_vec();
        prefix6(v6?.value, &mut data);
        data.extend(ports);
        Some(option(OptionCode::S46_V4V6BIND, &data))
    });
    if bindings.len() > 1 {
        t.fault("has more than one binding", "keep one (RFC 7598 §5.3)");
    }
    Some([relays?, bindings.into_iter().flatten().flatten().collect()].concat())
}

fn rules(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let rules = t.tables("rule", |t| {
        let v6 = t.require::<Prefix>("ipv6-prefix");
        let v4 = t.require::<Ipv4Prefix>("ipv4-prefix");
        let ea_len = t.require::<Within<0, 48>>("ea-length");
        let forwards = t.get::<bool>("forwarding").is_some_and(|f| f.value);
        let ports = port_parameters(t);
        let v4 = v4?.value;
        let mut data = vec![u8::from(forwards), ea_len?.value.0 as u8, v4.len];
        data.extend(v4.first.octets());
        prefix6(v6?.value, &mut data);
        data.extend(ports);
        Some(option(OptionCode::S46_RULE, &data))
    });
    if rules.is_empty() {
        t.fault(
            "has no rule",
            "add rule = [{ ipv6-prefix, ipv4-prefix, ea-length }]",
        );
        return None;
    }
    Some(rules.into_iter().flatten().flatten().collect())
}

fn border_relays(t: &mut Reader<'_, '_>) -> Option<Vec<u8>> {
    let relays = t.list::<Unicast>("border-relays").map(|list| list.value);
    let relays = relays.unwrap_or_default();
    if relays.is_empty() {
        t.fault(
            "has no border relay",
            "add border-relays = [\"2001:db8::1\"]",
        );
        return None;
    }
    let encoded = relays
        .iter()
        .flat_map(|br| option(OptionCode::S46_BR, &br.value.0.octets()));
    Some(encoded.collect())
}

/// Port parameters, if any are said (RFC 7598 §4.5): the PSID stands in the highest bits.
fn port_parameters(t: &mut Reader<'_, '_>) -> Vec<u8> {
    let offset = t.get::<Within<0, 15>>("psid-offset").map(|n| n.value.0);
    let len = t.get::<Within<0, 16>>("psid-length").map(|n| n.value.0);
    let psid = t.get::<Within<0, 65_535>>("psid").map(|n| n.value.0);
    if offset.is_none() && len.is_none() && psid.is_none() {
        return Vec::new();
    }
    let (len, psid) = (len.unwrap_or(0), psid.unwrap_or(0));
    if psid >> len != 0 {
        let problem = format!("does not fit into {len} bits");
        t.fault_at("psid", problem, "raise psid-length or lower psid");
        return Vec::new();
    }
    let field = (psid << (16 - len)) as u16;
    let mut data = vec![offset.unwrap_or(0) as u8, len as u8];
    data.extend(field.to_be_bytes());
    option(OptionCode::S46_PORTPARAMS, &data)
}

/// A prefix's length and those of its octets that hold bits of it.
fn prefix6(prefix: Prefix, data: &mut Vec<u8>) {
    data.push(prefix.len);
    data.extend(&prefix.first.to_be_bytes()[..usize::from(prefix.len).div_ceil(8)]);
}

fn option(code: OptionCode, data: &[u8]) -> Vec<u8> {
    let mut option = code.0.to_be_bytes().to_vec();
    option.extend((data.len() as u16).to_be_bytes());
    option.extend(data);
    option
}
