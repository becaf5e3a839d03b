//! `client-classes`, and which pools are for which of them.

use super::Converter;
use super::expression::{Match, matches};
use super::json::{array, lifetimes_of, strings};
use super::toml::{duration, quoted};
use engine::CLASSES_MAX;
use serde_json::{Map, Value};

/// Every client is in it (Kea's own).
const ALL: &str = "ALL";

/// Whose a pool is.
pub(super) enum PoolFor {
    Everybody,
    /// Clients of any of these classes.
    Classes(Vec<String>),
    /// Classes that are not taken over; it must not be open to others for that.
    Nobody,
}

impl Converter {
    /// All classes whose tests a table of matches says as well, in their order.
    pub(super) fn client_classes(&mut self, config: &Map<String, Value>) {
        let links_have_options = ["subnet6", "shared-networks"]
            .into_iter()
            .flat_map(|key| array(config, key))
            .any(has_options);
        for (index, class) in array(config, "client-classes").iter().enumerate() {
            let place = format!("client-classes[{index}]");
            let class = class.as_object();
            let named = class.and_then(|class| Some((class, class.get("name")?.as_str()?)));
            let Some((class, name)) = named else {
                self.leave(&place, "", "it has no name");
                continue;
            };
            let matches = match self.matches_of(class) {
                Ok(matches) => matches,
                Err(why) => {
                    self.leave(&place, "", &format!("class \"{name}\": {why}"));
                    continue;
                }
            };
            self.client_class(&place, name, class, &matches);
            if links_have_options && class.contains_key("option-data") {
                let why = "after the options of subnets and pools in Kea, before those of links and \
                           pools here";
                self.leave(&place, ".option-data, the place among others", why);
            }
            self.classes.insert(name.to_owned(), matches);
        }
    }

    fn matches_of(&self, class: &Map<String, Value>) -> Result<Vec<Match>, String> {
        let is = |key: &str| class.get(key) == Some(&Value::Bool(true));
        if is("only-if-required") || is("only-in-additional-list") {
            return Err(
                "it counts only where it is asked for; classes count everywhere here".into(),
            );
        }
        if self.classes.len() >= CLASSES_MAX {
            return Err(format!("there are at most {CLASSES_MAX} classes here"));
        }
        if class.contains_key("template-test") {
            return Err("it makes a class of each value; there are no such classes here".into());
        }
        let test = class
            .get("test")
            .and_then(Value::as_str)
            .ok_or("it has no test, so reservations or hooks say who is in it; here messages do")?;
        let matches = matches(test, &|name| self.classes.get(name).cloned())?;
        match matches.is_empty() {
            true => Err("every client would be in it".into()),
            false => Ok(matches),
        }
    }

    fn client_class(
        &mut self,
        place: &str,
        name: &str,
        class: &Map<String, Value>,
        matches: &[Match],
    ) {
        self.line(format!("\n[[class]]\nname = {}", quoted(name)));
        for one in matches {
            self.line(one.toml());
        }
        let (preferred, valid) = lifetimes_of(class);
        let lifetimes = [("preferred", preferred), ("valid", valid)];
        let said = lifetimes.into_iter().filter_map(|(key, secs)| {
            let secs = duration(secs?);
            Some(format!("{key} = {secs}"))
        });
        let said: Vec<String> = said.collect();
        if !said.is_empty() {
            self.line(format!("lifetimes = {{ {} }}", said.join(", ")));
        }
        let place = format!("{place}.");
        self.options(&place, class, "[class.options]");
        let used = [
            "name",
            "test",
            "option-data",
            "preferred-lifetime",
            "valid-lifetime",
            "only-if-required",
            "only-in-additional-list",
        ];
        self.leave_rest(&place, class, &used);
        self.taken[3] += 1;
    }

    /// Whose a pool is by what stands at it and around it.
    pub(super) fn pool_for(&mut self, place: &str, levels: &[&Map<String, Value>]) -> PoolFor {
        let mut found: Option<Vec<String>> = None;
        for map in levels {
            let named = class_names(map);
            if named.is_empty() || named.contains(&ALL) {
                continue;
            }
            let known = |name: &&str| self.classes.contains_key(*name);
            let (mut known, unknown): (Vec<&str>, Vec<&str>) = named.into_iter().partition(known);
            known.sort_unstable();
            let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
            let end = match known.is_empty() {
                true => ", so the pool is commented out",
                false => "",
            };
            for name in unknown {
                let why = format!("class \"{name}\" is not taken over{end}");
                self.leave(place, "client-class", &why);
            }
            if known.is_empty() {
                return PoolFor::Nobody;
            }
            match &found {
                None => found = Some(known),
                Some(outer) if *outer == known => {}
                Some(_) => {
                    let why = "a pool is for any of its classes, and here those of the subnet and \
                               of the pool must hold: the pool is commented out";
                    self.leave(place, "client-class", why);
                    return PoolFor::Nobody;
                }
            }
        }
        found.map_or(PoolFor::Everybody, PoolFor::Classes)
    }

    /// Classes that are to be looked at here count everywhere, if they are taken over.
    pub(super) fn required_classes(&mut self, place: &str, map: &Map<String, Value>) {
        for key in ["require-client-classes", "evaluate-additional-classes"] {
            for name in strings(map, key) {
                if !self.classes.contains_key(name) {
                    self.leave(place, key, &format!("class \"{name}\" is not taken over"));
                }
            }
        }
    }
}

/// The keys that [`Converter::pool_for`] and [`Converter::required_classes`] deal with.
pub(super) const CLASS_KEYS: [&str; 4] = [
    "client-class",
    "client-classes",
    "require-client-classes",
    "evaluate-additional-classes",
];

/// One class, or a list of which any counts.
fn class_names(map: &Map<String, Value>) -> Vec<&str> {
    let one = map.get("client-class").and_then(Value::as_str);
    let mut names = strings(map, "client-classes");
    names.extend(one.filter(|name| !name.is_empty()));
    names
}

/// Whether a subnet or shared network, or anything in it, has options.
fn has_options(value: &Value) -> bool {
    let Some(map) = value.as_object() else {
        return false;
    };
    !array(map, "option-data").is_empty()
        || ["subnet6", "pools", "pd-pools"]
            .into_iter()
            .flat_map(|key| array(map, key))
            .any(has_options)
}
