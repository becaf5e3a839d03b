//! One order under way: the schedule with a clock, workers to send and a reader to tell.

use datapath::InterfaceId;
use engine::reconfigure::{Next, Patience, RequestedMessage, Schedule, Unreachable};
use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use wire::Duid;

use super::clients::{Clients, Found};
use super::lines::{Closed, Lines};
use crate::control::command::{
    Command, Filter, NotSent, PAGE_MAX, ReconfigureClients, Reconfigured, ToReconfigure,
};
use crate::control::reconfigured::{ReconfigureLine, ReconfigureTally, ReconfiguredClient};
use crate::control::server::ControlState;
use crate::control::server::answer::ApiError;
use crate::control::server::leases::ask;

/// How often workers are given what is due and asked who has answered.
const TICK: Duration = Duration::from_millis(50);
/// How often the reader is told how far it has come: before a silent connection is closed.
const PROGRESS: Duration = Duration::from_secs(5);
/// Clients told off in one tick without being sent anything.
const SKIPPED_MAX: usize = 1_000;

/// What is asked for.
pub(super) struct Order {
    pub(super) filter: Filter,
    pub(super) requested: RequestedMessage,
    pub(super) rate: NonZeroU32,
    pub(super) patience: Patience,
}

/// Why an order ends early.
enum End {
    Closed,
    Failed(ApiError),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<ApiError> for End {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

/// One order under way.
pub(super) struct Campaign<'s> {
    state: &'s ControlState,
    requested: RequestedMessage,
    attempts: u8,
    schedule: Schedule<Found>,
    clients: Clients<'s>,
    has_more: bool,
    /// Interfaces by which relays are reached.
    routes: HashMap<Ipv6Addr, Option<InterfaceId>>,
    /// What each worker is to be told.
    mail: Vec<WorkersMail>,
    tally: ReconfigureTally,
    lines: Lines,
}

#[derive(Default)]
struct WorkersMail {
    /// Who is sent a message, and the how manieth transmission that is.
    clients: Vec<(u32, Found, u8)>,
    forget: Vec<Box<[u8]>>,
}

impl<'s> Campaign<'s> {
    pub(super) fn new(state: &'s ControlState, order: Order, lines: Lines) -> Self {
        Self {
            state,
            requested: order.requested,
            attempts: order.patience.attempts,
            schedule: Schedule::new(order.rate, order.patience),
            clients: Clients::new(state, order.filter),
            has_more: true,
            routes: HashMap::new(),
            mail: state
                .workers
                .all()
                .map(|_| WorkersMail::default())
                .collect(),
            tally: ReconfigureTally::default(),
            lines,
        }
    }

    pub(super) async fn run(mut self) {
        let requested = self.requested.msg_type();
        tracing::info!(?requested, "an operator reconfigures clients");
        let mut end = self.begin().await;
        if end.is_ok() {
            end = self.work().await;
        }
        // Nobody is waited for any more, whatever the end; a worker that is not told now hears
        // it with the next order.
        let _ = self.begin().await;
        self.tally.waiting = 0;
        let (clients, answered) = (self.tally.clients, self.tally.answered());
        match end {
            Ok(()) => {
                tracing::info!(clients, answered, "clients reconfigured");
                let _ = self.lines.put(&ReconfigureLine::Done(self.tally)).await;
            }
            Err(End::Closed) => {
                tracing::info!(clients, answered, "the order to reconfigure is taken back");
            }
            Err(End::Failed(error)) => {
                tracing::warn!(%error, clients, answered, "the order to reconfigure is given up");
                let error = error.to_string();
                let _ = self.lines.put(&ReconfigureLine::Failed(error)).await;
            }
        }
    }

    /// Has every worker forget whom it waits for.
    async fn begin(&self) -> Result<(), End> {
        for worker in self.state.workers.all() {
            let order = |reply| self.command(Vec::new(), Vec::new(), true, reply);
            ask(worker, order).await?;
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), End> {
        let began = Instant::now();
        let mut told_at = Duration::ZERO;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.has_more || !self.schedule.is_empty() {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.lines.closed() => return Err(End::Closed),
            }
            let now = began.elapsed();
            self.fill(now).await?;
            self.deliver().await?;
            if now - told_at >= PROGRESS {
                told_at = now;
                self.tally.waiting = self.schedule.len() as u64;
                let progress = ReconfigureLine::Progress(self.tally.clone());
                self.lines.put(&progress).await?;
            }
        }
        Ok(())
    }

