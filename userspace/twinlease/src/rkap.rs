//! The server's own part of reconfigure key authentication (RFC 9915 §20.3, §20.4): its secret, and
//! replay detection values that are retained over restarts.

use crate::config::Config;
use crate::state_dir::StateDir;
use anyhow::Context as _;
use engine::reconfigure::{Replay, Rkap};
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether values run short: a fraction of the time that they last.
const LOOK: Duration = Duration::from_secs(5);

/// Opens what the config fixes and the state directory keeps, whether or not clients are given keys
/// now: a reload may begin with that.
///
/// # Errors
/// A file cannot be read or written, or is damaged.
pub fn open(config: &Config, state_dir: &StateDir) -> anyhow::Result<Arc<Rkap>> {
    let secret = match &config.reconfigure_secret {
        Some(secret) => secret.clone(),
        None => state_dir.reconfigure_secret()?,
    };
    let replay = Replay::new(state_dir.replay_limit()?);
    let rkap = Rkap::new(&secret, replay).context("reconfigure.secret is too short")?;
    if config.reconfigure
        && let Some(limit) = rkap.replay().wants_limit(crate::worker::now())
    {
        state_dir.retain_replay_limit(limit)?;
        rkap.replay().set_limit(limit);
    }
    Ok(Arc::new(rkap))
}

/// Retains values ahead of their use until `stop` is ready, and then the last one used. `is_used`
/// says whether clients are given keys.
pub async fn retain(
    rkap: Arc<Rkap>,
    state_dir: StateDir,
    is_used: impl Fn() -> bool,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    tokio::pin!(stop);
    let mut look = tokio::time::interval(LOOK);
    let mut was_used = is_used();
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = look.tick() => {}
        }
        if !is_used() {
            continue;
        }
        was_used = true;
        let Some(limit) = rkap.replay().wants_limit(crate::worker::now()) else {
            continue;
        };
        match write(&state_dir, limit).await {
            Ok(()) => rkap.replay().set_limit(limit),
            // Keys are given no more when the values that are retained run out.
            Err(error) => tracing::error!(%error, "replay detection values cannot be retained"),
        }
    }
    // The workers have stopped, so no value follows: the next start need not run ahead of the time.
    if was_used && let Err(error) = write(&state_dir, rkap.replay().last()).await {
        tracing::warn!(%error, "the last replay detection value is not retained");
    }
    Ok(())
}

/// Beside the control thread, which a slow disk must not hold up.
async fn write(state_dir: &StateDir, limit: u64) -> anyhow::Result<()> {
    let state_dir = state_dir.clone();
    let written = tokio::task::spawn_blocking(move || state_dir.retain_replay_limit(limit));
    Ok(written.await??)
}
