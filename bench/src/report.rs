//! Figures as a table for people and as JSON for machines.

mod curve;
mod page;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

pub use curve::Curve;
pub use page::{Chapter, figures_of, write_page};

use crate::generator::session::Maximum;

/// A figure by name; the name ends with its unit.
pub type Figure = (&'static str, f64);

/// What a scenario found.
#[derive(Debug, Default)]
pub struct Findings {
    /// By name, in the order in which they are shown.
    pub figures: Vec<(String, f64)>,
    /// Curves for the report.
    pub curves: Vec<Curve>,
    /// What a reader has to know besides.
    pub notes: Vec<String>,
}

impl From<Vec<Figure>> for Findings {
    fn from(figures: Vec<Figure>) -> Self {
        let figures = figures.into_iter();
        Self {
            figures: figures
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            ..Self::default()
        }
    }
}

impl Findings {
    /// Adds a figure.
    pub fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.push((name.into(), value));
    }

    /// Adds the median of several runs under `name`, and their least and greatest value.
    pub fn spread(&mut self, name: &str, (median, least, most): (f64, f64, f64)) {
        self.figure(name, median);
        self.figure(format!("{name}_least"), least);
        self.figure(format!("{name}_most"), most);
    }

    /// Adds a highest rate with what the runs at it showed.
    pub fn maximum(&mut self, name: &str, maximum: &Maximum) {
        self.figure(format!("{name}_per_s"), maximum.per_second);
        let ratio = maximum.spread(|run| run.tally.unanswered_ratio());
        self.spread(&format!("{name}_unanswered_ratio"), ratio);
        for (label, quantile) in [("p50_us", 0.5), ("p99_us", 0.99)] {
            let (median, ..) = maximum.spread(|run| run.tally.latency_us(quantile));
            self.figure(format!("{name}_{label}"), median);
        }
        for run in &maximum.runs {
            let faults = run
                .tally
                .all_faults()
                .map(|(fault, count)| (fault.label(), count));
            let lost = run.drops.iter().copied().filter(|(_, count)| *count > 0);
            for (what, count) in faults.chain(lost) {
                self.notes
                    .push(format!("{name}: {what} {count} in one run at the maximum"));
            }
        }
    }
}

/// What a figure must reach, by its name.
#[derive(Debug, Clone, Copy)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

const GOALS: [(&str, Goal); 25] = [
    ("direct_ns", Goal::AtMost(100.0)),
    ("remote_id_direct_ns", Goal::AtMost(100.0)),
    ("remote_id_relay1_ns", Goal::AtMost(200.0)),
    ("relay1_ns", Goal::AtMost(200.0)),
    ("solicit_ns", Goal::AtMost(600.0)),
    ("request_ns", Goal::AtMost(600.0)),
    ("allocations_per_message", Goal::AtMost(0.0)),
    ("records_per_s", Goal::AtLeast(1_000_000.0)),
    ("commit_p99_us", Goal::AtMost(1000.0)),
    ("ceiling_ratio", Goal::AtLeast(0.6)),
    ("relays4_ceiling_ratio", Goal::AtLeast(0.6)),
    ("unanswered_ratio", Goal::AtMost(0.001)),
    ("kea_ratio", Goal::AtLeast(20.0)),
    ("p99_us", Goal::AtMost(1000.0)),
    ("bytes_per_binding", Goal::AtMost(160.0)),
    ("restart_1m_s", Goal::AtMost(0.5)),
    ("restart_10m_s", Goal::AtMost(4.0)),
    ("ratio_10m_to_10k", Goal::AtLeast(0.8)),
    ("t99_s", Goal::AtMost(30.0)),
    ("perfdhcp_drops", Goal::AtMost(0.0)),
    ("cpu_ratio", Goal::AtMost(1.10)),
    ("first_answer_ms", Goal::AtMost(1_000.0)),
    // A keepalive of four seconds, and one.
    ("silent_first_answer_ms", Goal::AtMost(5_000.0)),
    ("resync_1m_s", Goal::AtMost(5.0)),
    ("service_gap_ms", Goal::AtMost(0.0)),
];

/// The table: each figure, its goal if it has one, and whether it is reached.
pub fn table(figures: &[(String, f64)]) -> String {
    let mut table = String::new();
    for (name, value) in figures {
        let (wanted, reached) = judged(name, *value);
        let value = shown(*value);
        let line = format!("{name:<32} {value:>16}  {wanted:<12} {reached}");
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// What a figure must reach, if anything, and whether it does.
fn judged(name: &str, value: f64) -> (String, &'static str) {
    let goal = GOALS.iter().find(|(named, _)| *named == name);
    match goal.map(|(_, goal)| *goal) {
        None => (String::new(), ""),
        Some(Goal::AtMost(most)) => (format!("≤ {most}"), verdict(value <= most)),
        Some(Goal::AtLeast(least)) => (format!("≥ {least}"), verdict(value >= least)),
    }
}

/// Ratios and seconds need more digits behind the point than counts and nanoseconds.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        small if small < 0.01 => format!("{value:.6}"),
        small if small < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

/// Writes `{"scenario", "version", "machine", "figures"}` to a file.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(path: &Path, scenario: &str, figures: &[(String, f64)]) -> Result<()> {
    let text = serde_json::to_string_pretty(&document(scenario, figures))?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn document(scenario: &str, figures: &[(String, f64)]) -> Value {
    let figures: Map<String, Value> = figures
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    json!({
        "scenario": scenario,
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "figures": figures,
    })
}

/// What a figure depends on and a reader of it wants to know.
pub fn machine() -> Value {
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
        let findings = Findings::from(vec![
            ("direct_ns", 78.0),
            ("relay1_ns", 201.0),
            ("verified_instructions", 15.0),
            ("unanswered_ratio", 0.00042),
        ]);
        let table = table(&findings.figures);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with("reached"), "{table}");
        assert!(lines[1].ends_with("missed"), "{table}");
        assert!(lines[2].ends_with("15.0"), "{table}");
        assert!(lines[3].contains("0.000420"), "{table}");
    }

    #[test]
    fn the_document_has_the_promised_keys() {
        let document = document("steer", &[("direct_ns".to_owned(), 78.5)]);
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
