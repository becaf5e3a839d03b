//! Programs in the background, and commands with a time limit.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait::{poll, wait_until};

/// How long a command that should end by itself may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// How long a program may take to stop after SIGTERM before it is killed on drop.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A program in the background. Dropping it stops the program and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    what: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own (an interrupt from the terminal reaches the
    /// lab, which then stops its programs in order), with both outputs going to the file `log`.
    ///
    /// # Errors
    /// The log cannot be made or the program cannot be started.
    pub fn spawn(mut command: Command, what: &str, log: &Path) -> Result<Process> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {what}: {command:?}"))?;
        Ok(Process {
            child,
            what: what.to_owned(),
            log: log.to_owned(),
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed until now.
    pub fn printed(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The exit status if it has ended.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The program has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!(
                "{} has already ended ({status}):\n{}",
                self.what,
                self.printed()
            );
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.what))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.what);
        wait_until(&what, limit, || Ok(self.child.try_wait()?))
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// The program has ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until its output contains `text`.
    ///
    /// # Errors
    /// It ends first, or `limit` passes.
    pub fn wait_for_output(&mut self, text: &str, limit: Duration) -> Result<()> {
        let what = format!("{} to print {text:?}", self.what);
        wait_until(&what, limit, || {
            if self.printed().contains(text) {
                return Ok(Some(()));
            }
            match self.ended()? {
                Some(status) => bail!("{} ended ({status}):\n{}", self.what, self.printed()),
                None => Ok(None),
            }
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // The program may end between the look and the signal; then there is nothing to do.
        let _gone = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// It cannot be started, does not end in time, or fails: then with both of its outputs.
pub fn output_of(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    // Both pipes are drained while the program runs, or a talkative one would never end.
    let out = drain(child.stdout.take());
    let err = drain(child.stderr.take());
    let ended = poll(&format!("{shown} to end"), COMMAND_LIMIT, || {
        Ok(child.try_wait()?)
    });
    if ended.is_err() {
        let _gone = child.kill();
        let _status = child.wait();
    }
    let out = out.join().unwrap_or_default();
    let err = err.join().unwrap_or_default();
    let status = ended?;
    if !status.success() {
        bail!("{shown} failed ({status}):\n{out}{err}");
    }
    Ok(out)
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error is still worth showing.
            let _read = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
