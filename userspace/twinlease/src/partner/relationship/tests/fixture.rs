//! Two servers in one process: real sessions, invented workers and disks.

use super::*;
use crate::partner::exchange::{Offers, PartnerUpdate, Replies, ToControl, channel};
use crate::partner::relationship::task::{Ears, Handle};
use crate::partner::{Connector, Listener, Partner, Security, Timing, Told};
use engine::{LinkSpec, ModelBuilder, PoolConfig};
use failover::balance::Transfer;
use failover::updates::{Offer, Premises, receive};
use failover::{Config, ConfigDigest};
use lease::{AllocationKey, BindingId, BindingStatus, Lease, Leeway, PoolSpec, Shard};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use wire::failover::LeaseOptions;
use wire::failover::{Body, Client, Container, FailoverMessage, FrameWriter, TransactionId};
use wire::{Duid, IaKind, Iaid, MessageType, ShardId};

pub const WORKERS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);
const LINK: &str = "lan";

/// A disk that writes when it is told to.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Written>>, pub Arc<Notify>);

#[derive(Default)]
struct Written {
    appended: u64,
    committed: u64,
    is_slow: bool,
}

impl Disk {
    pub fn stop(&self) {
        self.0.lock().unwrap().is_slow = true;
    }

    pub fn commit_all(&self) {
        let mut written = self.0.lock().unwrap();
        written.committed = written.appended;
        self.1.notify_waiters();
    }

    pub fn commit_from_now_on(&self) {
        self.0.lock().unwrap().is_slow = false;
        self.commit_all();
    }

    pub fn is_behind(&self) -> bool {
        let written = self.0.lock().unwrap();
        written.committed < written.appended
    }

    fn append(&self) -> Ticket {
        let mut written = self.0.lock().unwrap();
        written.appended += 1;
        if !written.is_slow {
            written.committed = written.appended;
            self.1.notify_waiters();
        }
        Ticket(written.appended)
    }
}

impl Records for Disk {
    fn has_room(&self) -> bool {
        true
    }

    fn relationship(&mut self, _: u64, _: &[u8]) -> Ticket {
        self.append()
    }

    fn ownership(&mut self, _: Transfer) -> Ticket {
        self.append()
    }

    fn committed(&mut self) -> Ticket {
        Ticket(self.0.lock().unwrap().committed)
    }
}

/// Workers with a shard each, which answer at once.
#[derive(Clone)]
struct Workers {
    mail: Arc<Mutex<Vec<Vec<ToWorker>>>>,
    again: Arc<Mutex<Vec<PartnerUpdate>>>,
    answers: Arc<Mutex<Vec<(Offer, u32)>>>,
    elsewhere: Arc<AtomicBool>,
    shards: Arc<Mutex<Vec<Shard>>>,
    role: Role,
    model: Arc<Model>,
    say: ToControl,
}

struct Places<'m>(&'m Model);

impl failover::updates::Places for Places<'_> {
    fn link_of(&self, lease: Lease, _: IaKind) -> Option<lease::LinkKey> {
        let served = self.0.pool_of(lease)?;
        Some(self.0.links()[served.link().index()].key())
    }

    fn take(&self, shard: ShardId, lease: Lease) -> bool {
        self.0
            .pool_of(lease)
            .is_some_and(|served| served.pool().adopt(shard, lease))
    }

    fn is_taken(&self, _: ShardId, _: Lease) -> bool {
        false
    }

    fn reconfigure_key(&self, _: wire::Duid<'_>) -> Option<[u8; 16]> {
        None
    }

    fn comes_back_to_the_primary(&self, lease: Lease) -> bool {
        self.0.comes_back_to_the_primary(lease)
    }
}

