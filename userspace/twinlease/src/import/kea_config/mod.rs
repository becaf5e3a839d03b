//! Kea's DHCPv6 config as this server's: what can be said here is said, and every other key is told
//! with the reason why it is not.

mod classes;
mod expression;
mod json;
mod links;
mod options;
mod pools;
mod reasons;
mod reservations;
mod toml;

use self::expression::Match;
use self::json::{Lifetimes, array, lifetimes_of, without_comments};
use self::reasons::REASONS;
use self::toml::{duration, quoted};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// A config made of Kea's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeaConfig {
    /// The text of the config file.
    pub toml: String,
    /// Each key that is not taken over, where it stands, and why.
    pub left_out: Vec<String>,
    /// Links, pools, reservations and client classes taken over.
    pub taken: [usize; 4],
}

/// Converts the text of a Kea config. `server_duid` is the one that Kea's clients know, in
/// hexadecimal: Kea keeps it in `kea-dhcp6-serverid`.
///
/// # Errors
/// It is not a config of Kea's DHCPv6 server; in words for the operator.
pub fn convert(text: &str, server_duid: Option<&str>) -> Result<KeaConfig, String> {
    let json: Value = serde_json::from_str(&without_comments(text))
        .map_err(|error| format!("not JSON, comments apart: {error}"))?;
    let config = json
        .get("Dhcp6")
        .and_then(Value::as_object)
        .ok_or("there is no \"Dhcp6\" object: not a config of Kea's DHCPv6 server")?;
    let mut out = Converter::default();
    out.server(server_duid);
    out.global(config);
    Ok(KeaConfig {
        toml: out.toml,
        left_out: out.left_out,
        taken: out.taken,
    })
}

#[derive(Default)]
struct Converter {
    toml: String,
    left_out: Vec<String>,
    taken: [usize; 4],
    /// The matches of the classes that are taken over.
    classes: HashMap<String, Vec<Match>>,
}

impl Converter {
    fn line(&mut self, line: impl AsRef<str>) {
        self.toml.push_str(line.as_ref());
        self.toml.push('\n');
    }

    fn leave(&mut self, place: &str, key: &str, why: &str) {
        self.left_out.push(format!("{place}{key}: {why}"));
    }

    /// Tells every key of `map` that is not among those `used`.
    fn leave_rest(&mut self, place: &str, map: &Map<String, Value>, used: &[&str]) {
        for (key, _) in map.iter().filter(|(key, _)| !used.contains(&key.as_str())) {
            let known = REASONS.iter().find(|(name, _)| name == key);
            let why = known.map_or("nothing here corresponds to it", |(_, why)| why);
            self.leave(place, key, why);
        }
    }

    fn server(&mut self, duid: Option<&str>) {
        self.line("[server]");
        match duid {
            Some(duid) => self.line(format!("duid = {}", quoted(duid))),
            None => {
                self.line("# duid = \"…\"");
                self.leave(
                    "",
                    "server DUID",
                    "not in Kea's config, and without it no Renew is answered, because clients name \
                     the server they know: give the text of Kea's file kea-dhcp6-serverid by \
                     --server-duid",
                );
            }
        }
    }

    fn global(&mut self, config: &Map<String, Value>) {
        self.interfaces(config);
        let lifetimes = lifetimes_of(config);
        self.lifetimes("[lifetimes]", lifetimes);
        self.options("", config, "[options]");
        self.client_classes(config);
        let mut rapid = Vec::new();
        let subnets = array(config, "subnet6");
        for (index, subnet) in subnets.iter().enumerate() {
            let place = format!("subnet6[{index}].");
            self.link(
                &place,
                None,
                std::slice::from_ref(subnet),
                lifetimes,
                &mut rapid,
            );
        }
        for (index, network) in array(config, "shared-networks").iter().enumerate() {
            let place = format!("shared-networks[{index}].");
            let Some(map) = network.as_object() else {
                self.leave("", &place, "not an object");
                continue;
            };
            let inner = lifetimes_of(map);
            let inner = (inner.0.or(lifetimes.0), inner.1.or(lifetimes.1));
            self.link(&place, Some(map), array(map, "subnet6"), inner, &mut rapid);
        }
        if rapid.contains(&true) && rapid.contains(&false) {
            self.leave(
                "",
                "rapid-commit",
                "it is for all links or for none here; it stands on some of them, so set \
                 lifetimes.rapid-commit yourself",
            );
        } else if rapid.first() == Some(&true) {
            self.toml =
                self.toml
                    .replacen("[lifetimes]\n", "[lifetimes]\nrapid-commit = true\n", 1);
        }
        for (index, _) in array(config, "reservations").iter().enumerate() {
            let place = format!("reservations[{index}]");
            self.leave(
                "",
                &place,
                "a reservation stands in a link here; move it into one",
            );
        }
        self.leave_rest(
            "",
            config,
            &[
                "interfaces-config",
                "subnet6",
                "shared-networks",
                "option-data",
                "client-classes",
                "preferred-lifetime",
                "valid-lifetime",
                "reservations",
            ],
        );
    }

    fn interfaces(&mut self, config: &Map<String, Value>) {
        let place = "interfaces-config.";
        let Some(interfaces) = config.get("interfaces-config").and_then(Value::as_object) else {
            return;
        };
        for name in array(interfaces, "interfaces") {
            let name = name.as_str().unwrap_or_default();
            match name.split_once('/') {
                _ if name == "*" => {
                    self.leave(place, "interfaces", "\"*\": name each interface here");
                }
                Some((name, address)) => {
                    self.line(format!("\n[[interface]]\nname = {}", quoted(name)));
                    self.line(format!("addresses = [{}]", quoted(address)));
                }
                None => self.line(format!("\n[[interface]]\nname = {}", quoted(name))),
            }
        }
        self.leave_rest(place, interfaces, &["interfaces"]);
    }

    fn lifetimes(&mut self, table: &str, (preferred, valid): Lifetimes) {
        self.line(format!("\n{table}"));
        for (name, secs) in [("preferred", preferred), ("valid", valid)] {
            if let Some(secs) = secs {
                self.line(format!("{name} = {}", duration(secs)));
            }
        }
    }
}
