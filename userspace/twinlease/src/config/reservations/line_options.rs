//! `"options"` in a line of the reservations file: the table of the config, as JSON.
//!
//! It is read by the same reader as in the config. A file of a million lines has few different sets of
//! options, so each set is read once.

use super::Gatherer;
use super::faults::Source;
use crate::config::fault::{Findings, Severity};
use crate::config::options;
use crate::config::read::document;
use engine::{OptionValues, TERMS_MAX};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What is not told of in the words of the options' own keys.
const REMEDY: &str = "write the keys of [options], such as {\"dns-servers\":[\"2001:db8::53\"]}";

/// Sets of options that were read, by their JSON.
#[derive(Debug, Default)]
pub(super) struct LineOptions(HashMap<String, OptionValues>);

impl Gatherer<'_, '_> {
    /// The options of a line; those at fault are left out.
    pub(super) fn line_options(&mut self, number: u32, line: &Map<String, Value>) -> OptionValues {
        let json = Value::Object(line.clone()).to_string();
        if let Some(known) = self.line_options.0.get(&json) {
            return known.clone();
        }
        match self.read_options(number, line) {
            Some(options) => {
                // There cannot be more sets than that, so what is beyond is at fault anyway.
                if self.line_options.0.len() < TERMS_MAX {
                    self.line_options.0.insert(json, options.clone());
                }
                options
            }
            None => OptionValues::NONE,
        }
    }

    /// `None`: something was at fault, and is told again for the next line that has it.
    fn read_options(&mut self, number: u32, line: &Map<String, Value>) -> Option<OptionValues> {
        let written = toml::Table::deserialize(line).map_err(|error| error.to_string());
        let written = written.and_then(|table| toml::to_string(&table).map_err(|e| e.to_string()));
        let text = match written {
            Ok(text) => text,
            Err(error) => {
                self.faults
                    .fault(Source::Line(number), "options", error, REMEDY);
                return None;
            }
        };
        let mut findings = Findings::default();
        let options = document(&text, &mut findings, options::read);
        let mut is_at_fault = options.is_none();
        for found in findings.locate("", &text).0 {
            let key = match found.key.as_str() {
                "" => "options".to_owned(),
                key => format!("options.{key}"),
            };
            let (problem, remedy) = (found.problem, &found.remedy);
            match found.severity {
                Severity::Warning => self.faults.warn_of_line(number, &key, problem, remedy),
                Severity::Fault => {
                    is_at_fault = true;
                    self.faults
                        .fault(Source::Line(number), &key, problem, remedy);
                }
            }
        }
        options.filter(|_| !is_at_fault)
    }
}
