//! Reservations.

use super::Converter;
use super::json::strings;
use super::toml::quoted;
use engine::RESERVED_MAX;
use serde_json::{Map, Value};

impl Converter {
    pub(super) fn reservation(&mut self, place: &str, map: &Map<String, Value>) {
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
        let leases = [
            ("address", strings(map, "ip-addresses")),
            ("prefix", strings(map, "prefixes")),
        ];
        if leases.iter().all(|(_, leases)| leases.is_empty()) {
            self.leave(place, "", "it reserves neither address nor prefix");
            return;
        }
        self.line(format!("\n[[link.reservation]]\n{own} = {}", quoted(value)));
        for (key, leases) in leases {
            let kept: Vec<String> = leases
                .iter()
                .take(RESERVED_MAX)
                .map(|l| quoted(l))
                .collect();
            match &kept[..] {
                [] => {}
                [one] => self.line(format!("{key} = {one}")),
                several => self.line(format!("{key} = [{}]", several.join(", "))),
            }
            for more in leases.iter().skip(RESERVED_MAX) {
                let why = format!("at most {RESERVED_MAX} of a kind are reserved for a client");
                self.leave(place, more, &why);
            }
        }
        self.options(place, map, "[link.reservation.options]");
        self.taken[2] += 1;
        let used = [
            "duid",
            "hw-address",
            "ip-addresses",
            "prefixes",
            "option-data",
        ];
        self.leave_rest(place, map, &used);
    }
}
