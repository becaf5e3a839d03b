//! A new config for a running server: applied whole, without a packet less, or refused whole.

use crate::config::{self, Config, diff};
use crate::control::status::{ConfigReport, ReloadReport};
use crate::control::view::Moment;
use crate::worker::{BeginHandover, Gate, Inbox, Mail, Switch};
use arc_swap::ArcSwap;
use engine::{Model, Rkap};
use lease::AbsTime;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};

/// How long workers wait for each other to change the model together, at the first try; a worker
/// comes between two batches of packets, so in less unless its core is taken from it.
const PATIENCE: Duration = Duration::from_millis(2);
/// Tries, each with more patience, before the reload is refused: then a worker has not run for
/// longer than any packet waits.
const TRIES: u32 = 12;
/// Pause between two tries, and before mail is offered again to an inbox that was full.
const PAUSE: Duration = Duration::from_millis(20);

/// What a reload came to, for who asked for it.
pub type Answer = oneshot::Sender<ReloadReport>;

/// Where reloads are asked for.
#[derive(Clone, Debug)]
pub struct ReloadHandle(mpsc::Sender<Asked>);

/// What is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The config file and the reservations file that it names.
    Config,
    /// The reservations file alone, beside the config in force.
    Reservations,
}

/// A reload that is asked for.
type Asked = (What, Option<Answer>);

impl ReloadHandle {
    /// Asks for a reload and waits for what it came to; `None` if the server is stopping.
    pub async fn reload(&self, what: What) -> Option<ReloadReport> {
        let (answer, answered) = oneshot::channel();
        self.0.send((what, Some(answer))).await.ok()?;
        answered.await.ok()
    }

    /// Asks for a reload of the config whose outcome is in the log and the status.
    pub fn request(&self) {
        // Full: a reload that has not begun yet will read the same file.
        let _ = self.0.try_send((What::Config, None));
    }
}

/// What the status says of the config.
#[derive(Debug)]
pub struct ConfigState(Mutex<ConfigReport>);

impl ConfigState {
    /// Of a server that has just been started with this file.
    pub fn new(file: &std::path::Path) -> Arc<Self> {
        Arc::new(Self(Mutex::new(ConfigReport {
            file: file.display().to_string(),
            applied: now(),
            last_reload: None,
        })))
    }

    /// As of now.
    pub fn report(&self) -> ConfigReport {
        self.lock().clone()
    }

