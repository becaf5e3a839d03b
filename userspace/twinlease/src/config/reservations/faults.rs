//! What is wrong with reservations, in the config or in the file of their own.

use super::{Field, file};
use crate::config::build;
use crate::config::fault::{Findings, Located, Place, Severity};
use lease::Lease;

/// Faults of a file that are told; a file of a million lines can have as many.
pub const TOLD_MAX: usize = 100;

/// Where a reservation is.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// In the config, the one of this number among all.
    Table(u32),
    /// In the file, in this line, counted from 1.
    Line(u32),
}

/// Collects faults with their places.
pub struct Faults<'f> {
    tables: &'f [(usize, &'f file::Reservation)],
    findings: &'f mut Findings,
    file: String,
    lines: Vec<Located>,
    untold: usize,
}

impl<'f> Faults<'f> {
    pub fn new(
        tables: &'f [(usize, &'f file::Reservation)],
        findings: &'f mut Findings,
        file: Option<&str>,
    ) -> Self {
        Self {
            tables,
            findings,
            file: file.unwrap_or_default().to_owned(),
            lines: Vec::new(),
            untold: 0,
        }
    }

    /// Those of the config.
    pub fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    /// A fault of a key of the reservation; "" for all of it.
    pub fn fault(&mut self, source: Source, key: &str, problem: String, remedy: &str) {
        match source {
            Source::Table(number) => {
                let (_, table) = self.tables[number as usize];
                self.findings.fault(&table.place, problem, remedy);
            }
            Source::Line(line) => self.fault_at(line as usize, 1, key, problem, remedy),
        }
    }

    /// A fault of one of the leases of the reservation.
    pub fn fault_of(
        &mut self,
        source: Source,
        field: Field,
        lease: Lease,
        problem: String,
        remedy: &str,
    ) {
        match source {
            Source::Table(number) => {
                let place = self.table_place(number, field, lease).clone();
                self.findings.fault(&place, problem, remedy);
            }
            Source::Line(_) => self.fault(source, field.as_str(), problem, remedy),
        }
    }

    /// Something that will hurt, in a line of the file.
    pub fn warn_of_line(&mut self, line: u32, key: &str, problem: String, remedy: &str) {
        self.found(Severity::Warning, (line as usize, 1), key, problem, remedy);
    }

    /// A fault at this line and column of the file.
    pub fn fault_at(
        &mut self,
        line: usize,
        column: usize,
        key: &str,
        problem: String,
        remedy: &str,
    ) {
        self.found(Severity::Fault, (line, column), key, problem, remedy);
    }

    fn found(
        &mut self,
        severity: Severity,
        (line, column): (usize, usize),
        key: &str,
        problem: String,
        remedy: &str,
    ) {
        if self.lines.len() >= TOLD_MAX {
            self.untold += 1;
            return;
        }
        self.lines.push(Located {
            severity,
            file: self.file.clone(),
            line,
            column,
            key: key.to_owned(),
            problem,
            remedy: remedy.to_owned(),
        });
    }

    /// What stands for the source in a table of reservations: those of the config come first, so that
    /// of two that clash the one in the file is the one at fault.
    pub fn number(&self, source: Source) -> u32 {
        match source {
            Source::Table(number) => number,
            Source::Line(line) => line.saturating_add(self.tables.len() as u32),
        }
    }

    /// The source that a number stands for.
    pub fn source(&self, number: u32) -> Source {
        match number.checked_sub(self.tables.len() as u32) {
            None => Source::Table(number),
            Some(line) => Source::Line(line),
        }
    }

    /// The source of a lease in words.
    pub fn place(&self, number: u32, lease: Lease) -> String {
        match self.source(number) {
            Source::Table(number) => self
                .table_place(number, Field::of(lease), lease)
                .key
                .clone(),
            Source::Line(line) => format!("line {line}"),
        }
    }

    /// The faults of the file in the order of its lines.
    pub fn of_lines(self) -> Vec<Located> {
        let mut lines = self.lines;
        lines.sort_by_key(|fault| (fault.line, fault.column));
        if self.untold > 0 {
            lines.push(Located {
                severity: Severity::Fault,
                file: self.file,
                line: lines.last().map_or(1, |last| last.line),
                column: 1,
                key: String::new(),
                problem: format!("{} more faults", self.untold),
                remedy: "correct those above first".into(),
            });
        }
        lines
    }

    /// Where a lease stands; of one that is there twice, where it does the second time.
    fn table_place(&self, number: u32, field: Field, lease: Lease) -> &Place {
        let (_, table) = self.tables[number as usize];
        let place = match field {
            Field::Address => {
                let mut addresses = table.addresses.iter().rev();
                let found = addresses.find(|placed| placed.value.to_bits() == lease.addr);
                found.map(|placed| &placed.place)
            }
            Field::Prefix => {
                let mut prefixes = table.prefixes.iter().rev();
                let found = prefixes.find(|placed| build::lease(placed.value) == lease);
                found.map(|placed| &placed.place)
            }
        };
        place.unwrap_or(&table.place)
    }
}
