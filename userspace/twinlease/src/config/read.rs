//! Reads TOML tables key by key and goes on after a fault, so that one run shows them all.
//!
//! serde stops at the first error; this reader asks for each key in turn, and a key that nobody asked
//! for is unknown. To add a key is therefore one line where its table is read.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Findings, Place};
use super::value::{FromToml, Wrong};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// One table while it is read; [`Reader::table`] and [`document`] report what nobody asked for.
pub struct Reader<'d, 'f> {
    table: &'d DeTable<'d>,
    /// Of the table itself.
    place: Place,
    asked: Vec<&'static str>,
    findings: &'f mut Findings,
}

/// Reads the whole document; `None` if it is not TOML, which is then the only fault.
pub fn document<T>(
    text: &str,
    findings: &mut Findings,
    read: impl FnOnce(&mut Reader<'_, '_>) -> T,
) -> Option<T> {
    match DeTable::parse(text) {
        Ok(table) => Some(enter(table.get_ref(), Place::default(), findings, read)),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let place = Place {
                offset,
                key: String::new(),
            };
            let problem = format!("not TOML: {}", error.message().replace('\n', ", "));
            findings.fault(
                &place,
                problem,
                "correct the syntax here; the rest is read after that",
            );
            None
        }
    }
}

fn enter<T>(
    table: &DeTable<'_>,
    place: Place,
    findings: &mut Findings,
    read: impl FnOnce(&mut Reader<'_, '_>) -> T,
) -> T {
    let mut reader = Reader {
        table,
        place,
        asked: Vec::new(),
        findings,
    };
    let value = read(&mut reader);
    reader.report_unknown();
    value
}

