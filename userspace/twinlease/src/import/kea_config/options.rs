//! `option-data`.

use super::Converter;
use super::json::array;
use super::toml::quoted;
use serde_json::{Map, Value};

impl Converter {
    /// The options that have a name here, in this table; others are told.
    pub(super) fn options(&mut self, place: &str, map: &Map<String, Value>, table: &str) {
        let (mut lines, mut always) = (Vec::new(), Vec::new());
        for (index, option) in array(map, "option-data").iter().enumerate() {
            let place = format!("{place}option-data[{index}]");
            let text = |key: &str| option.get(key).and_then(Value::as_str);
            let code = option.get("code").and_then(Value::as_u64);
            let name = match (text("name"), code) {
                (Some("dns-servers"), _) | (None, Some(23)) => "dns-servers",
                (Some("domain-search"), _) | (None, Some(24)) => "domain-search",
                (Some("sntp-servers"), _) | (None, Some(31)) => "sntp-servers",
                (name, code) => {
                    let name = name.map_or_else(|| format!("code {code:?}"), str::to_owned);
                    let why = format!("{name}: write it into options by hand");
                    self.leave(&place, "", &why);
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
            if option.get("always-send") == Some(&Value::Bool(true)) {
                always.push(quoted(name));
            }
        }
        if !lines.is_empty() {
            self.line(format!("\n{table}"));
            lines.iter().for_each(|line| self.line(line));
        }
        if !always.is_empty() {
            self.line(format!("always = [{}]", always.join(", ")));
        }
    }
}
