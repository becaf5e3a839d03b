//! A run of the lab: names, scratch directory, cleaning up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::Namespace;
use crate::process::output_of;

/// What every name of the lab begins with.
const PREFIX: &str = "tl-";
/// A file of this name in a scratch directory says that its logs are to outlive the run.
const KEEP: &str = "keep";
/// How much of each log is shown when a test fails, in lines.
const SHOWN_LINES: usize = 60;

static NEXT: AtomicU32 = AtomicU32::new(0);
static CLEANED: Once = Once::new();

/// A run of the lab. Dropping it stops what runs in its namespaces, deletes them and removes the
/// scratch directory; if the thread is panicking it shows the logs and keeps them.
#[derive(Debug)]
pub struct Lab {
    id: String,
    dir: PathBuf,
    namespaces: Vec<Namespace>,
    standing: bool,
}

impl Lab {
    /// Begins a run, after cleaning what runs that were killed have left.
    ///
    /// # Errors
    /// There can be no scratch directory.
    pub fn new() -> Result<Lab> {
        CLEANED.call_once(clean_stale);
        let pid = std::process::id();
        let start = start_time(pid).context("no /proc/self/stat")?;
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Lab::with_id(format!("{PREFIX}{pid}-{start}-{n}"), false)
    }

    /// Begins a run under a fixed name that stays when it is dropped, for working by hand;
    /// [`remove_named`] ends it.
    ///
    /// # Errors
    /// There can be no scratch directory.
    pub fn standing(name: &str) -> Result<Lab> {
        Lab::with_id(format!("{PREFIX}{name}"), true)
    }

    fn with_id(id: String, standing: bool) -> Result<Lab> {
        let dir = std::env::temp_dir().join(&id);
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Lab {
            id,
            dir,
            namespaces: Vec::new(),
            standing,
        })
    }

    /// The scratch directory, for configs, state, logs and captures.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a namespace for the role `role` (`server`, `relay`, …), unique in this run.
    ///
    /// # Errors
    /// `ip netns add` refuses: not root, or the name is taken.
    pub fn namespace(&mut self, role: &str) -> Result<Namespace> {
        let namespace = Namespace::create(format!("{}-{role}", self.id), role, &self.dir)?;
        self.namespaces.push(namespace.clone());
        Ok(namespace)
    }

    /// The namespace of a role that a standing lab has made before.
    pub fn existing(&self, role: &str) -> Namespace {
        Namespace::existing(format!("{}-{role}", self.id), role, &self.dir)
    }

    /// The end of every log of the run, for showing why something failed.
    pub fn logs(&self) -> String {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.dir)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        paths.retain(|path| path.extension().is_some_and(|ext| ext == "log"));
        paths.sort();
        let mut shown = String::new();
        for path in paths {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_LINES);
            shown.push_str(&format!("---- {}\n", path.display()));
            for line in &lines[from..] {
                shown.push_str(line);
                shown.push('\n');
            }
        }
        shown
    }

    /// Keeps the scratch directory when the run ends.
    pub fn keep_files(&self) {
        // Without the mark the logs are lost, nothing worse.
        let _kept = fs::write(self.dir.join(KEEP), "");
    }

    #[expect(
        clippy::print_stderr,
        reason = "the reader of a failed test wants the logs"
    )]
    fn show_failure(&self) {
        self.keep_files();
        eprintln!(
            "{}\nall files of this run: {}",
            self.logs(),
            self.dir.display()
        );
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.standing {
            return;
        }
        if thread::panicking() {
            self.show_failure();
        }
        for namespace in &self.namespaces {
            delete(namespace.name());
        }
        if !self.dir.join(KEEP).exists() {
            let _gone = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Runs one lab test: skips it with a printed reason without root, and on an error shows the logs
/// of every program and panics.
///
/// # Panics
/// When the test fails.
#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
pub fn run(test: impl FnOnce(&mut Lab) -> Result<()>) {
    if !is_root() {
        eprintln!("skipped: network namespaces need root");
        return;
    }
    let mut lab = Lab::new().expect("the lab can begin");
    if let Err(error) = test(&mut lab) {
        panic!("{error:#}");
    }
}

/// Whether this process may make namespaces.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Deletes the namespaces of a standing lab with everything that runs in them, and its directory.
/// Returns how many namespaces there were.
///
/// # Errors
/// The namespaces cannot be listed, or the directory cannot be removed.
pub fn remove_named(name: &str) -> Result<usize> {
    let prefix = format!("{PREFIX}{name}-");
    let mut count = 0;
    for found in namespaces()?
        .iter()
        .filter(|found| found.starts_with(&prefix))
    {
        delete(found);
        count += 1;
    }
    let dir = std::env::temp_dir().join(format!("{PREFIX}{name}"));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(count)
}

/// Deletes namespaces and scratch directories whose makers are gone.
pub fn clean_stale() {
    for name in namespaces().unwrap_or_default() {
        if is_stale(&name) {
            delete(&name);
        }
    }
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let stale = entry.file_name().to_str().is_some_and(is_stale);
        if stale && !entry.path().join(KEEP).exists() {
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
}

fn namespaces() -> Result<Vec<String>> {
    let text = output_of(Command::new("ip").args(["netns", "list"]))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

/// Whether `name` was made by a run whose process is gone. Names of a standing lab and names that
/// are not ours are never stale.
fn is_stale(name: &str) -> bool {
    let Some((pid, start)) = maker(name) else {
        return false;
    };
    start_time(pid) != Some(start)
}

/// The process id and start time in `tl-<pid>-<start time>-<n>…`.
fn maker(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let start = parts.next()?.parse().ok()?;
    parts.next()?.parse::<u32>().ok()?;
    Some((pid, start))
}

/// When a process started, in clock ticks since boot; none if there is no such process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold spaces; the 22nd is wanted.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Stops everything inside the namespace, then deletes it. Nothing here can be mended by the
/// caller, so it goes on as far as it gets.
fn delete(name: &str) {
    let limit = Instant::now() + Duration::from_secs(2);
    loop {
        let pids = output_of(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
        let pids = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
        let inside: Vec<Pid> = pids.filter_map(Pid::from_raw).collect();
        if inside.is_empty() || Instant::now() > limit {
            break;
        }
        for pid in inside {
            let _gone = kill_process(pid, Signal::KILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _gone = output_of(Command::new("ip").args(["netns", "delete", name]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_stale_when_its_maker_is_gone() {
        let own = std::process::id();
        let start = start_time(own).unwrap();
        assert!(!is_stale(&format!("tl-{own}-{start}-0-server")));
        assert!(
            is_stale(&format!("tl-{own}-{}-0-server", start + 1)),
            "the id was used again"
        );
        assert!(
            is_stale("tl-4194305-7-0-server"),
            "above the largest process id"
        );
    }

    #[test]
    fn names_that_are_not_a_runs_are_never_stale() {
        for name in [
            "tl-lab-server",
            "tl-steer-4194305",
            "blue",
            "tl-4194305",
            "tl-4194305-7-x",
        ] {
            assert!(!is_stale(name), "{name}");
        }
    }
}