impl<'d> Reader<'d, '_> {
    /// The value of `key`, or `None` if it is absent or at fault.
    pub fn get<T: FromToml>(&mut self, key: &'static str) -> Option<Placed<T>> {
        let (place, value) = self.find(key)?;
        self.convert(place, value)
    }

    /// The value of `key`; its absence is a fault.
    pub fn require<T: FromToml>(&mut self, key: &'static str) -> Option<Placed<T>> {
        let place = self.place.clone();
        if self.find(key).is_none() {
            let remedy = format!("add {key} = …: {}", T::EXPECTED);
            self.findings
                .fault(&place, format!("{key} is missing"), remedy);
        }
        self.get(key)
    }

    /// The values of an array, without those at fault; `None` if the key is absent or no array.
    pub fn list<T: FromToml>(&mut self, key: &'static str) -> Option<Placed<Vec<Placed<T>>>> {
        let (place, value) = self.find(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let remedy = format!("write [ … ], each item {}", T::EXPECTED);
            self.findings.fault(&place, "is not a list", remedy);
            return None;
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = Place {
                offset: item.span().start,
                key: format!("{}[{index}]", place.key),
            };
            values.extend(self.convert(place, item));
        }
        Some(Placed {
            value: values,
            place,
        })
    }

    /// The values of `key`, which is one value or a list of them, without those at fault.
    pub fn one_or_more<T: FromToml>(&mut self, key: &'static str) -> Vec<Placed<T>> {
        let found = self.find(key);
        match found.is_some_and(|(_, value)| matches!(value.get_ref(), DeValue::Array(_))) {
            true => self.list(key).map(|list| list.value).unwrap_or_default(),
            false => self.get(key).into_iter().collect(),
        }
    }

    /// Whether `key` is there with a list of nothing.
    pub fn is_empty_list(&mut self, key: &'static str) -> bool {
        let found = self.find(key);
        found.is_some_and(
            |(_, value)| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()),
        )
    }

    /// Reads the table at `key`, or an empty one if there is none.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_, '_>) -> T,
    ) -> T {
        let empty = DeTable::new();
        let Some((place, value)) = self.find(key) else {
            return enter(&empty, self.place.clone(), self.findings, read);
        };
        if let DeValue::Table(table) = value.get_ref() {
            return enter(table, place, self.findings, read);
        }
        let remedy = format!("write [{key}] or {key} = {{ … }}");
        self.findings.fault(&place, "is not a table", remedy);
        enter(&empty, place, self.findings, read)
    }

    /// Reads every table of the array of tables at `key`.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Reader<'_, '_>) -> T,
    ) -> Vec<T> {
        let Some((place, value)) = self.find(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let remedy = format!("write [[{key}]], with two brackets, once for each");
            self.findings
                .fault(&place, "is not a list of tables", remedy);
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = Place {
                offset: item.span().start,
                key: format!("{}[{index}]", place.key),
            };
            match item.get_ref() {
                DeValue::Table(table) => {
                    values.push(enter(table, place, self.findings, &mut read));
                }
                _ => self
                    .findings
                    .fault(&place, "is not a table", format!("write [[{key}]]")),
            }
        }
        values
    }

    /// Whether `key` is there, whatever its value.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Whether `key` is there with a table for its value.
    pub fn is_table(&mut self, key: &'static str) -> bool {
        let found = self.find(key);
        found.is_some_and(|(_, value)| matches!(value.get_ref(), DeValue::Table(_)))
    }

    /// Where the table stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A fault of the table as a whole.
    pub fn fault(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.fault(&self.place, problem, remedy);
    }

    /// A warning about the table as a whole.
    pub fn warn(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.findings.warn(&self.place, problem, remedy);
    }

    /// A fault of `key`, if it is there.
    pub fn fault_at(&mut self, key: &'static str, problem: String, remedy: &str) {
        if let Some((place, _)) = self.find(key) {
            self.findings.fault(&place, problem, remedy);
        }
    }

    fn find(&mut self, key: &'static str) -> Option<(Place, &'d Spanned<DeValue<'d>>)> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let (name, value) = self.table.get_key_value(key)?;
        let offset = match value.get_ref() {
            DeValue::Table(_) | DeValue::Array(_) => name.span().start,
            _ => value.span().start,
        };
        let key = self.key_path(key);
        Some((Place { offset, key }, value))
    }

    fn key_path(&self, key: &str) -> String {
        match self.place.key.as_str() {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        }
    }

    fn convert<T: FromToml>(
        &mut self,
        place: Place,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Placed<T>> {
        match T::from_toml(value.get_ref()) {
            Ok(value) => Some(Placed { value, place }),
            Err(Wrong { problem, remedy }) => {
                self.findings.fault(&place, problem, remedy);
                None
            }
        }
    }

    fn report_unknown(&mut self) {
        for (name, _) in self.table {
            let key = name.get_ref().as_ref();
            if self.asked.contains(&key) {
                continue;
            }
            let place = Place {
                offset: name.span().start,
                key: self.key_path(key),
            };
            let remedy = match nearest(key, &self.asked) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => {
                    let mut known = self.asked.clone();
                    known.sort_unstable();
                    format!("remove it; known here: {}", known.join(", "))
                }
            };
            self.findings.fault(&place, "unknown key", remedy);
        }
    }
}

/// Longest key that is compared with the known ones; the comparison takes quadratic time.
const COMPARED_LEN_MAX: usize = 64;

/// The known word that differs in at most a third of its letters.
fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    if word.len() > COMPARED_LEN_MAX {
        return None;
    }
    let word = word.replace('_', "-").to_ascii_lowercase();
    let distances = known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate));
    let (distance, candidate) = distances.min()?;
    (distance * 3 <= candidate.len().max(3)).then_some(candidate)
}

/// Levenshtein distance in octets.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let known = ["preferred", "valid", "rapid-commit"];
        assert_eq!(nearest("prefered", &known), Some("preferred"));
        assert_eq!(nearest("rapid_commit", &known), Some("rapid-commit"));
        assert_eq!(nearest("mtu", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abd", "abc", 1),
            ("bc", "abc", 1),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
