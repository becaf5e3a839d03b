//! `[options]` and `options = { … }`: from what an operator writes to codes and octets.
//!
//! Every option that has a form of its own has a key; all others are written raw, by number.

mod raw;
mod s46;
#[cfg(test)]
mod tests;
mod values;

use engine::{OptionValue, OptionValues};
use std::net::Ipv6Addr;
use wire::OptionCode;

use super::read::{Placed, Reader};
use super::value::DomainName;
use values::{MaxRt, Named, NtpServer, RefreshTime, Unicast, encoded_name};

/// Most values of one option, so that a reply with all of them stays within one packet.
const ITEMS_MAX: usize = 8;
/// More octets than this for one client's options, and a reply may not fit into a packet.
const OCTETS_USUAL_MAX: usize = 900;

/// The options that have a key, which is also their name in `always` and `off`.
const KEYS: [(&str, OptionCode); 15] = [
    ("dns-servers", OptionCode::DNS_SERVERS),
    ("domain-search", OptionCode::DOMAIN_LIST),
    ("sntp-servers", OptionCode::SNTP_SERVERS),
    ("ntp-servers", OptionCode::NTP_SERVER),
    (
        "information-refresh-time",
        OptionCode::INFORMATION_REFRESH_TIME,
    ),
    ("boot-file-url", OptionCode::BOOTFILE_URL),
    ("boot-file-parameters", OptionCode::BOOTFILE_PARAM),
    ("aftr-name", OptionCode::AFTR_NAME),
    ("sol-max-rt", OptionCode::SOL_MAX_RT),
    ("inf-max-rt", OptionCode::INF_MAX_RT),
    ("map-e", OptionCode::S46_CONT_MAPE),
    ("map-t", OptionCode::S46_CONT_MAPT),
    ("lw4o6", OptionCode::S46_CONT_LW),
    ("captive-portal", OptionCode::CAPTIVE_PORTAL),
    ("vendor", OptionCode::VENDOR_OPTS),
];

/// Reads an options table.
pub fn read(t: &mut Reader<'_, '_>) -> OptionValues {
    let mut read = Read {
        t,
        found: Vec::new(),
    };
    read.lists();
    read.single_values();
    read.s46();
    read.vendor();
    read.raw();
    read.sent_always();
    read.silenced();
    read.warn_if_large();
    let mut values = OptionValues::default();
    for (code, value) in read.found {
        values.set(code, value);
    }
    values
}

struct Read<'t, 'd, 'f> {
    t: &'t mut Reader<'d, 'f>,
    found: Vec<(OptionCode, OptionValue)>,
}

