#![expect(clippy::unwrap_used, reason = "a test")]
//! CONFORMANCE.md has a row for every requirement, and every test that it names exists.

use std::fs;
use std::path::{Path, PathBuf};

const ROWS: usize = 59;

fn userspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Crates stand in `userspace/`, those that only test in `tests/`.
fn crate_folder(krate: &str) -> PathBuf {
    let inside = userspace().join(krate);
    match inside.is_dir() {
        true => inside,
        false => userspace().join("../tests").join(krate),
    }
}

/// The sources of a crate, in one string.
fn sources(krate: &str) -> String {
    let mut text = String::new();
    let mut left = ["src", "tests"]
        .map(|folder| crate_folder(krate).join(folder))
        .to_vec();
    while let Some(path) = left.pop() {
        if let Ok(entries) = fs::read_dir(&path) {
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).unwrap();
        }
    }
    text
}

#[test]
fn every_row_is_there_and_every_test_it_names_exists() {
    let table = userspace().join("failover/CONFORMANCE.md");
    let table = fs::read_to_string(table).unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| F"))
        .collect();
    assert_eq!(rows.len(), ROWS);
    let mut named = 0;
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [id, section, level, what, proof] = cells[..] else {
            panic!("five cells: {row}");
        };
        assert_eq!(id, format!("F{:02}", index + 1));
        for cell in [section, level, what, proof] {
            assert!(!cell.is_empty(), "{row}");
        }
        // Between backquotes stands a test, or a word.
        for test in proof.split('`').skip(1).step_by(2) {
            if let Some((krate, name)) = test.split_once("::") {
                let exists = sources(krate).contains(&format!("fn {name}("));
                assert!(exists, "{id} names {test}, which is not there");
                named += 1;
            }
        }
    }
    assert!(named >= 50);
}
