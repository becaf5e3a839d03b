//! `twinlease run`: the order of start and stop, and the thread that watches over the rest.
//!
//! Threads: one pinned worker for each configured core, the journal's own, and this one, which
//! serves the control socket and the metrics, follows signals and addresses, and begins snapshots.
//! The last two keep off the workers' cores (`cores.rs`).
//! Nothing is answered before everything that was acknowledged is back; on the way out nothing is
//! taken any more before what is held is committed.

use crate::config::Config;
use crate::control::command::{WorkerHandle, Workers};
use crate::control::server::{ControlListener, ControlState, serve, serve_metrics};
use crate::control_lane::{ControlLane, LaneWaker, SharedLane};
use crate::cores;
use crate::counters::WorkerCounters;
use crate::live::{Live, LiveWorker};
use crate::partner::exchange::{self, FromWorkers, ToControl, ToWorker};
use crate::partner::relationship::{Post, task::Handle};
use crate::partner::start::{Relationships, Surroundings};
use crate::recovery::{self, Restored};
use crate::reload::{ConfigState, ReloadHandle, Reloader};
use crate::rkap;
use crate::state_dir::StateDir;
use crate::stop::Remains;
use crate::worker::{
    Awaited, Desk, Held, Inbox, Leeways, Mail, Partner, ReclaimWalk, ShardSet, Trace, Transit,
    Worker, WorkerDrop,
};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use datapath::{Datapath, WorkerIo};
use engine::Model;
use journal::{Appender, Disk, Health, Journal};
use lease::BindingDelta;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::SHARDS;

/// How often workers, journal and snapshots are looked after.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks at the interfaces' addresses.
const ADDRESS_TICKS: u64 = 5;

/// What to serve, and where it was read.
pub struct Start {
    /// The file that SIGHUP reads again.
    pub file: PathBuf,
    /// What it says.
    pub config: Config,
    /// The cores that workers may be given.
    pub cores: Vec<usize>,
    /// Whether to go on with what could be recovered of a damaged journal.
    pub accept_damage: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Something needed at the start is not to be had, or a worker or the journal failed for good.
pub fn run(start: Start) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the control thread cannot be started")?;
    runtime.block_on(serve_all(start))
}

async fn serve_all(start: Start) -> anyhow::Result<()> {
    let Start {
        file,
        config,
        cores,
        accept_damage,
    } = start;
    let mut signals = Signals::new()?;
    let state_dir = StateDir::open(&config.state_dir)?;
    let journal_dir = state_dir.path().join("journal");
    let Identity { model, duid, key } = identity(&config, &state_dir)?;
    let rkap = rkap::open(&config, &state_dir)?;
    let model = Arc::new(model.with_rkap(config.reconfigure.then(|| Arc::clone(&rkap))));
    let workers = config.cores.len();
    let owner = recovery::owners(workers);
    // Whose lock this is before any interface is touched: another server may be serving there.
    let disk = Disk::open(&journal_dir).context("the journal cannot be opened")?;
    let (restored, opened) = std::thread::scope(|scope| {
        let replay =
            scope.spawn(|| recovery::restore(disk, accept_damage, &model, &owner, workers));
        // Loading the XDP program takes its time, and no packet is looked at before both are done.
        let opened = datapath::open(&config.interface_specs(), workers, &owner);
        let restored = replay
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (restored, opened)
    });
    let restored = restored?;
    let (datapath, ios) = opened.context("the interfaces cannot be opened")?;
    // Recovery was for all cores; what begins from here on inherits this.
    cores::leave_to_workers(&config.cores, &cores);
    let listener = ControlListener::bind(&config.control_socket)?;
    let current = Arc::new(ArcSwap::new(Arc::clone(&model)));
    let mut server = Server::start(&config, &current, &owner, restored, datapath, ios)?;
    let changing = Arc::default();
    let relationships = server.relationships(&config, &current, &changing, owner)?;
    let failover = relationships.handles();
    server.failover = failover.clone();

    let config_state = ConfigState::new(&file);
    let live = Arc::new(Live {
        started: Instant::now(),
        server_duid: wire::Duid::new(&duid).map_or_else(String::new, |duid| duid.to_string()),
        datapath: Arc::clone(&server.datapath),
        workers: server.live_workers(&config),
        model: Arc::clone(&current),
        config: Arc::clone(&config_state),
        failover: failover.clone(),
        journal: Arc::downgrade(&server.journal),
    });
    let handles = server.inboxes.iter().map(|inbox| {
        let handle: Box<dyn WorkerHandle> = Box::new(Arc::clone(inbox));
        handle
    });
    let (reload, asked) = Reloader::channel();
    let control = ControlState {
        model: Arc::clone(&current),
        changing: Arc::clone(&changing),
        reload: reload.clone(),
        failover: failover.clone(),
        workers: Workers::new(handles.collect(), owner),
        routes: Arc::clone(&live) as _,
        reconfiguring: Arc::default(),
        status: Arc::clone(&live) as _,
    };
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::new(control), until(stopped.clone())));
    relationships.serve(&mut tasks, &stopped);
    if let Some(address) = config.metrics {
        tasks.spawn(serve_metrics(address, live, until(stopped.clone())));
    }
    let served = Arc::clone(&current);
    tasks.spawn(rkap::retain(
        Arc::clone(&rkap),
        state_dir,
        move || served.load().gives_keys(),
        until(stopped.clone()),
    ));
    let socket = config.control_socket.clone();
    let reloader = Reloader {
        file,
        config: Arc::new(config),
        duid,
        key,
        rkap,
        cores,
        model: current,
        inboxes: Arc::clone(&server.inboxes),
        changing,
        state: config_state,
    };
    tasks.spawn(reloader.run(asked, until(stopped)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        workers,
        socket = %socket.display(),
        "serving"
    );

    let outcome = server.watch(&mut signals, &reload, &mut tasks).await;
    for relationship in &server.failover {
        relationship.shut_down().await;
    }
    let stopped = server.stop();
    stop.send_replace(true);
    while let Some(task) = tasks.join_next().await {
        task.context("the control thread failed")??;
    }
    outcome.and(stopped)
}