impl Read<'_, '_, '_> {
    /// One more instance of an option.
    fn add(&mut self, code: OptionCode, data: Vec<u8>) {
        match self.found.iter_mut().find(|(found, _)| *found == code) {
            Some((_, value)) => value.instances.push(data),
            None => {
                let value = OptionValue {
                    instances: vec![data],
                    always: false,
                };
                self.found.push((code, value));
            }
        }
    }

    fn silence(&mut self, code: OptionCode) {
        self.found.push((code, OptionValue::default()));
    }

    /// A list that becomes the data of one option; an empty one silences the level above.
    fn list<T: super::value::FromToml>(
        &mut self,
        key: &'static str,
        code: OptionCode,
        encode: impl Fn(&T, &mut Vec<u8>),
    ) {
        let Some(list) = self.t.list::<T>(key) else {
            return;
        };
        if list.value.len() > ITEMS_MAX {
            let problem = format!("{} items are too many for one packet", list.value.len());
            let remedy = format!("keep the first {ITEMS_MAX}");
            self.t.fault_at(key, problem, &remedy);
        }
        let mut data = Vec::new();
        list.value
            .iter()
            .for_each(|item| encode(&item.value, &mut data));
        match list.value.is_empty() {
            true => self.silence(code),
            false => self.add(code, data),
        }
    }

    fn lists(&mut self) {
        let unicast = |server: &Unicast, data: &mut Vec<u8>| data.extend(server.0.octets());
        self.list("dns-servers", OptionCode::DNS_SERVERS, unicast);
        self.list("sntp-servers", OptionCode::SNTP_SERVERS, unicast);
        self.list(
            "domain-search",
            OptionCode::DOMAIN_LIST,
            |name: &DomainName, data| data.extend(encoded_name(name)),
        );
        // RFC 5908 §4: any number of suboptions, one for each server.
        self.list(
            "ntp-servers",
            OptionCode::NTP_SERVER,
            |server: &NtpServer, data| server.encode(data),
        );
        // RFC 5970 §3.2: each parameter behind its length.
        self.list(
            "boot-file-parameters",
            OptionCode::BOOTFILE_PARAM,
            |text: &String, data| {
                data.extend((text.len() as u16).to_be_bytes());
                data.extend(text.as_bytes());
            },
        );
    }

    fn single_values(&mut self) {
        if let Some(name) = self.t.get::<DomainName>("aftr-name") {
            self.add(OptionCode::AFTR_NAME, encoded_name(&name.value));
        }
        for (key, code) in [
            ("boot-file-url", OptionCode::BOOTFILE_URL),
            ("captive-portal", OptionCode::CAPTIVE_PORTAL),
        ] {
            if let Some(text) = self.t.get::<String>(key) {
                self.add(code, text.value.into_bytes());
            }
        }
        for (key, code) in [
            ("sol-max-rt", OptionCode::SOL_MAX_RT),
            ("inf-max-rt", OptionCode::INF_MAX_RT),
        ] {
            if let Some(secs) = self.t.get::<MaxRt>(key) {
                self.add(code, secs.value.0.to_be_bytes().to_vec());
            }
        }
        if let Some(secs) = self.t.get::<RefreshTime>("information-refresh-time") {
            let data = secs.value.0.to_be_bytes().to_vec();
            self.add(OptionCode::INFORMATION_REFRESH_TIME, data);
        }
    }

    fn s46(&mut self) {
        for (key, code, read) in s46::CONTAINERS {
            if self.t.has(key)
                && let Some(data) = self.t.table(key, read)
            {
                self.add(code, data);
            }
        }
    }

    /// One instance for each enterprise (RFC 9915 §21.17).
    fn vendor(&mut self) {
        for data in self.t.tables("vendor", raw::vendor).into_iter().flatten() {
            self.add(OptionCode::VENDOR_OPTS, data);
        }
    }

    fn raw(&mut self) {
        for (code, data) in self.t.tables("raw", raw::option).into_iter().flatten() {
            self.add(code, data);
        }
    }

    fn sent_always(&mut self) {
        for named in self.named("always") {
            let code = named.value.0;
            let only_asked = matches!(code, OptionCode::SOL_MAX_RT | OptionCode::INF_MAX_RT);
            if only_asked {
                let problem = format!("{code} may be sent only to clients that ask for it");
                self.t
                    .fault_at("always", problem, "remove it here (RFC 9915 §21.24)");
                continue;
            }
            match self.found.iter_mut().find(|(found, _)| *found == code) {
                Some((_, value)) => value.always = true,
                None => {
                    let problem = format!("{code} has no value in this table");
                    self.t
                        .fault_at("always", problem, "give it one, or remove it here");
                }
            }
        }
    }

    fn silenced(&mut self) {
        for named in self.named("off") {
            let code = named.value.0;
            match self.found.iter().any(|(found, _)| *found == code) {
                false => self.silence(code),
                true => {
                    let problem = format!("{code} has a value in this table");
                    self.t
                        .fault_at("off", problem, "remove the one or the other");
                }
            }
        }
    }

    fn named(&mut self, key: &'static str) -> Vec<Placed<Named>> {
        self.t.list(key).map(|list| list.value).unwrap_or_default()
    }

    fn warn_if_large(&mut self) {
        let instances = self.found.iter().flat_map(|(_, value)| &value.instances);
        let octets: usize = instances.map(|data| data.len() + 4).sum();
        if octets > OCTETS_USUAL_MAX {
            let problem = format!("{octets} octets of options may not fit into one packet");
            self.t.warn(
                problem,
                "a reply that does not fit is not sent: give fewer values",
            );
        }
    }
}

/// A key or number that names an option, in the words of the file.
fn code_of(name: &str) -> Option<OptionCode> {
    let known = KEYS.iter().find(|(key, _)| *key == name);
    known.map(|(_, code)| *code)
}

/// Whether the address may be that of a server.
fn is_server(address: Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified()
}
