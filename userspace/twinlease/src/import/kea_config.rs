//! Kea's DHCPv6 config as this server's: what can be said here is said, and every other key is told
//! with the reason why it is not.

use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// A config made of Kea's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeaConfig {
    /// The text of the config file.
    pub toml: String,
    /// Each key that is not taken over, where it stands, and why.
    pub left_out: Vec<String>,
    /// Links, pools and reservations taken over.
    pub taken: [usize; 3],
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

/// Why a key is not taken over, if more can be said than that nothing here corresponds to it.
const REASONS: &[(&str, &str)] = &[
    (
        "control-socket",
        "the control socket is control.socket here",
    ),
    (
        "control-sockets",
        "the control socket is control.socket here",
    ),
    (
        "lease-database",
        "leases are in state-dir; bring them with `twinlease leases import`",
    ),
    ("hosts-database", "reservations come from the config"),
    ("hosts-databases", "reservations come from the config"),
    ("loggers", "logs go to stderr"),
    (
        "hooks-libraries",
        "there are no hooks; configure by hand what they did",
    ),
    ("multi-threading", "one worker for each of workers.cores"),
    (
        "expired-leases-processing",
        "expired leases are free at once",
    ),
    ("dhcp-ddns", "there are no DNS updates"),
    (
        "renew-timer",
        "T1 is half of the shortest preferred lifetime",
    ),
    (
        "rebind-timer",
        "T2 is 0.8 of the shortest preferred lifetime",
    ),
    (
        "calculate-tee-times",
        "T1 and T2 are 0.5 and 0.8 of the shortest preferred lifetime",
    ),
    (
        "t1-percent",
        "T1 is half of the shortest preferred lifetime",
    ),
    ("t2-percent", "T2 is 0.8 of the shortest preferred lifetime"),
    ("min-valid-lifetime", "clients cannot choose lifetimes"),
    ("max-valid-lifetime", "clients cannot choose lifetimes"),
    ("min-preferred-lifetime", "clients cannot choose lifetimes"),
    ("max-preferred-lifetime", "clients cannot choose lifetimes"),
    (
        "server-id",
        "give the DUID that clients know by --server-duid",
    ),
    (
        "client-classes",
        "classes have no expressions here; configure them by hand",
    ),
    ("client-class", "configure the class by hand"),
    ("client-classes-required", "configure the class by hand"),
    ("evaluate-additional-classes", "configure the class by hand"),
    ("require-client-classes", "configure the class by hand"),
    (
        "interface-id",
        "links are told apart by link-addresses or interface",
    ),
    ("hostname", "there are no DNS updates"),
    (
        "allocator",
        "leases are chosen by a keyed hash, the same again for the same client",
    ),
    (
        "pd-allocator",
        "leases are chosen by a keyed hash, the same again for the same client",
    ),
    ("store-extended-info", "relay data is always kept"),
    ("cache-threshold", "every renewal is recorded"),
    ("cache-max-age", "every renewal is recorded"),
    ("user-context", "comments are not read"),
    ("comment", "comments are not read"),
    (
        "excluded-prefix",
        "write excluded-length: the first prefix of that length is excluded",
    ),
    (
        "sanity-checks",
        "a binding outside of all pools is kept until it ends",
    ),
    ("server-tag", "there is one server"),
];

#[derive(Default)]
struct Converter {
    toml: String,
    left_out: Vec<String>,
    taken: [usize; 3],
}

