//! Waiting with a time limit, and stopping early when interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Between two looks: short beside a packet's way through three programs, long beside a look.
const PAUSE: Duration = Duration::from_millis(20);

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Once this is true every wait of the lab ends with an error, so that the guards on the stack
/// clean up. For a signal handler, which may only store a flag.
pub fn interrupt_flag() -> Arc<AtomicBool> {
    Arc::clone(&INTERRUPTED)
}

/// Whether the [flag](interrupt_flag) was set.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Looks until `look` gives a value and returns it. An error of `look` ends the waiting at once.
///
/// # Errors
/// After `limit`, naming `what`; on an interrupt; or the error of `look`.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    poll(what, limit, || {
        if interrupted() {
            bail!("interrupted")
        } else {
            look()
        }
    })
}

/// [`wait_until`] that goes on when interrupted, for what cleaning up needs.
///
/// # Errors
/// After `limit`, naming `what`; or the error of `look`.
pub(crate) fn poll<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look().with_context(|| format!("while waiting for {what}"))? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {:.1} s in vain for {what}", limit.as_secs_f64());
        }
        std::thread::sleep(PAUSE);
    }
}
