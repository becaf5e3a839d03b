//! The task of a relationship: waits for what happens, and tells it.

use super::{OrderRefused, Relationship, report::FailoverReport};
use crate::partner::exchange::FromWorkers;
use crate::partner::{Batch, Connection, Connector, Lost, Received};
use failover::{ConnectionId, Event, ServerState};
use lease::AbsTime;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// Batches of a connection that are read ahead.
const AHEAD: usize = 16;
/// What is taken from the workers and connections in one turn, each.
const TURN: usize = 64;
/// How long a stop waits for the disk, and for the partner to be told.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A relationship as the control plane holds it; on the control thread only.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    relationship: Mutex<Relationship>,
    changed: Notify,
}

/// Where a task hears from others.
pub struct Ears {
    /// The workers.
    pub workers: FromWorkers,
    /// On a secondary: connections of its partner.
    pub incoming: Option<mpsc::Receiver<Connection>>,
    /// On a primary: makes connections.
    pub connector: Option<Connector>,
    /// Told whenever the journal's lane has something on disk.
    pub committed: Arc<Notify>,
}

/// Something that happened on a connection.
enum Heard {
    Dialed(Option<Connection>),
    Batch(ConnectionId, Result<Batch, Lost>),
}

impl Handle {
    /// Of a relationship that starts.
    pub fn new(relationship: Relationship) -> Self {
        Self(Arc::new(Shared {
            relationship: Mutex::new(relationship),
            changed: Notify::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Relationship> {
        let relationship = self.0.relationship.lock();
        relationship.unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.lock().name().to_owned()
    }

    /// What an operator is shown.
    pub fn report(&self) -> FailoverReport {
        self.lock().report()
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.lock().connections.len()
    }

    /// See `Relationship::partner_down`.
    ///
    /// # Errors
    /// [`OrderRefused`].
    pub fn partner_down(
        &self,
        since: Option<AbsTime>,
        forced: bool,
    ) -> Result<ServerState, OrderRefused> {
        let state = self.lock().partner_down(since, forced);
        self.0.changed.notify_one();
        state
    }

    /// This server cannot do its work, and why; or it can again.
    pub fn health(&self, problem: Option<&str>) {
        match problem {
            Some(_) => self.lock().step_aside(Event::Health(problem)),
            None => self.lock().tell(Event::Health(None)),
        }
        self.0.changed.notify_one();
    }

    /// Tells the partner that this server stops, and waits a while until that is done and on disk;
    /// what is not by then is waited for when all have stopped.
    pub async fn shut_down(&self) {
        self.lock().step_aside(Event::Shutdown);
        let done = async {
            loop {
                {
                    let mut relationship = self.lock();
                    relationship.settle();
                    if relationship.is_done() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, done).await.is_err() {
            let relationship = self.name();
            tracing::warn!(%relationship, "failover: its state is not on disk yet");
        }
    }

    /// Serves until `stop` is ready.
    ///
    /// # Errors
    /// None: what fails is told the endpoint.
    pub async fn run(self, ears: Ears, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Ears {
            mut workers,
            mut incoming,
            connector,
            committed,
        } = ears;
        let connector = connector.map(Arc::new);
        let (tell, mut heard) = mpsc::channel(AHEAD);
        let mut dialing = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let on_disk = committed.notified();
            tokio::pin!(on_disk);
            on_disk.as_mut().enable();
            let (deadline, waits_for_disk) = {
                let mut relationship = self.lock();
                relationship.settle();
                if relationship.take_dial()
                    && let Some(connector) = &connector
                {
                    dialing.abort_all();
                    dialing.spawn(dial(Arc::clone(connector), tell.clone()));
                }
                (relationship.deadline(), relationship.waits_for_disk())
            };
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = on_disk, if waits_for_disk => {}
                () = self.0.changed.notified() => {}
                () = tokio::time::sleep_until(deadline.into()) => {}
                Some((worker, said)) = workers.recv() => {
                    let mut relationship = self.lock();
                    relationship.worker_said(worker, said);
                    for _ in 1..TURN {
                        let Ok((worker, said)) = workers.try_recv() else { break };
                        relationship.worker_said(worker, said);
                    }
                }
                Some(_) = dialing.join_next() => {}
                Some(what) = heard.recv() => {
                    let mut relationship = self.lock();
                    hear(&mut relationship, what, &tell);
                    while let Ok(what) = heard.try_recv() {
                        hear(&mut relationship, what, &tell);
                    }
                }
                Some(connection) = next(&mut incoming) => {
                    let read = |id, received| reader(id, received, tell.clone());
                    self.lock().adopt(connection, read);
                }
            }
        }
    }
}

async fn next(incoming: &mut Option<mpsc::Receiver<Connection>>) -> Option<Connection> {
    match incoming {
        Some(incoming) => incoming.recv().await,
        None => std::future::pending().await,
    }
}

fn hear(relationship: &mut Relationship, what: Heard, tell: &mpsc::Sender<Heard>) {
    match what {
        Heard::Dialed(Some(connection)) => {
            let read = |id, received| reader(id, received, tell.clone());
            let id = relationship.adopt(connection, read);
            relationship.tell(Event::Connected(id));
        }
        Heard::Dialed(None) => relationship.tell(Event::DialFailed),
        Heard::Batch(id, Ok(batch)) => relationship.received(id, &batch),
        Heard::Batch(id, Err(lost)) => {
            let name = relationship.name();
            tracing::debug!(relationship = %name, %lost, "failover: connection ended");
            relationship.lost(id);
        }
    }
}

async fn dial(connector: Arc<Connector>, tell: mpsc::Sender<Heard>) {
    let connection = connector.dial().await;
    // Nobody listens any more while the server stops.
    let _ = tell.send(Heard::Dialed(connection)).await;
}

fn reader(id: ConnectionId, mut received: Received, tell: mpsc::Sender<Heard>) -> AbortHandle {
    let read = async move {
        loop {
            let batch = received.recv().await;
            let has_ended = batch.is_err();
            if tell.send(Heard::Batch(id, batch)).await.is_err() || has_ended {
                return;
            }
        }
    };
    tokio::spawn(read).abort_handle()
}
