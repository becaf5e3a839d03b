//! Figures as a table for people and as JSON for machines.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// A figure by name; the name ends with its unit.
pub type Figure = (&'static str, f64);

/// What a figure must reach, by its name.
#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

const GOALS: [(&str, Goal); 7] = [
    ("direct_ns", Goal::AtMost(100.0)),
    ("relay1_ns", Goal::AtMost(200.0)),
    ("solicit_ns", Goal::AtMost(600.0)),
    ("request_ns", Goal::AtMost(600.0)),
    ("allocations_per_message", Goal::AtMost(0.0)),
    ("records_per_s", Goal::AtLeast(1_000_000.0)),
    ("commit_p99_us", Goal::AtMost(1000.0)),
];

/// The table: each figure, its goal if it has one, and whether it is reached.
pub fn table(figures: &[Figure]) -> String {
    let mut table = String::new();
    for (name, value) in figures {
        let goal = GOALS
            .iter()
            .find(|(named, _)| named == name)
            .map(|(_, goal)| *goal);
        let (wanted, reached) = match goal {
            None => (String::new(), ""),
            Some(Goal::AtMost(most)) => (format!("≤ {most}"), verdict(*value <= most)),
            Some(Goal::AtLeast(least)) => (format!("≥ {least}"), verdict(*value >= least)),
        };
        let line = format!("{name:<28} {value:>16.1}  {wanted:<12} {reached}");
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

/// Writes `{"scenario", "version", "machine", "figures"}` to a file.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(path: &Path, scenario: &str, figures: &[Figure]) -> Result<()> {
    let text = serde_json::to_string_pretty(&document(scenario, figures))?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn document(scenario: &str, figures: &[Figure]) -> Value {
    let figures: Map<String, Value> = figures
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({
        "scenario": scenario,
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "figures": figures,
    })
}

/// What a figure depends on and a reader of it wants to know.
fn machine() -> Value {
    let uname = rustix::system::uname();
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    json!({
        "cpu": field(&cpus, "model name").unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&memory, "MemTotal").unwrap_or("unknown"),
        "kernel": uname.release().to_string_lossy(),
        "architecture": uname.machine().to_string_lossy(),
        // A virtual machine's clocks and disks are another's.
        "virtual": cpus.contains(" hypervisor"),
    })
}

/// The value of the first `key : value` in a file of /proc.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_reached() {
        let table = table(&[
            ("direct_ns", 78.0),
            ("relay1_ns", 201.0),
            ("verified_instructions", 5.0),
        ]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("reached"), "{table}");
        assert!(lines[1].ends_with("missed"), "{table}");
        assert!(lines[2].ends_with("5.0"), "{table}");
    }

    #[test]
    fn the_document_has_the_promised_keys() {
        let document = document("steer", &[("direct_ns", 78.5)]);
        assert_eq!(document["scenario"], "steer");
        assert_eq!(document["figures"]["direct_ns"], 78.5);
        assert!(document["version"].is_string());
        assert!(
            document["machine"]["cores"]
                .as_u64()
                .is_some_and(|cores| cores > 0)
        );
    }

    #[test]
    fn a_field_of_proc_is_read() {
        assert_eq!(
            field("a\t: b\nmodel name\t: Fast 3000\n", "model name"),
            Some("Fast 3000")
        );
        assert_eq!(field("", "model name"), None);
    }
}
