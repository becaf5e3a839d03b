//! Kea's JSON, read.

use serde_json::{Map, Value};
use std::net::Ipv6Addr;

/// Preferred and valid lifetime, seconds.
pub(super) type Lifetimes = (Option<u64>, Option<u64>);

pub(super) fn lifetimes_of(map: &Map<String, Value>) -> Lifetimes {
    let secs = |key: &str| map.get(key).and_then(Value::as_u64);
    (secs("preferred-lifetime"), secs("valid-lifetime"))
}

pub(super) fn array<'v>(map: &'v Map<String, Value>, key: &str) -> &'v [Value] {
    map.get(key)
        .and_then(Value::as_array)
        .map_or(&[], |array| array)
}

pub(super) fn strings<'v>(map: &'v Map<String, Value>, key: &str) -> Vec<&'v str> {
    array(map, key).iter().filter_map(Value::as_str).collect()
}

pub(super) fn show_id(map: &Map<String, Value>) -> String {
    map.get("id")
        .map_or_else(|| "?".into(), ToString::to_string)
}

/// Whether `address` lies in `subnet`.
pub(super) fn covers(subnet: Option<&Value>, address: &str) -> bool {
    let parse = || {
        let (network, len) = subnet?.as_str()?.split_once('/')?;
        let network: Ipv6Addr = network.parse().ok()?;
        let address: Ipv6Addr = address.parse().ok()?;
        let len: u32 = len.parse().ok().filter(|len| *len <= 128)?;
        let differ = network.to_bits() ^ address.to_bits();
        Some(differ.checked_shr(128 - len).unwrap_or(0) == 0)
    };
    parse().unwrap_or(false)
}

/// Kea takes comments by `#`, `//` and `/* */`, and commas before a closing bracket.
pub(super) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('"', _) => {
                out.push('"');
                while let Some(inner) = characters.next() {
                    out.push(inner);
                    match inner {
                        '\\' => out.extend(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            ('#', _) | ('/', Some('/')) => while characters.next_if(|c| *c != '\n').is_some() {},
            ('/', Some('*')) => {
                characters.next();
                let mut before = ' ';
                for inner in characters.by_ref() {
                    if before == '*' && inner == '/' {
                        break;
                    }
                    before = inner;
                }
            }
            (']' | '}', _) => {
                if out.trim_end().ends_with(',') {
                    out.truncate(out.trim_end().len() - 1);
                }
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}