/// A model, and what outlives every model: the server's own DUID and its allocation key.
pub struct Identity {
    /// What is served under that identity.
    pub model: Model,
    /// The server DUID.
    pub duid: Box<[u8]>,
    /// What decides who gets which lease.
    pub key: [u8; 16],
}

/// The engine's model under the identity that the config fixes or the state directory keeps.
///
/// # Errors
/// The identity cannot be read or made, or the engine refuses the config.
pub fn identity(config: &Config, state_dir: &StateDir) -> anyhow::Result<Identity> {
    let duid = match &config.duid {
        Some(duid) => duid.clone(),
        None => state_dir.server_duid()?,
    };
    let key = match config.allocation_key {
        Some(key) => key,
        None => state_dir.allocation_key()?,
    };
    let model = config
        .model(&duid, key)
        .context("the configuration cannot be served")?;
    Ok(Identity { model, duid, key })
}

pub(crate) async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Everything that runs beside the control thread.
struct Server {
    datapath: Arc<Mutex<Datapath>>,
    journal: Arc<Journal>,
    control: SharedLane,
    /// Told whenever `control` has something on disk.
    committed: LaneWaker,
    /// What the workers say of the partner's bindings, until a relationship listens.
    from_workers: Option<FromWorkers>,
    failover: Vec<Handle>,
    inboxes: Arc<[Arc<Inbox>]>,
    /// What the failover endpoints let workers do.
    leeways: Leeways,
    counters: Vec<(Arc<WorkerCounters>, Arc<datapath::IoCounters>)>,
    threads: Vec<JoinHandle<Appender>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(
        config: &Config,
        current: &Arc<ArcSwap<Model>>,
        owner: &[u8; SHARDS],
        mut restored: Restored,
        datapath: Datapath,
        ios: Vec<WorkerIo>,
    ) -> anyhow::Result<Self> {
        let wakers = ios.iter().map(|io| {
            let wake: Arc<dyn journal::Wake> = Arc::new(Waker(io.waker().clone()));
            wake
        });
        let model = &current.load_full();
        let committed = LaneWaker::default();
        let (to_control, from_workers) = exchange::channel();
        let control_waker: Arc<dyn journal::Wake> = Arc::new(committed.clone());
        let wakers = wakers.chain([control_waker]);
        let recovered = std::mem::take(&mut restored.journal.control);
        let options = journal::Options::default();
        let (journal, mut appenders) = Journal::start(restored.journal, options, wakers.collect())?;
        let control = appenders
            .pop()
            .context("the journal gave the control thread no lane")?;
        for (shard, lease) in restored.conflicting {
            let appender = &mut appenders[usize::from(owner[usize::from(shard.0)])];
            appender.append(&BindingDelta::Remove { shard, lease });
            appender.submit();
        }
        let inboxes = ios
            .iter()
            .map(|io| Arc::new(Inbox::new(io.waker().clone())));
        let mut server = Self {
            datapath: Arc::new(Mutex::new(datapath)),
            journal: Arc::new(journal),
            control: SharedLane::new(ControlLane::new(control, recovered, Arc::clone(current))),
            committed,
            from_workers: Some(from_workers),
            failover: Vec::new(),
            inboxes: inboxes.collect(),
            leeways: Leeways::new(model.leeways_at_startup()),
            counters: Vec::new(),
            threads: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let owner = Arc::new(*owner);
        let transit = Transit::default();
        let parts = ios
            .into_iter()
            .zip(appenders)
            .zip(restored.shards)
            .enumerate();
        for (index, ((io, appender), shards)) in parts {
            let shards = ShardSet::new(shards);
            let partner = Partner::new(
                shards.owned(),
                ToControl::clone(&to_control),
                transit.clone(),
            );
            let desk = server.desk(index, model, appender, shards, partner, &owner);
            server.spawn(config, desk, io)?;
        }
        Ok(server)
    }

    /// The failover relationships, connected with the workers and the journal.
    fn relationships(
        &mut self,
        config: &Config,
        model: &Arc<ArcSwap<Model>>,
        changing: &Arc<tokio::sync::Mutex<()>>,
        owner: [u8; SHARDS],
    ) -> anyhow::Result<Relationships> {
        let inboxes = Arc::clone(&self.inboxes);
        Relationships::new(Surroundings {
            config,
            model,
            changing,
            lane: self.control.clone(),
            committed: Arc::clone(&self.committed.0),
            leeways: self.leeways.clone(),
            owner,
            counters: Arc::default(),
            from_workers: self.from_workers.take().into_iter().collect(),
            post: &move |_| Box::new(WorkerPost(Arc::clone(&inboxes))),
        })
    }

    fn desk(
        &self,
        index: usize,
        model: &Arc<Model>,
        appender: Appender,
        shards: ShardSet,
        partner: Partner,
        owner: &Arc<[u8; SHARDS]>,
    ) -> Desk {
        Desk {
            index,
            shards,
            model: Arc::clone(model),
            leeways: Arc::default(),
            published: self.leeways.seen(),
            reclaim_walk: ReclaimWalk::default(),
            appender,
            held: Held::default(),
            handover: None,
            awaited: Awaited::default(),
            trace: Trace::default(),
            partner,
            owner: Arc::clone(owner),
            inboxes: Arc::clone(&self.inboxes),
            counters: Arc::new(WorkerCounters::new(WorkerDrop::labels())),
        }
    }

    fn spawn(&mut self, config: &Config, desk: Desk, io: WorkerIo) -> anyhow::Result<()> {
        self.counters
            .push((Arc::clone(&desk.counters), Arc::clone(io.counters())));
        let name = format!("worker-{}", desk.index);
        let core = config.cores.get(desk.index).copied();
        let worker = Worker {
            inbox: Arc::clone(&self.inboxes[desk.index]),
            core,
            shares_core: core.is_none_or(cores::may_use),
            idle: config.idle,
            stop: Arc::clone(&self.stop),
            desk,
            io,
        };
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || worker.run());
        self.threads
            .push(thread.with_context(|| format!("{name} cannot be started"))?);
        Ok(())
    }

