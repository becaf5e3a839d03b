//! The config file: read, checked, and turned into what the server uses.

mod build;
mod check;
mod class;
mod clients;
mod delegated;
pub mod diff;
mod failover;
mod fault;
mod file;
mod links;
pub mod model;
mod network;
mod options;
mod read;
mod reservations;
mod steering;
#[cfg(test)]
mod tests;
pub mod value;

use std::path::{Path, PathBuf};

pub use check::{CONTROL_SOCKET, STATE_DIR};
pub use fault::{Findings, Located, Place, Report, Severity};
pub use model::{
    Config, Failover, Idle, Interface, Io, Lifetimes, Link, Pool, Role, VerifyChecksums,
    WithoutPartner,
};

/// Reads and checks a config file, and the reservations file that it names; `cores` are those that the process may run on.
///
/// # Errors
/// Every fault found, with the warnings; or the one reason why the file cannot be read.
pub fn load(path: &Path, cores: &[usize]) -> Result<(Config, Report), Report> {
    let file = path.display().to_string();
    parse(&file, &read(path)?, cores)
}

/// As [`load`], of a config's text that is at hand; `file` is the name shown in findings.
///
/// # Errors
/// As [`load`].
pub fn parse(file: &str, text: &str, cores: &[usize]) -> Result<(Config, Report), Report> {
    let mut findings = Findings::default();
    let config = file::File::read(text, &mut findings).map(|read| {
        let lines = open_reservations(&read, &mut findings);
        check::check(text, &read, cores, lines, &mut findings)
    });
    let mut report = findings.locate(file, text);
    let config = config.map(|(config, of_lines)| {
        report.0.extend(of_lines);
        config
    });
    match config {
        Some(config) if report.faults() == 0 => Ok((config, report)),
        _ => Err(report),
    }
}

fn open_reservations(file: &file::File, findings: &mut Findings) -> Option<reservations::Lines> {
    let path = file.reservations.file.as_ref()?;
    match reservations::Lines::open(&path.value) {
        Ok(lines) => Some(lines),
        Err(error) => {
            let problem = format!("{} cannot be read: {error}", path.value.display());
            let remedy = "check the path and its permissions, or remove the key";
            findings.fault(&path.place, problem, remedy);
            None
        }
    }
}

/// The control socket that a config file names, whatever else is wrong with it.
///
/// # Errors
/// The file cannot be read, or is not TOML.
pub fn control_socket(path: &Path) -> Result<PathBuf, Report> {
    let text = read(path)?;
    let mut findings = Findings::default();
    match file::File::read(&text, &mut findings) {
        Some(file) => Ok(check::control_socket(&file)),
        None => Err(findings.locate(&path.display().to_string(), &text)),
    }
}

fn read(path: &Path) -> Result<String, Report> {
    let refuse = |problem: String, remedy: &str, offset, text: &str| {
        let mut findings = Findings::default();
        findings.fault(
            &Place {
                offset,
                key: String::new(),
            },
            problem,
            remedy,
        );
        findings.locate(&path.display().to_string(), text)
    };
    let octets = std::fs::read(path).map_err(|error| {
        refuse(
            format!("cannot be read: {error}"),
            "check the path and its permissions",
            0,
            "",
        )
    })?;
    String::from_utf8(octets).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        refuse(
            "not UTF-8 from here".into(),
            "save the file as UTF-8",
            valid,
            &text,
        )
    })
}
