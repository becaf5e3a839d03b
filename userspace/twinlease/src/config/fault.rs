//! Faults and warnings: where, which key, what is wrong and what to do about it.

use std::fmt;

/// Whether a finding forbids serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server refuses to start.
    Fault,
    /// It serves, but something will hurt.
    Warning,
}

/// Where in the file, and under which key, something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Octets from the start of the file.
    pub offset: usize,
    /// The key with the tables around it: `link[2].address-pool[0].range`, counted from 0.
    pub key: String,
}

/// One finding before its line is known.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    place: Place,
    problem: String,
    remedy: String,
}

/// Collects findings while a file is read and checked.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Something that forbids serving.
    pub fn fault(&mut self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Fault, place, problem.into(), remedy.into());
    }

    /// Something that will hurt.
    pub fn warn(&mut self, place: &Place, problem: impl Into<String>, remedy: impl Into<String>) {
        self.add(Severity::Warning, place, problem.into(), remedy.into());
    }

    fn add(&mut self, severity: Severity, place: &Place, problem: String, remedy: String) {
        let place = place.clone();
        self.0.push(Finding {
            severity,
            place,
            problem,
            remedy,
        });
    }

    /// Gives every finding its line and column, in the order of the file.
    pub fn locate(mut self, file: &str, text: &str) -> Report {
        self.0.sort_by_key(|finding| finding.place.offset);
        let mut cursor = Cursor {
            text,
            offset: 0,
            line: 1,
            column: 1,
        };
        let locate = |finding: Finding| {
            let (line, column) = cursor.advance(finding.place.offset);
            Located {
                severity: finding.severity,
                file: file.to_owned(),
                line,
                column,
                key: finding.place.key,
                problem: finding.problem,
                remedy: finding.remedy,
            }
        };
        Report(self.0.into_iter().map(locate).collect())
    }
}

/// Walks the text once for all findings, which come in ascending order.
struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
    column: usize,
}

impl Cursor<'_> {
    fn advance(&mut self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        for character in self.text[self.offset..offset].chars() {
            match character {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
        self.offset = offset;
        (self.line, self.column)
    }
}

/// One finding, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Fault or warning.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The key; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fault => "error",
            Severity::Warning => "warning",
        };
        write!(
            f,
            "{}:{}:{}: {severity}: ",
            self.file, self.line, self.column
        )?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// Everything found in a file, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Located>);

impl Report {
    /// How many findings forbid serving.
    pub fn faults(&self) -> usize {
        let is_fault = |found: &&Located| found.severity == Severity::Fault;
        self.0.iter().filter(is_fault).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|found| writeln!(f, "{found}"))
    }
}

impl std::error::Error for Report {}
