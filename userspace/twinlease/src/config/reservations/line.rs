//! The file of reservations: JSON lines, one object each, with the keys of `[[link.reservation]]`
//! and the name of its link.

use super::faults::Source;
use super::{Gatherer, Keys, Wanted, terms};
use crate::config::model::Lifetimes;
use crate::config::value::{
    Identity, Secs, Wrong, parse_address, parse_duration, parse_octets, parse_prefix,
};
use engine::OptionValues;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Octets of the longest line that is read: a reservation has some hundred.
const LINE_LEN_MAX: u64 = 64 << 10;
const LINES_MAX: u32 = 1 << 28;
const BUFFER_LEN: usize = 256 << 10;

const EXAMPLE: &str = r#"write one object a line, such as {"link":"bng-1","remote-id":"line 7","prefix":"2001:db8:80ff::/56"}"#;

/// The lines of a file, not read yet.
pub struct Lines {
    name: String,
    input: Box<dyn BufRead>,
}

/// One line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Line {
    link: String,
    duid: Option<String>,
    link_layer_address: Option<String>,
    remote_id: Option<String>,
    enterprise_number: Option<u32>,
    interface_id: Option<String>,
    subscriber_id: Option<String>,
    #[serde(default)]
    address: OneOrMore,
    #[serde(default)]
    prefix: OneOrMore,
    lifetimes: Option<LineLifetimes>,
    options: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A text, or a list of them; nothing where the key is not.
#[derive(Debug, Default)]
struct OneOrMore(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMore(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineLifetimes {
    preferred: Option<String>,
    valid: Option<String>,
}

impl Lines {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_LEN, File::open(path)?);
        Ok(Self::new(&path.display().to_string(), file))
    }

    /// Lines from anywhere; `name` stands in findings.
    pub fn new(name: &str, input: impl BufRead + 'static) -> Self {
        Self {
            name: name.to_owned(),
            input: Box::new(input),
        }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives every line to `gatherer`; links are known by `names`.
    pub(super) fn read(mut self, gatherer: &mut Gatherer<'_, '_>, names: &HashMap<&str, usize>) {
        let mut octets = Vec::new();
        for number in 1..LINES_MAX {
            octets.clear();
            let read = (&mut self.input)
                .take(LINE_LEN_MAX)
                .read_until(b'\n', &mut octets);
            let faults = &mut gatherer.faults;
            match read {
                Ok(0) => return,
                Ok(read) if read as u64 == LINE_LEN_MAX => {
                    let problem = format!("is longer than {LINE_LEN_MAX} octets");
                    faults.fault(Source::Line(number), "", problem, EXAMPLE);
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    let problem = format!("cannot be read: {error}");
                    let remedy = "check the file and its disk";
                    return faults.fault(Source::Line(number), "", problem, remedy);
                }
            }
            if octets.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&octets) {
                Ok(line) => gatherer.take_line(number, &line, names),
                Err(error) => {
                    let column = error.column();
                    let told = error.to_string();
                    let told = told.split(" at line ").next().unwrap_or_default();
                    let problem = format!("not a reservation in JSON: {told}");
                    faults.fault_at(number as usize, column, "", problem, EXAMPLE);
                }
            }
        }
    }
}

impl Gatherer<'_, '_> {
    fn take_line(&mut self, number: u32, line: &Line, names: &HashMap<&str, usize>) {
        let source = Source::Line(number);
        let Some(&link) = names.get(line.link.as_str()) else {
            let problem = format!("no link has the name \"{}\"", line.link.escape_debug());
            let remedy = "name one of the config's links";
            return self.faults.fault(source, "link", problem, remedy);
        };
        if line.address.0.is_empty() && line.prefix.0.is_empty() {
            let problem = "reserves nothing".into();
            self.faults
                .fault(source, "", problem, "add \"address\" or \"prefix\"");
        }
        let keys = self.line_keys(source, line);
        let lifetimes = line.lifetimes.as_ref();
        let lifetimes = lifetimes.map(|lifetimes| self.line_lifetimes(source, link, lifetimes));
        let addresses = self.values(source, "address", &line.address, parse_address);
        let prefixes = self.values(source, "prefix", &line.prefix, parse_prefix);
        let options = match &line.options {
            Some(options) => self.line_options(number, options),
            None => OptionValues::NONE,
        };
        if let Some(key) = self.key(source, &keys) {
            self.take(
                source,
                &Wanted {
                    link,
                    key,
                    addresses,
                    prefixes,
                    terms: terms(lifetimes, options),
                },
            );
        }
    }

    fn line_keys(&mut self, source: Source, line: &Line) -> Keys {
        let fields = [
            &line.duid,
            &line.link_layer_address,
            &line.remote_id,
            &line.interface_id,
            &line.subscriber_id,
        ];
        let mut hex =
            |field, text: &Option<String>| self.value(source, field, text.as_deref(), parse_octets);
        let (duid, link_layer_address) = (
            hex("duid", &line.duid),
            hex("link-layer-address", &line.link_layer_address),
        );
        let mut id = |field, text: &Option<String>| {
            let id = self.value(source, field, text.as_deref(), Identity::parse);
            id.map(|id| id.0)
        };
        Keys {
            duid,
            link_layer_address,
            remote_id: id("remote-id", &line.remote_id),
            enterprise: line.enterprise_number,
            interface_id: id("interface-id", &line.interface_id),
            subscriber_id: id("subscriber-id", &line.subscriber_id),
            given: fields.into_iter().flatten().count(),
        }
    }

    fn line_lifetimes(&mut self, source: Source, link: usize, line: &LineLifetimes) -> Lifetimes {
        let outer = self.links.lifetimes[link];
        let mut secs = |text: &Option<String>, outer: Secs| {
            let secs = self.value(source, "lifetimes", text.as_deref(), parse_duration);
            secs.unwrap_or(outer)
        };
        let lifetimes = Lifetimes {
            preferred: secs(&line.preferred, outer.preferred),
            valid: secs(&line.valid, outer.valid),
        };
        if lifetimes.valid.0 == 0 || lifetimes.preferred > lifetimes.valid {
            let problem = format!(
                "a preferred lifetime of {} and a valid one of {} cannot be",
                lifetimes.preferred, lifetimes.valid
            );
            let remedy = "write a valid lifetime above 0 and a preferred one that is not longer";
            self.faults.fault(source, "lifetimes", problem, remedy);
        }
        lifetimes
    }

    /// Those at fault are left out.
    fn values<T>(
        &mut self,
        source: Source,
        field: &str,
        texts: &OneOrMore,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let values = texts.0.iter();
        values
            .filter_map(|text| self.value(source, field, Some(text), &parse))
            .collect()
    }

    fn value<T>(
        &mut self,
        source: Source,
        field: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match parse(text?) {
            Ok(value) => Some(value),
            Err(Wrong { problem, remedy }) => {
                self.faults.fault(source, field, problem, &remedy);
                None
            }
        }
    }
}
