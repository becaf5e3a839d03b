//! The end of an orderly stop: everything that was recorded is on disk, or it is said what is not.

use crate::control_lane::SharedLane;
use journal::{Appender, Health, Journal};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// How long the disk may take with what is left, and then with its last write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(1);

/// What has been recorded when nothing more is.
pub struct Remains {
    /// By worker; `None` if it panicked.
    pub workers: Vec<Option<Appender>>,
    /// The control thread's.
    pub control: SharedLane,
    /// Where it goes.
    pub journal: Arc<Journal>,
}

/// Why not all of it is on disk, or may not be.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Its records are gone with it.
    #[error("worker {0} failed; the log has its panic message")]
    Worker(usize),
    /// The disk refuses them.
    #[error("stopped without {left} on disk: {error}; nobody was told of them")]
    Failing {
        /// Which records.
        left: Left,
        /// What the journal says.
        error: String,
    },
    /// The disk does not answer.
    #[error(
        "stopped without {left} on disk: it has not ended a write in {} s; check it and the \
         kernel's log; nobody was told of them",
        PATIENCE.as_secs()
    )]
    Stalled {
        /// Which records.
        left: Left,
    },
    /// Somebody goes on with it.
    #[error("stopped with the journal in use: {0}, and nobody has closed it")]
    InUse(Left),
}

/// Records that are not on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    workers: Vec<u64>,
    control: u64,
}

impl core::fmt::Display for Left {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_nothing() {
            return write!(f, "no record");
        }
        let workers = self.workers.iter().enumerate();
        let workers = workers.filter(|(_, records)| **records > 0);
        let mut and = "";
        for (worker, records) in workers {
            write!(f, "{and}{} of worker {worker}", Count(*records))?;
            and = " and ";
        }
        match self.control {
            0 => Ok(()),
            records => write!(
                f,
                "{and}{} of failover states and the ownership of prefixes",
                Count(records)
            ),
        }
    }
}

/// So many records.
struct Count(u64);

impl core::fmt::Display for Count {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            1 => f.write_str("1 record"),
            records => write!(f, "{records} records"),
        }
    }
}

impl Left {
    fn is_nothing(&self) -> bool {
        self.control == 0 && self.workers.iter().all(|records| *records == 0)
    }
}

impl Remains {
    /// Waits until all of it is on disk, and closes the journal.
    ///
    /// # Errors
    /// [`StopError`]: what is not on disk, and why.
    pub fn settle(self) -> Result<(), StopError> {
        self.settle_within(PATIENCE)
    }

    fn settle_within(mut self, patience: Duration) -> Result<(), StopError> {
        let deadline = Instant::now() + patience;
        while !self.left().is_nothing() && Instant::now() < deadline && !self.is_failing() {
            std::thread::sleep(LOOK);
        }
        let health = match Arc::try_unwrap(self.journal) {
            Ok(journal) => close(journal, patience),
            Err(journal) => {
                self.journal = journal;
                return Err(StopError::InUse(self.left()));
            }
        };
        // What was on its way may have arrived while the journal was closed.
        let left = left(&mut self.workers, &self.control);
        match health {
            Some(Health::Failing { error, .. }) => Err(StopError::Failing { left, error }),
            None => Err(StopError::Stalled { left }),
            Some(Health::Ok) if !left.is_nothing() => Err(StopError::Stalled { left }),
            Some(Health::Ok) => match self.workers.iter().position(Option::is_none) {
                Some(worker) => Err(StopError::Worker(worker)),
                None => Ok(()),
            },
        }
    }

    fn left(&mut self) -> Left {
        left(&mut self.workers, &self.control)
    }

    fn is_failing(&self) -> bool {
        self.journal.health() != Health::Ok
    }
}

/// Hands over what has not been; what is not on disk.
fn left(workers: &mut [Option<Appender>], control: &SharedLane) -> Left {
    let workers = workers.iter_mut();
    Left {
        workers: workers
            .map(|appender| appender.as_mut().map_or(0, uncommitted))
            .collect(),
        control: control.lock().uncommitted(),
    }
}

/// Hands over what was appended; how many records are not on disk.
pub fn uncommitted(appender: &mut Appender) -> u64 {
    appender.submit_all();
    appender.ticket().0 - appender.committed().0
}

/// Closes the journal; `None` if its thread does not come back from the disk.
fn close(journal: Journal, patience: Duration) -> Option<Health> {
    let (say, closed) = mpsc::channel();
    let close = move || {
        // Nobody listens any more if it took too long.
        let _ = say.send(journal.close());
    };
    let thread = std::thread::Builder::new().name("journal-close".to_owned());
    thread.spawn(close).ok()?;
    closed.recv_timeout(patience).ok()
}

#[cfg(test)]
mod tests;
