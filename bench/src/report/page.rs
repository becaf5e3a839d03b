//! The report of all scenarios: Markdown with curves beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Findings, judged, machine, shown};

/// A scenario and what it found, or why it could not.
#[derive(Debug)]
pub struct Chapter {
    /// The scenario.
    pub name: &'static str,
    /// What came of it.
    pub findings: Result<Findings>,
}

/// The figures of all chapters under their own names; of two with one name the later one's is
/// preceded by its scenario's.
pub fn figures_of(chapters: &[Chapter]) -> Vec<(String, f64)> {
    let mut figures: Vec<(String, f64)> = Vec::new();
    for chapter in chapters {
        let found = chapter.findings.iter().flat_map(|found| &found.figures);
        for (name, value) in found {
            let taken = figures.iter().any(|(known, _)| known == name);
            let name = match taken {
                true => format!("{}_{name}", chapter.name),
                false => name.clone(),
            };
            figures.push((name, *value));
        }
    }
    figures
}

/// Writes `report.md`, `report.json` and the curves into the directory.
///
/// # Errors
/// The directory or a file cannot be written.
pub fn write_page(dir: &Path, chapters: &[Chapter]) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let mut text = String::from("# twinlease, measured\n\n");
    text.push_str(&circumstances());
    for chapter in chapters {
        text.push_str(&format!(
            "\n## {0}\n\n`cargo xtask bench {0}`\n\n",
            chapter.name
        ));
        match &chapter.findings {
            Ok(findings) => text.push_str(&section(dir, chapter.name, findings)?),
            Err(error) => text.push_str(&format!("Not measured: {error:#}\n")),
        }
    }
    let path = dir.join("report.md");
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    super::write_json(&dir.join("report.json"), "all", &figures_of(chapters))
}

fn section(dir: &Path, name: &str, findings: &Findings) -> Result<String> {
    let mut text = String::from("| figure | measured | goal | |\n| --- | ---: | --- | --- |\n");
    for (name, value) in &findings.figures {
        let (goal, reached) = judged(name, *value);
        text.push_str(&format!(
            "| `{name}` | {} | {goal} | {reached} |\n",
            shown(*value)
        ));
    }
    for note in &findings.notes {
        text.push_str(&format!("\n{note}\n"));
    }
    for (number, curve) in findings.curves.iter().enumerate() {
        let file = format!("{name}-{number}.svg");
        curve.write(&dir.join(&file))?;
        text.push_str(&format!("\n![{}]({file})\n", curve.title()));
    }
    Ok(text)
}

/// Machine, versions, and who shared what with whom.
fn circumstances() -> String {
    let mut text = String::new();
    if let Some(machine) = machine().as_object() {
        for (name, value) in machine {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            text.push_str(&format!("- {name}: {value}\n"));
        }
    }
    text.push_str(&format!("- twinlease: {}\n", env!("CARGO_PKG_VERSION")));
    for (program, argument) in [("kea-dhcp6", "-v"), ("perfdhcp", "-v")] {
        let version = Command::new(program).arg(argument).output();
        let version = version.ok().filter(|output| output.status.success());
        let version =
            version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.push_str(&format!(
            "- {program}: {}\n",
            version.as_deref().unwrap_or("not installed")
        ));
    }
    text.push_str(
        "\nThe generator has core 0, the server's worker core 1. Between them is a veth with AF_XDP in\n\
         copy mode at both ends, whose softirq runs on the core of the sender: core 0 also pays for\n\
         the server's XDP program and the copy to it. The server's journal shares core 0\n\
         with the generator, which leaves it while nothing is due; every grant is on disk before it is\n\
         answered. A highest rate is one at which at most 0.1 % of the exchanges are unanswered a\n\
         second after their intended time, in the median of three runs; latencies count from intended\n\
         times.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Curve;

    fn chapters() -> Vec<Chapter> {
        let found = |name: &str| {
            let mut findings = Findings::default();
            findings.figure(name, 7.0);
            findings.notes.push("a note".into());
            let mut curve = Curve::new("A curve", "x", "y");
            curve.line("line", vec![(0.0, 1.0), (1.0, 2.0)]);
            findings.curves.push(curve);
            findings
        };
        vec![
            Chapter {
                name: "latency",
                findings: Ok(found("p99_us")),
            },
            Chapter {
                name: "other",
                findings: Ok(found("p99_us")),
            },
            Chapter {
                name: "broken",
                findings: Err(anyhow::anyhow!("no wire")),
            },
        ]
    }

    #[test]
    fn a_name_that_is_taken_gets_its_scenarios() {
        let names: Vec<String> = figures_of(&chapters())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["p99_us", "other_p99_us"]);
    }

    #[test]
    fn the_page_has_every_chapter_with_its_command_and_curve() {
        let dir = tempfile::tempdir().unwrap();
        write_page(dir.path(), &chapters()).unwrap();
        let text = fs::read_to_string(dir.path().join("report.md")).unwrap();
        let expected = [
            "cargo xtask bench latency",
            "| `p99_us` | 7.000 | ≤ 1000 | reached |",
            "a note",
            "![A curve](latency-0.svg)",
            "Not measured: no wire",
            "- kernel: ",
        ];
        for words in expected {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(dir.path().join("latency-0.svg").exists());
        assert!(dir.path().join("report.json").exists());
    }
}
