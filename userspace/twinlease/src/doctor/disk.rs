//! The disk under `state-dir`: what a commit will cost, and how much fits.

use rustix::fs::statvfs;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Finding;
use crate::config::Config;

/// What a small commit writes.
const BLOCK_LEN: usize = 4096;
/// How many are tried.
const TRIES: usize = 64;
/// The journal's segments, spare ones and snapshots of a million bindings.
const ROOM: u64 = 2 << 30;
/// `f_type` of file systems that a power cut empties (statfs(2)).
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// What was found.
struct Facts {
    /// Kept in memory only.
    is_volatile: bool,
    /// Octets that the server's user may still write.
    free: u64,
    /// Times of the flushes, in order of length.
    flushes: Vec<Duration>,
}

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    // What `run` will make is judged by where it will be made.
    let exists = |path: &&Path| path.is_dir();
    let Some(dir) = config.state_dir.ancestors().find(exists) else {
        return Vec::new();
    };
    match facts(dir) {
        Ok(facts) => judge(dir, &facts),
        Err(error) => vec![Finding::unfit(
            "disk",
            format!("{}: {error}", dir.display()),
            "let the server's user write there, or name another state-dir",
        )],
    }
}

fn facts(dir: &Path) -> io::Result<Facts> {
    let space = statvfs(dir)?;
    let kind = rustix::fs::statfs(dir)?.f_type;
    Ok(Facts {
        is_volatile: [TMPFS, RAMFS].contains(&kind),
        free: space.f_bavail.saturating_mul(space.f_frsize),
        flushes: flushes(dir)?,
    })
}

/// Writes blocks into a file without a name and flushes each, as the journal does: into space that
/// is there already.
fn flushes(dir: &Path) -> io::Result<Vec<Duration>> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mut file = File::from(open(dir, flags, Mode::RUSR | Mode::WUSR)?);
    let block = [0x5a; BLOCK_LEN];
    for _ in 0..TRIES {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let mut times = Vec::with_capacity(TRIES);
    for offset in (0..TRIES as u64).map(|block| block * BLOCK_LEN as u64) {
        let begin = Instant::now();
        file.write_all_at(&block, offset)?;
        file.sync_data()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn judge(dir: &Path, facts: &Facts) -> Vec<Finding> {
    let dir = dir.display();
    let mut findings = Vec::new();
    if facts.is_volatile {
        findings.push(Finding::unfit(
            "disk",
            format!("{dir} is in memory: a power cut takes every binding"),
            "name a state-dir on a disk",
        ));
    }
    if let (Some(median), Some(worst)) = (
        facts.flushes.get(facts.flushes.len() / 2),
        facts.flushes.last(),
    ) {
        let found = format!(
            "{dir}: 4 KiB reach the disk in {} at the median, {} at worst of {}",
            millis(*median),
            millis(*worst),
            facts.flushes.len()
        );
        findings.push(match *median > Duration::from_millis(5) {
            false => Finding::fit("disk", found),
            true => Finding::hurts(
                "disk",
                format!("{found}; each Reply that grants waits for that"),
                "put state-dir on an SSD with power-loss protection, or a RAID with a protected cache",
            ),
        });
    }
    if facts.free < ROOM {
        findings.push(Finding::hurts(
            "disk",
            format!("{dir} has {} MiB left", facts.free >> 20),
            "leave it 2 GiB and 300 MiB for each million bindings: without room nothing is acknowledged",
        ));
    }
    findings
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn verdicts(is_volatile: bool, free: u64, flush_micros: u64) -> Vec<Verdict> {
        let facts = Facts {
            is_volatile,
            free,
            flushes: vec![Duration::from_micros(flush_micros); 5],
        };
        let found = judge(Path::new("/var/lib/twinlease"), &facts);
        found.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_disk_is_judged_by_what_it_keeps_how_fast_and_how_much() {
        use Verdict::{Fit, Hurts, Unfit};
        assert_eq!(verdicts(false, 8 << 30, 150), [Fit]);
        assert_eq!(verdicts(false, 8 << 30, 9000), [Hurts]);
        assert_eq!(verdicts(false, 1 << 30, 150), [Fit, Hurts]);
        assert_eq!(verdicts(true, 8 << 30, 3), [Unfit, Fit]);
    }

    #[test]
    fn blocks_are_written_and_flushed() {
        let dir = tempfile::tempdir().unwrap();
        let times = flushes(dir.path()).unwrap();
        assert_eq!(times.len(), TRIES);
        assert!(times.is_sorted());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