/// Preferred and valid lifetime, seconds.
type Lifetimes = (Option<u64>, Option<u64>);

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
        self.options("", config, true);
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

    /// The options that have a name here; others are told.
    fn options(&mut self, place: &str, map: &Map<String, Value>, global: bool) {
        let mut lines = Vec::new();
        for (index, option) in array(map, "option-data").iter().enumerate() {
            let place = format!("{place}option-data[{index}]");
            let text = |key: &str| option.get(key).and_then(Value::as_str);
            let code = option.get("code").and_then(Value::as_u64);
            let name = match (text("name"), code) {
                (Some("dns-servers"), _) | (None, Some(23)) => "dns-servers",
                (Some("domain-search"), _) | (None, Some(24)) => "domain-search",
                (name, code) => {
                    let name = name.map_or_else(|| format!("code {code:?}"), str::to_owned);
                    self.leave(
                        &place,
                        "",
                        &format!("{name}: write it into options by hand"),
                    );
                    continue;
                }
            };
            if option.get("csv-format") == Some(&Value::Bool(false)) {
                self.leave(&place, "", "in hexadecimal: write it into options by hand");
                continue;
            }
            let data = text("data").unwrap_or_default().split(',');
            let items: Vec<String> = data
                .map(|item| quoted(item.trim().trim_end_matches('.')))
                .collect();
            lines.push(format!("{name} = [{}]", items.join(", ")));
        }
        if !lines.is_empty() {
            let table = if global {
                "[options]"
            } else {
                "[link.options]"
            };
            self.line(format!("\n{table}"));
            lines.iter().for_each(|line| self.line(line));
        }
    }

    /// One link: a subnet, or the subnets of a shared network.
    fn link(
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
                self.options(place, network, false);
                for map in subnets.iter().filter(|map| map.contains_key("option-data")) {
                    let place = format!("{place}subnet6[{}].", show_id(map));
                    self.leave(
                        &place,
                        "option-data",
                        "options are the link's here, not the subnet's",
                    );
                }
            }
            (_, Some(map)) => self.options(place, map, false),
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
            self.subnet(&place, map);
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
            self.leave_rest(place, network, &used);
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

    fn subnet(&mut self, place: &str, map: &Map<String, Value>) {
        for (index, pool) in array(map, "pools").iter().enumerate() {
            let place = format!("{place}pools[{index}].");
            let Some((pool, range)) = pool
                .as_object()
                .and_then(|pool| Some((pool, pool.get("pool")?.as_str()?)))
            else {
                self.leave(&place, "pool", "no range");
                continue;
            };
            let range: String = range.split_whitespace().collect();
            self.line(format!(
                "\n[[link.address-pool]]\nrange = {}",
                quoted(&range)
            ));
            self.taken[1] += 1;
            self.leave_rest(&place, pool, &["pool", "pool-id"]);
        }
        for (index, pool) in array(map, "pd-pools").iter().enumerate() {
            let place = format!("{place}pd-pools[{index}].");
            let fields = pool.as_object().and_then(|pool| {
                let number = |key: &str| pool.get(key)?.as_u64();
                let prefix = pool.get("prefix")?.as_str()?;
                Some((
                    pool,
                    prefix,
                    number("prefix-len")?,
                    number("delegated-len")?,
                ))
            });
            let Some((pool, prefix, len, delegated)) = fields else {
                self.leave(&place, "prefix", "no prefix, prefix-len and delegated-len");
                continue;
            };
            self.line(format!(
                "\n[[link.prefix-pool]]\nprefix = {}\ndelegated-length = {delegated}",
                quoted(&format!("{prefix}/{len}"))
            ));
            self.taken[1] += 1;
            let used = ["prefix", "prefix-len", "delegated-len", "pool-id"];
            self.leave_rest(&place, pool, &used);
        }
        for (index, reservation) in array(map, "reservations").iter().enumerate() {
            let place = format!("{place}reservations[{index}].");
            match reservation.as_object() {
                Some(reservation) => self.reservation(&place, reservation),
                None => self.leave(&place, "", "not an object"),
            }
        }
        let used = [
            "id",
            "subnet",
            "pools",
            "pd-pools",
            "reservations",
            "relay",
            "interface",
            "option-data",
            "preferred-lifetime",
            "valid-lifetime",
            "rapid-commit",
        ];
        self.leave_rest(place, map, &used);
    }

    fn reservation(&mut self, place: &str, map: &Map<String, Value>) {
        let key = [("duid", "duid"), ("hw-address", "link-layer-address")]
            .into_iter()
            .find_map(|(kea, own)| Some((own, map.get(kea)?.as_str()?)));
        let Some((own, value)) = key else {
            self.leave(
                place,
                "",
                "its client is named neither by DUID nor by link-layer address",
            );
            return;
        };
        let addresses: Vec<&str> = strings(map, "ip-addresses");
        let prefixes: Vec<&str> = strings(map, "prefixes");
        if addresses.is_empty() && prefixes.is_empty() {
            self.leave(place, "", "it reserves neither address nor prefix");
            return;
        }
        self.line(format!("\n[[link.reservation]]\n{own} = {}", quoted(value)));
        if let Some(address) = addresses.first() {
            self.line(format!("address = {}", quoted(address)));
        }
        if let Some(prefix) = prefixes.first() {
            self.line(format!("prefix = {}", quoted(prefix)));
        }
        self.taken[2] += 1;
        for more in addresses.iter().skip(1).chain(prefixes.iter().skip(1)) {
            let why = "one address and one prefix are reserved for a client";
            self.leave(place, more, why);
        }
        let used = ["duid", "hw-address", "ip-addresses", "prefixes"];
        self.leave_rest(place, map, &used);
    }
}

fn lifetimes_of(map: &Map<String, Value>) -> Lifetimes {
    let secs = |key: &str| map.get(key).and_then(Value::as_u64);
    (secs("preferred-lifetime"), secs("valid-lifetime"))
}

fn array<'v>(map: &'v Map<String, Value>, key: &str) -> &'v [Value] {
    map.get(key)
        .and_then(Value::as_array)
        .map_or(&[], |array| array)
}

fn strings<'v>(map: &'v Map<String, Value>, key: &str) -> Vec<&'v str> {
    array(map, key).iter().filter_map(Value::as_str).collect()
}

fn show_id(map: &Map<String, Value>) -> String {
    map.get("id")
        .map_or_else(|| "?".into(), ToString::to_string)
}

/// Whether `address` lies in `subnet`.
fn covers(subnet: Option<&Value>, address: &str) -> bool {
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

fn duration(secs: u64) -> String {
    match u32::try_from(secs) {
        Ok(u32::MAX) | Err(_) => quoted("infinite"),
        Ok(secs) => quoted(&format!("{secs}s")),
    }
}

/// A TOML string (TOML 1.0, basic strings).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Kea takes comments by `#`, `//` and `/* */`, and commas before a closing bracket.
fn without_comments(text: &str) -> String {
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
