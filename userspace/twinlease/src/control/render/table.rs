//! Columns as wide as their widest cell; numbers to the right.

use std::fmt::{self, Display};

/// `N` columns.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(str::to_owned)],
        }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Whether every cell below the header is a number, or stands for one.
    fn is_number(&self, column: usize) -> bool {
        let number = |cell: &str| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit());
        let ip = |cell: &str| cell.contains(':');
        self.rows[1..]
            .iter()
            .all(|row| number(&row[column]) && !ip(&row[column]))
    }
}

impl<const N: usize> Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let lengths = self.rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        };
        let columns: [(usize, bool); N] =
            std::array::from_fn(|column| (width(column), self.is_number(column)));
        for row in &self.rows {
            let mut line = String::new();
            for (cell, (width, right)) in row.iter().zip(columns) {
                line += "  ";
                line += &match right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_left_and_numbers_right() {
        let mut table = Table::new(["name", "n"]);
        table.row(["a".into(), "100".into()]);
        table.row(["longer".into(), "2".into()]);
        let shown = table.to_string();
        assert_eq!(shown, "  name      n\n  a       100\n  longer    2\n");
    }
}
