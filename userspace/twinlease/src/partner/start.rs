//! All relationships of a server: made from the configuration and what is recovered, and served.

use super::exchange::FromWorkers;
use super::relationship::task::{Ears, Handle};
use super::relationship::{Parts, Post, Relationship, key_of};
use super::{Connector, Incoming, Listener, Partner, SessionCounters, Told, settings};
use crate::config::Config;
use crate::config::model::Role;
use crate::control_lane::SharedLane;
use crate::run::until;
use crate::worker::Leeways;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use engine::Model;
use failover::EndpointRecord;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use wire::SHARDS;

/// Connections of partners that wait to be looked at.
const INCOMING: usize = 16;

/// What relationships are connected with.
pub struct Surroundings<'a> {
    /// What the file says.
    pub config: &'a Config,
    /// Links and pools.
    pub model: &'a Arc<ArcSwap<Model>>,
    /// Held while they change.
    pub changing: &'a Arc<tokio::sync::Mutex<()>>,
    /// The journal's lane.
    pub lane: SharedLane,
    /// Told whenever the lane has something on disk.
    pub committed: Arc<Notify>,
    /// Where workers see what they may do.
    pub leeways: Leeways,
    /// Which worker owns which shard.
    pub owner: [u8; SHARDS],
    /// What the sessions count.
    pub counters: Arc<SessionCounters>,
    /// What the workers say, by relationship.
    pub from_workers: Vec<FromWorkers>,
    /// The way to the workers for a relationship.
    pub post: &'a dyn Fn(u16) -> Box<dyn Post>,
}

/// Relationships that are not served yet.
pub struct Relationships {
    started: Vec<(Handle, Ears)>,
    listeners: Vec<(Listener, Routes)>,
}

/// Where a secondary's connections go.
#[derive(Default)]
struct Routes(Vec<Route>);

struct Route {
    partner: IpAddr,
    name: String,
    give: mpsc::Sender<super::Connection>,
}

impl Relationships {
    /// Makes all relationships of the configuration; nothing is connected yet.
    ///
    /// # Errors
    /// What is stored of a relationship cannot be taken up, or its certificates cannot be used.
    pub fn new(around: Surroundings<'_>) -> anyhow::Result<Self> {
        let mut from_workers = around.from_workers.into_iter();
        let mut started = Vec::new();
        let mut local: BTreeMap<SocketAddr, (Vec<Partner>, Routes, super::Timing)> =
            BTreeMap::new();
        for (index, failover) in around.config.failover.iter().enumerate() {
            let of = || format!("relationship \"{}\"", failover.name);
            let model = around.model.load_full();
            let stored = around
                .lane
                .lock()
                .state_of(key_of(&failover.name))
                .map(EndpointRecord::decode);
            let index = u16::try_from(index).context("too many relationships")?;
            let relationship = Relationship::new(Parts {
                config: settings::endpoint(failover, around.config, &model),
                index,
                stored: stored.transpose().with_context(of)?,
                share: settings::prefix_share(failover),
                records: Box::new(around.lane.clone()),
                post: (around.post)(index),
                owner: around.owner,
                workers: around.config.cores.len(),
                leeways: around.leeways.clone(),
                model: Arc::clone(around.model),
                changing: Arc::clone(around.changing),
                wall: crate::worker::now,
            });
            let relationship = relationship.with_context(of)?;
            let partner = settings::partner(failover).with_context(of)?;
            let timing = settings::timing(failover);
            let mut ears = Ears {
                workers: from_workers
                    .next()
                    .context("a relationship without workers")?,
                incoming: None,
                connector: None,
                committed: Arc::clone(&around.committed),
            };
            match failover.role {
                Role::Primary => {
                    ears.connector = Some(Connector {
                        local: failover.local.into(),
                        partner,
                        timing,
                        counters: Arc::clone(&around.counters),
                        told: Told::default(),
                    });
                }
                Role::Secondary => {
                    let (give, incoming) = mpsc::channel(INCOMING);
                    ears.incoming = Some(incoming);
                    let (partners, routes, _) = local
                        .entry(failover.local.into())
                        .or_insert_with(|| (Vec::new(), Routes::default(), timing));
                    routes.0.push(Route {
                        partner: partner.address.ip(),
                        name: failover.name.clone(),
                        give,
                    });
                    partners.push(partner);
                }
            }
            started.push((Handle::new(relationship), ears));
        }
        let listeners = local
            .into_iter()
            .map(|(local, (partners, routes, timing))| {
                let counters = Arc::clone(&around.counters);
                (Listener::new(local, partners, timing, counters), routes)
            });
        Ok(Self {
            listeners: listeners.collect(),
            started,
        })
    }

    /// The relationships, in the order of the configuration.
    pub fn handles(&self) -> Vec<Handle> {
        self.started
            .iter()
            .map(|(handle, _)| handle.clone())
            .collect()
    }

    /// Serves them until `stopped`.
    pub fn serve(self, tasks: &mut JoinSet<anyhow::Result<()>>, stopped: &watch::Receiver<bool>) {
        for (handle, ears) in self.started {
            tasks.spawn(handle.run(ears, until(stopped.clone())));
        }
        for (listener, routes) in self.listeners {
            let stopped = until(stopped.clone());
            tasks.spawn(async move {
                let (out, incoming) = mpsc::channel(INCOMING);
                tokio::select! {
                    () = listener.serve(out) => {}
                    () = routes.distribute(incoming) => {}
                    () = stopped => {}
                }
                Ok(())
            });
        }
    }
}

impl Routes {
    async fn distribute(self, mut incoming: mpsc::Receiver<Incoming>) {
        while let Some(incoming) = incoming.recv().await {
            let name = incoming.relationship_name.as_deref();
            let peer = incoming.connection.peer.ip();
            if let Some(route) = self.of(peer, name) {
                // Taken at once, as long as the relationship is served.
                let _ = route.give.send(incoming.connection).await;
            }
        }
    }

    /// The relationship that a CONNECT names; the endpoint of another one with the same partner
    /// tells the partner that there is none of that name.
    fn of(&self, peer: IpAddr, name: Option<&[u8]>) -> Option<&Route> {
        let mut partners = self.0.iter().filter(|route| route.partner == peer);
        let named = partners
            .clone()
            .find(|route| Some(route.name.as_bytes()) == name);
        named.or_else(|| partners.next())
    }
}