impl Post for Workers {
    fn offer(&self, worker: usize, mail: ToWorker) -> Result<(), Box<ToWorker>> {
        match &mail {
            ToWorker::Updates(updates) => {
                for update in updates {
                    self.decide(worker, update);
                }
            }
            ToWorker::Answers(answers) => {
                let id = |message: &[u8]| {
                    FailoverMessage::parse(message)
                        .unwrap()
                        .transaction_id
                        .get()
                };
                let answers = answers.iter().map(|(offer, message)| (*offer, id(message)));
                self.answers.lock().unwrap().extend(answers);
            }
            ToWorker::Yield(update, leases) => {
                let given = if worker == 0 {
                    leases.clone()
                } else {
                    Vec::new()
                };
                self.say(
                    worker,
                    FromWorker::Yielded {
                        key: update.key,
                        given,
                        refused: Vec::new(),
                    },
                );
            }
            ToWorker::Owe(round, _) => self.say(worker, FromWorker::Answered(*round)),
            ToWorker::Credit(..) | ToWorker::Forget | ToWorker::RetryRejected => {}
        }
        self.mail.lock().unwrap()[worker].push(mail);
        Ok(())
    }
}

impl Workers {
    fn say(&self, worker: usize, said: FromWorker) {
        self.say.try_send((worker, said)).unwrap();
    }

    fn decide(&self, worker: usize, update: &PartnerUpdate) {
        let message = FailoverMessage::parse(&update.message).unwrap();
        let Ok(Body::Bndupd(Container::Client(data))) = message.body() else {
            panic!("only clients' updates go to workers");
        };
        if !update.yielded.is_empty() {
            self.again.lock().unwrap().push(update.clone());
        } else if self.elsewhere.load(Ordering::Relaxed) {
            let lease = lease_of(7);
            return self.say(worker, FromWorker::Elsewhere(update.clone(), vec![lease]));
        }
        let premises = Premises {
            role: self.role,
            now: crate::worker::now(),
            places: &Places(&self.model),
            yielded: &update.yielded,
            refused: &update.refused,
        };
        let mut frame = vec![0; update.message.len() + 256];
        let shard = &mut self.shards.lock().unwrap()[worker];
        let id = message.transaction_id;
        let outcome = receive(shard, &premises, id, &data, &mut frame, &mut |_| {}).unwrap();
        frame.truncate(outcome.reply_len);
        self.say(
            worker,
            FromWorker::Replies(Replies {
                connection: update.key.connection,
                count: 1,
                frames: frame,
                rejected: outcome.rejected,
            }),
        );
    }
}

pub struct Server {
    pub handle: Handle,
    pub disk: Disk,
    /// Held while a reload is under way.
    pub changing: Arc<tokio::sync::Mutex<()>>,
    workers: Workers,
    leeways: Leeways,
}

impl Server {
    fn new(role: Role, disk: Disk, ears: impl FnOnce(&mut Ears)) -> (Self, Ears) {
        let model = Arc::new(model(role));
        let (say, from_workers) = channel();
        let workers = Workers {
            mail: Arc::new(Mutex::new((0..WORKERS).map(|_| Vec::new()).collect())),
            again: Arc::default(),
            answers: Arc::default(),
            elsewhere: Arc::default(),
            shards: Arc::new(Mutex::new(
                (0..WORKERS)
                    .map(|n| Shard::new(ShardId(n as u8), 1))
                    .collect(),
            )),
            role,
            model: Arc::clone(&model),
            say,
        };
        let leeways = Leeways::new(model.leeways_at_startup());
        let changing = Arc::default();
        let relationship = Relationship::new(Parts {
            config: config(role),
            index: 0,
            stored: None,
            share: PrefixShare::of_thousand(500),
            records: Box::new(disk.clone()),
            post: Box::new(workers.clone()),
            owner: std::array::from_fn(|shard| (shard % WORKERS) as u8),
            workers: WORKERS,
            leeways: leeways.clone(),
            model: Arc::new(ArcSwap::new(model)),
            changing: Arc::clone(&changing),
            wall: crate::worker::now,
        });
        let mut all = Ears {
            workers: from_workers,
            incoming: None,
            connector: None,
            committed: Arc::clone(&disk.1),
        };
        ears(&mut all);
        let server = Self {
            handle: Handle::new(relationship.unwrap()),
            disk,
            changing,
            workers,
            leeways,
        };
        (server, all)
    }

