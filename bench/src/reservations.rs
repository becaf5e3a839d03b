//! A million reservations: how long their file takes to be read and checked, how much memory they
//! take, and what it costs to look for one.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use engine::{ReservationKey, ReservationTable, ReservationTerms};
use lease::Lease;

const COUNT: u32 = 1_000_000;
const RUNS: usize = 3;
/// Delegated from 2001:db8:8000::/36, side by side.
const FIRST: u128 = 0x2001_0db8_8000 << 80;
const LEN: u8 = 56;

/// The config is that of a server behind relays, with all prefixes of its pool reserved by Remote-Id.
const CONFIG: &str = r#"[[interface]]
name = "eth0"
[[link]]
name = "access"
link-addresses = ["2001:db8:1::/64"]
[[link.prefix-pool]]
prefix = "2001:db8:8000::/36"
delegated-length = 56
"#;

/// The figures.
///
/// # Errors
/// There is no program, or it refuses the file.
pub fn run() -> Result<Vec<(&'static str, f64)>> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("reservations.jsonl");
    std::fs::write(&file, lines("access", 0))?;
    let config = dir.path().join("config.toml");
    let named = format!("{CONFIG}[reservations]\nfile = {file:?}\n");
    std::fs::write(&config, named)?;
    let empty = dir.path().join("empty.toml");
    std::fs::write(&empty, CONFIG)?;
    let load_s = median_s(|| check(&config))? - median_s(|| check(&empty))?;
    let table = table()?;
    let build_s = median_s(|| self::table().map(drop))?;
    Ok(vec![
        ("load_1m_s", load_s),
        ("table_1m_s", build_s),
        (
            "octets_per_reservation",
            table.memory_bytes() as f64 / table.len() as f64,
        ),
        ("of_lease_ns", of_lease_ns(&table)),
    ])
}

fn lease(number: u32) -> Lease {
    Lease {
        addr: FIRST + (u128::from(number) << (128 - LEN)),
        len: LEN,
    }
}

/// As long as those of access nodes are: 18 octets and more.
fn remote_id(number: u32) -> String {
    format!("olt-{:03}/{:02}/{number:08}", number % 977, number % 16)
}

/// In an order that is not that of the leases.
fn numbers() -> impl Iterator<Item = u32> {
    (0..COUNT).map(|at| (u64::from(at) * 7_368_787 % u64::from(COUNT)) as u32)
}

/// A file of a million reservations on this link; in each round every lease is another line's.
pub fn lines(link: &str, round: u32) -> String {
    let mut lines = String::new();
    for number in numbers() {
        let (id, prefix) = (remote_id((number + round) % COUNT), lease(number));
        // Writing to a String cannot fail.
        let _ = writeln!(
            lines,
            r#"{{"link":"{link}","remote-id":"{id}","prefix":"{prefix}"}}"#
        );
    }
    lines
}

fn table() -> Result<ReservationTable> {
    let mut table = ReservationTable::builder();
    for number in numbers() {
        let id = remote_id(number);
        let key = ReservationKey::RemoteId {
            enterprise: None,
            id: id.as_bytes(),
        };
        table.push(
            number,
            "access",
            key,
            lease(number),
            &ReservationTerms::NONE,
        )?;
    }
    match table.finish(1) {
        Ok(table) => Ok(table),
        Err(clashes) => bail!("reservations clash: {clashes:?}"),
    }
}

fn check(config: &Path) -> Result<()> {
    let done = Command::new(lab::server::program()?)
        .args(["check", "--config"])
        .arg(config)
        .output()
        .context("cannot start the program")?;
    if !done.status.success() {
        bail!("refused: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Of look-ups in no order, as they come at the end of a lease.
fn of_lease_ns(table: &ReservationTable) -> f64 {
    let began = Instant::now();
    for number in numbers() {
        black_box(table.of_lease(black_box(lease(number))));
    }
    began.elapsed().as_nanos() as f64 / f64::from(COUNT)
}

fn median_s(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut measured = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        run()?;
        measured.push(began.elapsed().as_secs_f64());
    }
    measured.sort_by(f64::total_cmp);
    Ok(measured[RUNS / 2])
}