    fn set(&self, reload: &ReloadReport) {
        let mut report = self.lock();
        if reload.applied {
            report.applied = reload.at.clone();
        }
        report.last_reload = Some(reload.clone());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ConfigReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything a reload needs to know of the running server.
pub struct Reloader {
    /// The file that the server was started with.
    pub file: PathBuf,
    /// What is served now.
    pub config: Arc<Config>,
    /// The server's DUID, wherever it came from.
    pub duid: Box<[u8]>,
    /// The allocation key, wherever it came from.
    pub key: [u8; 16],
    /// What clients' reconfigure keys are made of.
    pub rkap: Arc<Rkap>,
    /// The cores that workers may be given.
    pub cores: Vec<usize>,
    /// The model in use, for whoever shows names of links and pools.
    pub model: Arc<ArcSwap<Model>>,
    /// The workers.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// Held while the model changes.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    /// Told of every reload.
    pub state: Arc<ConfigState>,
}

impl Reloader {
    /// A handle, and what it asks of.
    pub fn channel() -> (ReloadHandle, mpsc::Receiver<Asked>) {
        let (ask, asked) = mpsc::channel(4);
        (ReloadHandle(ask), asked)
    }

    /// Serves one reload after the other until `stop` is ready.
    pub async fn run(
        mut self,
        mut asked: mpsc::Receiver<Asked>,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        tokio::pin!(stop);
        loop {
            let (what, answer) = tokio::select! {
                () = &mut stop => return Ok(()),
                answer = asked.recv() => match answer {
                    Some(asked) => asked,
                    None => {
                        (&mut stop).await;
                        return Ok(());
                    }
                },
            };
            let report = tokio::select! {
                () = &mut stop => return Ok(()),
                report = self.reload(what) => report,
            };
            self.state.set(&report);
            if let Some(answer) = answer {
                // Whoever asked may have gone; the log and the status have it.
                let _ = answer.send(report);
            }
        }
    }

    async fn reload(&mut self, what: What) -> ReloadReport {
        let outcome = self.try_reload(what).await;
        let (applied, changes, faults) = match outcome {
            Ok(changes) => (true, changes, Vec::new()),
            Err(faults) => (false, Vec::new(), faults),
        };
        let file = self.file.display();
        if applied {
            tracing::info!(%file, changes = changes.len(), "config reloaded");
            for change in &changes {
                tracing::info!("config: {change}");
            }
        } else {
            tracing::error!(%file, faults = faults.len(), "config refused; the former one stays in force");
            for fault in &faults {
                tracing::error!("config: {fault}");
            }
        }
        ReloadReport {
            at: now(),
            applied,
            changes,
            faults,
        }
    }

    /// What changed, or everything that forbids the change.
    async fn try_reload(&mut self, what: What) -> Result<Vec<String>, Vec<String>> {
        let changing = Arc::clone(&self.changing);
        let _changing = changing.lock().await;
        let prepared = self.prepare(what).await?;
        let Some(prepared) = prepared else {
            return Ok(Vec::new());
        };
        self.hand_over(&prepared.model).await?;
        self.model.store(prepared.model);
        self.config = prepared.config;
        Ok(prepared.changes)
    }

    /// Reads what is to be read again and makes the new model, off the control thread: with a million
    /// reservations that takes a while.
    async fn prepare(&self, what: What) -> Result<Option<Prepared>, Vec<String>> {
        let (file, cores, key) = (self.file.clone(), self.cores.clone(), self.key);
        let (before, duid) = (Arc::clone(&self.config), self.duid.clone());
        let (in_use, rkap) = (self.model.load_full(), Arc::clone(&self.rkap));
        let prepare = move || {
            let loaded = match what {
                What::Config => config::load(&file, &cores),
                What::Reservations => {
                    config::parse(&file.display().to_string(), &before.text, &cores)
                }
            };
            let (config, report) = loaded.map_err(|report| lines(&report))?;
            let fixed = diff::needs_restart(&before, &config);
            if !fixed.is_empty() {
                return Err(fixed);
            }
            for warning in lines(&report) {
                tracing::warn!("{warning}");
            }
            let changes = diff::changes(&before, &config);
            if changes.is_empty() {
                return Ok(None);
            }
            let model = config
                .successor(&duid, key, &in_use)
                .map_err(|error| vec![error.to_string()])?
                .with_rkap(config.reconfigure.then_some(rkap));
            let mut config = config;
            // The one in use, if both reserve the same.
            config.reservations = Arc::clone(model.reservation_table());
            Ok(Some(Prepared {
                config: Arc::new(config),
                model: Arc::new(model),
                changes,
            }))
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        prepared
            .unwrap_or_else(|error| Err(vec![format!("the new config cannot be made: {error}")]))
    }

    /// Has all workers decide by `next`.
    async fn hand_over(&self, next: &Arc<Model>) -> Result<(), Vec<String>> {
        let mut walks = Vec::with_capacity(self.inboxes.len());
        for inbox in &*self.inboxes {
            let (walked, walk) = oneshot::channel();
            let begin = BeginHandover {
                next: Arc::clone(next),
                walked,
            };
            put(inbox, Mail::BeginHandover(Box::new(begin))).await;
            walks.push(walk);
        }
        for walk in walks {
            walk.await
                .map_err(|_| vec!["a worker has stopped".to_owned()])?;
        }
        for attempt in 1..=TRIES {
            next.inherit_sides(&self.model.load());
            if self.switch(PATIENCE * attempt * attempt).await {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        for inbox in &*self.inboxes {
            put(inbox, Mail::AbandonHandover).await;
        }
        Err(vec![
            "the workers did not come together to change the config: their cores are taken by other \
             processes; try again, or give the workers cores of their own"
                .to_owned(),
        ])
    }

    async fn switch(&self, patience: Duration) -> bool {
        let gate = Arc::new(Gate::new(self.inboxes.len()));
        let mut answers = Vec::with_capacity(self.inboxes.len());
        for inbox in &*self.inboxes {
            let (switched, answer) = oneshot::channel();
            let switch = Switch {
                gate: Arc::clone(&gate),
                patience,
                switched,
            };
            if inbox.put(Mail::Switch(Box::new(switch))).is_ok() {
                answers.push(answer);
            }
        }
        let mut all = answers.len() == self.inboxes.len();
        for answer in answers {
            all &= answer.await == Ok(true);
        }
        all
    }
}

/// A config that can be served in the place of the one in use.
struct Prepared {
    config: Arc<Config>,
    model: Arc<Model>,
    changes: Vec<String>,
}

/// Puts mail into an inbox as soon as there is room.
async fn put(inbox: &Inbox, mail: Mail) {
    let mut mail = Some(mail);
    while let Some(letter) = mail.take() {
        if let Err(refused) = inbox.offer(letter) {
            mail = Some(*refused);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn lines(report: &config::Report) -> Vec<String> {
    report.0.iter().map(ToString::to_string).collect()
}

fn now() -> Moment {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    AbsTime::from_unix_secs(since_1970.map_or(0, |since| since.as_secs())).into()
}
