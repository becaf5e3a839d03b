//! The committed counts, and what is said of new ones.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// By how much a count may be above the baseline, with the compiler and valgrind of the baseline.
const TOLERANCE: f64 = 0.03;
/// The same with others, which make other instructions of the same source.
const TOLERANCE_ELSEWHERE: f64 = 0.15;
/// Instructions that never matter, so that the shortest operations have some tolerance at all.
const SLACK: f64 = 2.0;

/// Instructions per operation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Versions of the compiler and of valgrind.
    pub made_with: String,
    /// By the operation's name.
    pub instructions: BTreeMap<String, f64>,
}

impl Baseline {
    pub fn read(path: &Path) -> Result<Baseline> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// One operation's counts, before and now.
#[derive(Debug, PartialEq)]
struct Line {
    name: String,
    before: Option<f64>,
    now: Option<f64>,
    word: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Same,
    Better,
    Slower,
    /// Not in the baseline.
    New,
    /// In the baseline only.
    Gone,
}

/// What is to be said of new counts. Its text is the table, and what to do if there is something.
#[derive(Debug)]
pub struct Verdict {
    lines: Vec<Line>,
    tolerance: f64,
    /// Versions of before and now, where they differ.
    elsewhere: Option<(String, String)>,
}

/// Holds `now` against `before`.
pub fn judge(before: &Baseline, now: &Baseline) -> Verdict {
    let same = before.made_with == now.made_with;
    let tolerance = if same { TOLERANCE } else { TOLERANCE_ELSEWHERE };
    let names = before.instructions.keys().chain(now.instructions.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();
    let lines = names.into_iter().map(|name| {
        let count = |counts: &Baseline| counts.instructions.get(name).copied();
        let (before, now) = (count(before), count(now));
        let word = match (before, now) {
            (Some(before), Some(now)) if now > before * (1.0 + tolerance) + SLACK => Word::Slower,
            (Some(before), Some(now)) if now < before * (1.0 - tolerance) - SLACK => Word::Better,
            (Some(_), Some(_)) => Word::Same,
            (None, _) => Word::New,
            (_, None) => Word::Gone,
        };
        Line {
            name: name.clone(),
            before,
            now,
            word,
        }
    });
    Verdict {
        lines: lines.collect(),
        tolerance,
        elsewhere: (!same).then(|| (before.made_with.clone(), now.made_with.clone())),
    }
}

impl Verdict {
    /// Whether no path has become slower, and the baseline speaks of the same operations.
    pub fn passed(&self) -> bool {
        let fails = |word| matches!(word, Word::Slower | Word::New | Word::Gone);
        !self.lines.iter().any(|line| fails(line.word))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<f64>| count.map_or_else(|| "-".into(), |n| format!("{n:.1}"));
        for line in &self.lines {
            let change = match (line.before, line.now) {
                (Some(before), Some(now)) => format!("{:+.1} %", (now / before - 1.0) * 100.0),
                _ => String::new(),
            };
            let word = match line.word {
                Word::Same => "",
                Word::Better => "better",
                Word::Slower => "SLOWER",
                Word::New => "NOT IN THE BASELINE",
                Word::Gone => "IN THE BASELINE ONLY",
            };
            let (before, now) = (number(line.before), number(line.now));
            let row = format!("{:<34} {before:>9} {now:>9} {change:>9}  {word}", line.name);
            writeln!(f, "{}", row.trim_end())?;
        }
        let percent = self.tolerance * 100.0;
        if let Some((before, now)) = &self.elsewhere {
            writeln!(
                f,
                "the baseline was made with {before}, this is {now}: {percent:.0} % are tolerated"
            )?;
        }
        if !self.passed() {
            writeln!(
                f,
                "more than {percent:.0} % above the baseline, or not the same operations. Where that is \
                 the price of something, accept it with `cargo xtask guard --accept` and say in the \
                 commit what it buys"
            )?;
        } else if self.lines.iter().any(|line| line.word == Word::Better) {
            writeln!(
                f,
                "better than the baseline: `cargo xtask guard --accept` keeps it so"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(made_with: &str, counts: [(&str, f64); N]) -> Baseline {
        Baseline {
            made_with: made_with.to_owned(),
            instructions: counts.map(|(name, count)| (name.to_owned(), count)).into(),
        }
    }

    fn words(verdict: &Verdict) -> Vec<Word> {
        verdict.lines.iter().map(|line| line.word).collect()
    }

    #[test]
    fn a_slower_path_fails_and_names_the_remedy() {
        let before = counts("x", [("parse", 1000.0)]);
        let verdict = judge(&before, &counts("x", [("parse", 1033.0)]));
        assert_eq!(words(&verdict), [Word::Slower]);
        assert!(!verdict.passed());
        assert!(verdict.to_string().contains("cargo xtask guard --accept"));
        assert!(judge(&before, &counts("x", [("parse", 1031.0)])).passed());
    }

    #[test]
    fn a_faster_path_passes_and_is_told() {
        let before = counts("x", [("parse", 1000.0)]);
        let verdict = judge(&before, &counts("x", [("parse", 900.0)]));
        assert_eq!(words(&verdict), [Word::Better]);
        assert!(verdict.passed());
        assert!(verdict.to_string().contains("keeps it so"));
    }

    #[test]
    fn another_compiler_has_more_tolerance_and_is_judged_all_the_same() {
        let before = counts("x", [("parse", 1000.0)]);
        assert!(judge(&before, &counts("y", [("parse", 1100.0)])).passed());
        let verdict = judge(&before, &counts("y", [("parse", 1200.0)]));
        assert!(!verdict.passed());
        assert!(verdict.to_string().contains("made with x, this is y"));
    }

    #[test]
    fn the_baseline_speaks_of_the_same_operations() {
        let before = counts("x", [("parse", 10.0), ("write", 10.0)]);
        let verdict = judge(&before, &counts("x", [("parse", 10.0), ("sign", 10.0)]));
        assert_eq!(words(&verdict), [Word::Same, Word::New, Word::Gone]);
        assert!(!verdict.passed());
    }
}
