//! Subnets and shared networks: links.

use super::Converter;
use super::classes::CLASS_KEYS;
use super::json::{Lifetimes, array, covers, lifetimes_of, show_id};
use super::toml::quoted;
use serde_json::{Map, Value};
use std::net::Ipv6Addr;

impl Converter {
    /// One link: a subnet, or the subnets of a shared network.
    pub(super) fn link(
        &mut self,
        place: &str,
        network: Option<&Map<String, Value>>,
        subnets: &[Value],
        outer: Lifetimes,
        rapid: &mut Vec<bool>,
    ) {
        let subnets: Vec<&Map<String, Value>> =
            subnets.iter().filter_map(Value::as_object).collect();
        let Some(first) = subnets.first() else {
            self.leave(place, "subnet6", "no subnet, so no link");
            return;
        };
        let name = match network.and_then(|network| network.get("name")?.as_str()) {
            Some(name) => name.to_owned(),
            None => match first.get("id").and_then(Value::as_u64) {
                Some(id) => format!("subnet-{id}"),
                None => format!("subnet-{}", self.taken[0] + 1),
            },
        };
        let all = || network.into_iter().chain(subnets.iter().copied());
        let mut addresses: Vec<String> = Vec::new();
        for map in all() {
            let subnet = map.get("subnet").and_then(Value::as_str);
            addresses.extend(subnet.map(str::to_owned));
            let relay = map.get("relay").and_then(Value::as_object);
            for address in relay.map_or(&[][..], |relay| array(relay, "ip-addresses")) {
                let address = address.as_str().unwrap_or_default();
                let within = subnets.iter().any(|map| covers(map.get("subnet"), address));
                match address.parse::<Ipv6Addr>() {
                    Ok(_) if within => {}
                    Ok(_) => addresses.push(format!("{address}/128")),
                    Err(_) => self.leave(place, "relay", &format!("{address:?} is no address")),
                }
            }
        }
        self.line(format!("\n[[link]]\nname = {}", quoted(&name)));
        let interface = all().find_map(|map| map.get("interface")?.as_str());
        if let Some(interface) = interface {
            self.line(format!("interface = {}", quoted(interface)));
        }
        let addresses: Vec<String> = addresses.iter().map(|a| quoted(a)).collect();
        self.line(format!("link-addresses = [{}]", addresses.join(", ")));
        self.taken[0] += 1;
        self.link_lifetimes(place, network, &subnets, outer);
        let inner = if subnets.len() == 1 {
            Some(*first)
        } else {
            None
        };
        match (network, inner) {
            (Some(network), _) if network.contains_key("option-data") => {
                self.options(place, network, "[link.options]");
                for map in subnets.iter().filter(|map| map.contains_key("option-data")) {
                    let place = format!("{place}subnet6[{}].", show_id(map));
                    self.leave(
                        &place,
                        "option-data",
                        "options are the link's here, not the subnet's",
                    );
                }
            }
            (_, Some(map)) => self.options(place, map, "[link.options]"),
            _ => {
                for map in subnets.iter().filter(|map| map.contains_key("option-data")) {
                    let place = format!("{place}subnet6[{}].", show_id(map));
                    self.leave(
                        &place,
                        "option-data",
                        "options are the link's here, not the subnet's",
                    );
                }
            }
        }
        for (index, map) in subnets.iter().enumerate() {
            let place = match network {
                Some(_) => format!("{place}subnet6[{index}]."),
                None => place.to_owned(),
            };
            rapid.push(
                map.get("rapid-commit")
                    .and_then(Value::as_bool)
                    .unwrap_or(false),
            );
            self.subnet(&place, network, map);
        }
        if let Some(network) = network {
            let used = [
                "name",
                "subnet6",
                "relay",
                "interface",
                "option-data",
                "preferred-lifetime",
                "valid-lifetime",
                "rapid-commit",
            ];
            self.required_classes(place, network);
            self.leave_rest(place, network, &[&used[..], &CLASS_KEYS].concat());
        }
    }

    fn link_lifetimes(
        &mut self,
        place: &str,
        network: Option<&Map<String, Value>>,
        subnets: &[&Map<String, Value>],
        outer: Lifetimes,
    ) {
        let each: Vec<Lifetimes> = subnets
            .iter()
            .map(|map| {
                let own = lifetimes_of(map);
                (own.0.or(outer.0), own.1.or(outer.1))
            })
            .collect();
        let own = subnets.iter().any(|map| lifetimes_of(map) != (None, None));
        if each.windows(2).any(|pair| pair[0] != pair[1]) {
            self.leave(
                place,
                "valid-lifetime",
                "the subnets differ; give their pools lifetimes = { … } by hand",
            );
        }
        if (own || network.is_some_and(|map| lifetimes_of(map) != (None, None)))
            && let Some(first) = each.first()
        {
            self.lifetimes("[link.lifetimes]", *first);
        }
    }
}