    /// Puts what is due now into the mail of its workers.
    async fn fill(&mut self, now: Duration) -> Result<(), End> {
        let mut skipped = 0;
        while skipped < SKIPPED_MAX {
            match self.schedule.next(now) {
                Some(Next::Send(number, client, attempt)) => {
                    let mail = self.mail_for(&client);
                    mail.clients.push((number, client, attempt));
                    if mail.clients.len() >= PAGE_MAX {
                        return Ok(());
                    }
                }
                Some(Next::GiveUp(_, client)) => {
                    self.mail_for(&client).forget.push(client.duid.clone());
                    self.tell(&client, "no-answer", self.attempts, None).await?;
                }
                None if self.has_more && self.schedule.has_room(now) => {
                    let Some(client) = self.clients.next().await? else {
                        self.has_more = false;
                        continue;
                    };
                    self.tally.clients += 1;
                    match self.with_route(client) {
                        Ok(client) => {
                            self.schedule.add(client, now);
                        }
                        Err((client, why)) => {
                            skipped += 1;
                            self.tell_not_sent(&client, &why, 0).await?;
                        }
                    }
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Looks up how a client is reached, so that none takes its turn in vain.
    fn with_route(&mut self, mut client: Found) -> Result<Found, (Found, NotSent)> {
        if !client.accepts {
            return Err((client, Unreachable::NotAccepted.into()));
        }
        if !client.has_address {
            return Err((client, Unreachable::NoAddress.into()));
        }
        if let Some(relay) = client.relay {
            let routes = &self.state.routes;
            let known = self.routes.entry(relay);
            client.interface = *known.or_insert_with(|| routes.towards(relay));
            if client.interface.is_none() {
                return Err((client, NotSent::NoRoute));
            }
        }
        Ok(client)
    }

    /// Gives all workers their mail, and takes who has answered.
    async fn deliver(&mut self) -> Result<(), End> {
        for (worker, handle) in self.state.workers.all().enumerate() {
            let WorkersMail { clients, forget } = std::mem::take(&mut self.mail[worker]);
            if clients.is_empty() && forget.is_empty() && self.schedule.is_empty() {
                continue;
            }
            let orders = clients.iter().map(|(number, client, _)| ToReconfigure {
                number: *number,
                duid: client.duid.clone(),
                shard: client.shard,
                lease: client.lease,
                interface: client.interface,
            });
            let orders = orders.collect();
            let order = |reply| self.command(orders, forget, false, reply);
            let done: Reconfigured = ask(handle, order).await?;
            for ((number, client, attempt), sent) in clients.into_iter().zip(done.sent) {
                let Err(why) = sent else {
                    self.tally.sent += 1;
                    continue;
                };
                self.schedule.remove(number);
                self.mail[worker].forget.push(client.duid.clone());
                self.tell_not_sent(&client, &why, attempt - 1).await?;
            }
            for number in done.answered {
                if let Some((client, attempts)) = self.schedule.remove(number) {
                    self.tell(&client, "answered", attempts, None).await?;
                }
            }
        }
        Ok(())
    }

    fn command(
        &self,
        clients: Vec<ToReconfigure>,
        forget: Vec<Box<[u8]>>,
        begins: bool,
        reply: oneshot::Sender<Reconfigured>,
    ) -> Command {
        Command::Reconfigure(ReconfigureClients {
            requested: self.requested,
            clients,
            forget,
            begins,
            reply,
        })
    }

    fn mail_for(&mut self, client: &Found) -> &mut WorkersMail {
        &mut self.mail[self.state.workers.owner(client.shard)]
    }

    async fn tell_not_sent(
        &mut self,
        client: &Found,
        why: &NotSent,
        transmissions: u8,
    ) -> Result<(), End> {
        let reason = Some(why.to_string());
        self.tell(client, why.label(), transmissions, reason).await
    }

    async fn tell(
        &mut self,
        client: &Found,
        result: &str,
        transmissions: u8,
        reason: Option<String>,
    ) -> Result<(), End> {
        *self.tally.results.entry(result.to_owned()).or_insert(0) += 1;
        let line = ReconfigureLine::Client(ReconfiguredClient {
            duid: Duid::new(&client.duid).map_or_else(String::new, |duid| duid.to_string()),
            lease: client.lease.to_string(),
            result: result.to_owned(),
            transmissions,
            reason,
        });
        Ok(self.lines.put(&line).await?)
    }
}