    fn live_workers(&self, config: &Config) -> Vec<LiveWorker> {
        let workers = self.counters.iter().zip(&config.cores);
        workers
            .map(|((counters, io), core)| LiveWorker {
                core: *core,
                idle: config.idle,
                counters: Arc::clone(counters),
                io: Arc::clone(io),
            })
            .collect()
    }

    /// Looks after everything until a signal asks to stop.
    async fn watch(
        &mut self,
        signals: &mut Signals,
        reload: &ReloadHandle,
        tasks: &mut JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        let mut ticks = 0_u64;
        let mut health = Health::Ok;
        let mut problem = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                Some(ended) = tasks.join_next() => {
                    ended.context("the control thread failed")??;
                    anyhow::bail!("the control socket or the metrics ended by themselves");
                }
                asked = signals.next() => match asked {
                    Asked::Stop => return Ok(()),
                    Asked::Reload => reload.request(),
                },
            }
            if let Some(index) = self.threads.iter().position(JoinHandle::is_finished) {
                anyhow::bail!("worker {index} failed; the log has its panic message");
            }
            self.tell_health(&mut health);
            self.tell_partners(&health, &mut problem);
            self.control.lock().step();
            if self.journal.snapshot_due() {
                self.begin_snapshot();
            }
            let mut datapath = self.datapath.lock().unwrap_or_else(PoisonError::into_inner);
            if ticks.is_multiple_of(ADDRESS_TICKS) {
                datapath.refresh_addresses();
            }
            datapath.flush_xdp_log();
            ticks += 1;
        }
    }

    fn tell_health(&self, known: &mut Health) {
        let health = self.journal.health();
        if health == *known {
            return;
        }
        match &health {
            Health::Failing { error, .. } => {
                tracing::error!(%error, "the journal cannot write: nothing is acknowledged");
            }
            Health::Ok => tracing::info!("the journal writes again"),
        }
        *known = health;
    }

    /// A server that cannot do its work lets its partners do it (RFC 7031 §4.7).
    fn tell_partners(&self, health: &Health, known: &mut Option<String>) {
        if self.failover.is_empty() {
            return;
        }
        let problem = match health {
            Health::Failing { error, .. } => Some(format!("its journal cannot write: {error}")),
            Health::Ok => {
                let datapath = self.datapath.lock();
                let is_cut_off = datapath
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_cut_off();
                is_cut_off.then(|| "all of its interfaces are down".to_owned())
            }
        };
        // Why does not matter to the partner, once it is so.
        if problem.is_some() != known.is_some() {
            for relationship in &self.failover {
                relationship.health(problem.as_deref());
            }
        }
        *known = problem;
    }

    /// A worker that cannot take its feed drops it, which gives up the snapshot; it is due again.
    fn begin_snapshot(&mut self) {
        let Some(mut feeds) = self.journal.begin_snapshot() else {
            return;
        };
        if let Some(feed) = feeds.pop() {
            self.control.lock().begin_snapshot(feed);
        }
        for (inbox, feed) in self.inboxes.iter().zip(feeds) {
            if inbox.put(Mail::Snapshot(feed)).is_err() {
                tracing::debug!("a worker is too busy for a snapshot now");
            }
        }
    }

    /// Stops taking packets, commits what is held, and stops.
    fn stop(self) -> anyhow::Result<()> {
        tracing::info!("stopping");
        self.stop.store(true, Ordering::Relaxed);
        for inbox in &*self.inboxes {
            inbox.waker().wake();
        }
        let workers = self.threads.into_iter().map(|thread| thread.join().ok());
        let remains = Remains {
            workers: workers.collect(),
            control: self.control,
            // Reports hold it only while they are made, on this thread.
            journal: self.journal,
        };
        Ok(remains.settle()?)
    }
}

/// The way to the workers' inboxes for a relationship.
struct WorkerPost(Arc<[Arc<Inbox>]>);

impl Post for WorkerPost {
    fn offer(&self, worker: usize, mail: ToWorker) -> Result<(), Box<ToWorker>> {
        let inbox = &self.0[worker];
        let refused = match mail.can_wait() {
            true => inbox.leave(Mail::Partner(Box::new(mail))),
            false => inbox.offer(Mail::Partner(Box::new(mail))),
        };
        match refused.err().map(|letter| *letter) {
            Some(Mail::Partner(mail)) => Err(mail),
            _ => Ok(()),
        }
    }
}

/// A worker's waker as the journal calls it.
struct Waker(datapath::Waker);

impl journal::Wake for Waker {
    fn wake(&self) {
        self.0.wake();
    }
}

/// What a signal asks for.
enum Asked {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The signals that the server follows.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let follow = |kind| signal(kind).context("signals cannot be followed");
        Ok(Self {
            terminate: follow(SignalKind::terminate())?,
            interrupt: follow(SignalKind::interrupt())?,
            hangup: follow(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}
