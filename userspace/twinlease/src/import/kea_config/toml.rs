//! This server's TOML, written.

use std::fmt::Write as _;

pub(super) fn duration(secs: u64) -> String {
    match u32::try_from(secs) {
        Ok(u32::MAX) | Err(_) => quoted("infinite"),
        Ok(secs) => quoted(&format!("{secs}s")),
    }
}

/// A TOML string (TOML 1.0, basic strings).
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