    pub fn said(&self, worker: usize, said: FromWorker) {
        self.workers.say(worker, said);
    }

    /// All mail that the workers have got, taken.
    pub fn mail(&self) -> Vec<Vec<ToWorker>> {
        let mut mail = self.workers.mail.lock().unwrap();
        mail.iter_mut().map(std::mem::take).collect()
    }

    /// The connection that the workers have had credit for last.
    pub fn credited(&self) -> ConnectionId {
        let mail = self.workers.mail.lock().unwrap();
        let credits = mail.iter().flatten().filter_map(|mail| match mail {
            ToWorker::Credit(connection, _) => Some(*connection),
            _ => None,
        });
        credits.max().unwrap()
    }

    pub fn answers(&self) -> Vec<(Offer, u32)> {
        self.workers.answers.lock().unwrap().clone()
    }

    pub fn workers_say_elsewhere(&self) {
        self.workers.elsewhere.store(true, Ordering::Relaxed);
    }

    pub fn received_again(&self) -> Vec<PartnerUpdate> {
        self.workers.again.lock().unwrap().clone()
    }

    pub fn leeway(&self) -> Leeway {
        self.leeways.seen().load()[0]
    }

    pub fn connections(&self) -> usize {
        self.handle.connections()
    }

    pub async fn sees(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let seen = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        assert!(seen.is_ok(), "not {what}: {:?}", self.handle.report());
    }
}

/// A primary and a secondary, and a relay between them that can be cut.
pub struct Pair {
    pub servers: [Server; 2],
    is_cut: Arc<AtomicBool>,
    cut: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Pair {
    pub async fn start() -> Self {
        Self::on(Disk::default()).await
    }

    /// The primary's or the secondary's disk writes nothing by itself.
    pub async fn with_slow_disk(_primary: usize) -> Self {
        let disk = Disk::default();
        disk.stop();
        Self::on(disk).await
    }

    async fn on(primary_disk: Disk) -> Self {
        let mut tasks = JoinSet::new();
        let socket = TcpListener::bind("[::1]:0").await.unwrap();
        let behind = socket.local_addr().unwrap();
        let relay = TcpListener::bind("[::1]:0").await.unwrap();
        let before = relay.local_addr().unwrap();
        let partner = |address| Partner {
            address,
            security: Security::Insecure,
        };
        let timing = Timing {
            retry: Duration::from_millis(20),
            ..Timing::default()
        };
        let listener = Listener::new(behind, [partner(behind)], timing, Arc::default());
        let (out, mut accepted) = mpsc::channel(4);
        tasks.spawn(listener.serve_on(socket, out));
        let (give, incoming) = mpsc::channel(4);
        tasks.spawn(async move {
            while let Some(incoming) = accepted.recv().await {
                give.send(incoming.connection).await.unwrap();
            }
        });
        let (is_cut, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        tasks.spawn(forward(
            relay,
            behind,
            Arc::clone(&is_cut),
            Arc::clone(&cut),
        ));
        let primary = Server::new(Role::Primary, primary_disk, |ears| {
            ears.connector = Some(Connector {
                local: "[::1]:0".parse().unwrap(),
                partner: partner(before),
                timing,
                counters: Arc::default(),
                told: Told::default(),
            });
        });
        let secondary = Server::new(Role::Secondary, Disk::default(), |ears| {
            ears.incoming = Some(incoming);
        });
        let servers = [primary, secondary].map(|(server, ears)| {
            let handle = server.handle.clone();
            tasks.spawn(async move { handle.run(ears, std::future::pending()).await.unwrap() });
            server
        });
        Self {
            servers,
            is_cut,
            cut,
            _tasks: tasks,
        }
    }

    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        self.cut.notify_waiters();
    }

    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::Relaxed);
    }

    pub async fn both(&self, state: ServerState) {
        for server in &self.servers {
            let is_so = |server: &Server| server.handle.report().state == state.name();
            server.sees(state.name(), is_so).await;
        }
    }
}

async fn forward(
    relay: TcpListener,
    behind: std::net::SocketAddr,
    is_cut: Arc<AtomicBool>,
    cut: Arc<Notify>,
) {
    let mut streams = JoinSet::new();
    loop {
        let (mut one, _) = relay.accept().await.unwrap();
        if is_cut.load(Ordering::Relaxed) {
            continue;
        }
        let cut = Arc::clone(&cut);
        streams.spawn(async move {
            let mut other = tokio::net::TcpStream::connect(behind).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut one, &mut other) => {}
                () = cut.notified() => {}
            }
        });
    }
}

fn config(role: Role) -> Config {
    Config {
        name: "pair".into(),
        role,
        mclt_secs: 600,
        keepalive_secs: 60,
        max_unacked: 256,
        startup_secs: 30,
        auto_partner_down_secs: None,
        serve_without_partner: false,
        connect_retry_secs: 1,
        longest_valid_secs: 3_600,
        digest: ConfigDigest::default(),
    }
}

fn model(role: Role) -> Model {
    let address = |text: &str| text.parse().unwrap();
    let addresses = PoolSpec::addresses(address("2001:db8::"), address("2001:db8::ff")).unwrap();
    let prefix = Lease {
        addr: 0x2001_0db9 << 96,
        len: 48,
    };
    let prefixes = PoolSpec::prefixes(prefix, 56).unwrap();
    let link = LinkSpec {
        name: LINK.into(),
        pools: vec![PoolConfig::new(addresses), PoolConfig::new(prefixes)],
        relationship: Some(engine::Relationship {
            index: 0,
            role,
            mclt_secs: 600,
        }),
        ..LinkSpec::default()
    };
    let model = ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16])).link(link);
    model.build().unwrap()
}

fn lease_of(n: u8) -> Lease {
    Lease {
        addr: (0x2001_0db8 << 96) + u128::from(n),
        len: 128,
    }
}

/// Offers of the addresses of clients on a connection.
pub fn offers(connection: ConnectionId, clients: std::ops::Range<u8>) -> Offers {
    let mut offers = Offers::new(connection);
    for (offer, frame) in clients.map(offer) {
        offers.push(offer, &frame);
    }
    offers
}

/// An offer of client `n`'s address, and its BNDUPD without transaction-id.
pub fn offer(n: u8) -> (Offer, Vec<u8>) {
    let now = crate::worker::now();
    let since = AbsTime(1_000);
    let ends = AbsTime(now.0 + 3_600);
    let duid = [0, 3, 0, 1, n];
    let mut frame = vec![0; 512];
    let id = TransactionId::new(0);
    let mut writer = FrameWriter::begin(&mut frame, MessageType::BNDUPD, id).unwrap();
    let client = Client {
        client_id: Duid::new(&duid),
        base_time: Some(now.0),
        ..Client::default()
    };
    let container = writer.open_client_data(&client).unwrap();
    let ia = writer.open_ia(IaKind::Na, Iaid(1), 10, 20).unwrap();
    let options = LeaseOptions {
        binding_status: Some(BindingStatus::Active as u8),
        start_time_of_state: Some(since.0),
        state_expiration_time: Some(ends.0),
        partner_lifetime: Some(ends.0),
        clt_time_secs_ago: Some(1),
        ..LeaseOptions::default()
    };
    writer
        .address(lease_of(n).addr, (30, 60), &options)
        .unwrap();
    writer.close(ia).unwrap();
    writer.close(container).unwrap();
    let len = writer.finish().unwrap();
    frame.truncate(len);
    let offer = Offer {
        shard: ShardId(0),
        id: BindingId(u32::from(n)),
        lease: lease_of(n),
        status: BindingStatus::Active,
        status_since: since,
        partner_lifetime: AbsTime(0),
    };
    (offer, frame)
}
