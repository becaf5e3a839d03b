//! Server and client over a real socket, with workers that are threads with real shards.

use super::*;
use crate::control::client::{Client, ClientError, percent_encoded};
use crate::control::command::{Busy, Command, Page, Reconfigured, WorkerHandle};
use crate::control::reconfigured::ReconfigureLine;
use crate::control::view::{BindingView, LeasePage, OUTSIDE};
use crate::reload::Reloader;
use engine::reconfigure::Replay;
use engine::{LinkSpec, ModelBuilder, PoolConfig, Rkap};
use lease::{
    AbsTime, AllocationKey, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes, PoolSpec,
    Shard,
};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use wire::steer::shard_of;
use wire::{Duid, IaKind, Iaid, SHARDS};

const WORKERS: u8 = 2;
const REMOVED_LINK: LinkKey = LinkKey(0xabcd);

struct Inbox(SyncSender<Command>);

impl WorkerHandle for Inbox {
    fn send(&self, command: Command) -> Result<(), Busy> {
        self.0.try_send(command).map_err(|_| Busy)
    }
}

/// A worker's thread; it ends with the last sender.
fn work(inbox: &Receiver<Command>, shards: &[Shard]) {
    let mut answered = Vec::new();
    for command in inbox {
        match command {
            Command::ListLeases(list) => {
                let shard = shards.iter().find(|shard| shard.id() == list.shard);
                let (next, records) = shard.unwrap().walk(list.from, list.max);
                let matching = records.filter(|record| list.filter.matches(record));
                let bindings = matching.map(Into::into).collect();
                let _ = list.reply.send(Page { bindings, next });
            }
            Command::ShowLease(show) => {
                let found = shards.iter().find_map(|shard| shard.by_lease(show.lease));
                let _ = show.reply.send(found.map(|(_, record)| record.into()));
            }
            Command::Reconfigure(order) => {
                // Every second client does what it is asked for.
                let reconfigured = Reconfigured {
                    sent: order.clients.iter().map(|_| Ok(())).collect(),
                    answered: std::mem::take(&mut answered),
                };
                let answers = order
                    .clients
                    .iter()
                    .filter(|client| client.duid[4] % 2 == 0);
                answered.extend(answers.map(|client| client.number));
                let _ = order.reply.send(reconfigured);
            }
            other => panic!("these workers change nothing: {other:?}"),
        }
    }
}

#[derive(Default)]
struct Journal(Mutex<Option<String>>);

impl StatusSource for Journal {
    fn status(&self) -> StatusReport {
        let mut report = StatusReport {
            version: "test".into(),
            ..StatusReport::default()
        };
        report.journal.failing = self.0.lock().unwrap().clone();
        report
    }
}

fn model() -> Model {
    let pool = PoolConfig::new;
    let link = |name: &str, prefix: u16| {
        let ip = |last| std::net::Ipv6Addr::new(0x2001, 0xdb8, prefix, 0, 0, 0, 0, last);
        let delegated = Lease {
            addr: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x8000 + 256 * prefix, 0, 0, 0, 0, 0)
                .to_bits(),
            len: 40,
        };
        LinkSpec {
            name: name.into(),
            link_addresses: vec![Lease {
                addr: ip(0).to_bits(),
                len: 64,
            }],
            pools: vec![
                pool(PoolSpec::addresses(ip(0), ip(0xffff)).unwrap()),
                pool(PoolSpec::prefixes(delegated, 56).unwrap()),
            ],
            ..LinkSpec::default()
        }
    };
    ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16]))
        .link(link("lan", 1))
        .link(link("far side", 2))
        .build()
        .unwrap()
        .with_rkap(Rkap::new(&[7; 16], Replay::new(0)).map(Arc::new))
}

struct Nowhere;

impl Routes for Nowhere {
    fn towards(&self, _: std::net::Ipv6Addr) -> Option<datapath::InterfaceId> {
        None
    }
}

fn duid(client: u16) -> [u8; 5] {
    let [high, low] = client.to_be_bytes();
    [0, 3, 7, high, low]
}

/// An address for every client, on the two links in turns; a prefix for client 0, which also has
/// an address of a link that is gone.
fn fill(shards: &mut [Shard], model: &Model, clients: u16) {
    let links: Vec<_> = model.links().iter().map(|link| link.key()).collect();
    let mut put = |client: u16, lease: &str, link| {
        let duid = duid(client);
        let lease = crate::control::view::parse_lease(lease).unwrap();
        let kind = if lease.len == 128 {
            IaKind::Na
        } else {
            IaKind::Pd
        };
        let shard = &mut shards[usize::from(shard_of(&duid).0)];
        shard.put(&BindingRecord {
            duid: Duid::new(&duid).unwrap(),
            kind,
            iaid: Iaid(u32::from(client)),
            subscriber: None,
            lease,
            link,
            status: BindingStatus::Active,
            preferred_secs: 60,
            valid_secs: 120,
            cltt: AbsTime(1000),
            status_since: AbsTime(1000),
            expires: AbsTime(1120),
            partner: PartnerTimes::NONE,
            accepts_reconfigure: (40..45).contains(&client),
            via: match client {
                40..44 => &[0xfe; 16],
                // Behind a relay.
                44 => &[0xfe; 50],
                _ => &[],
            },
        });
    };
    for client in 0..clients {
        let link = usize::from(client % 2);
        put(
            client,
            &format!("2001:db8:{}::{client:x}", link + 1),
            links[link],
        );
    }
    put(0, "2001:db8:8100::/56", links[0]);
    put(0, "2001:db8:dead::1", REMOVED_LINK);
}

/// A server that is running.
struct Running {
    _dir: tempfile::TempDir,
    socket: PathBuf,
    journal: Arc<Journal>,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Running {
    fn start(clients: u16) -> Self {
        let model = Arc::new(model());
        let mut shards: Vec<_> = (0..=u8::MAX)
            .map(|id| Shard::new(wire::ShardId(id), 1))
            .collect();
        fill(&mut shards, &model, clients);
        let mut owner = [0; SHARDS];
        let mut parts: Vec<Vec<Shard>> = (0..WORKERS).map(|_| Vec::new()).collect();
        for (shard, owner) in shards.into_iter().zip(&mut owner) {
            *owner = shard.id().0 % WORKERS;
            parts[usize::from(*owner)].push(shard);
        }
        let worker = |shards: Vec<Shard>| {
            let (sender, inbox) = sync_channel(4);
            thread::spawn(move || work(&inbox, &shards));
            Box::new(Inbox(sender)) as Box<dyn WorkerHandle>
        };
        Self::with_workers(
            model,
            Workers::new(parts.into_iter().map(worker).collect(), owner),
        )
    }

    fn with_workers(model: Arc<Model>, workers: Workers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("made/control.sock");
        let listener = ControlListener::bind(&socket).unwrap();
        let journal = Arc::new(Journal::default());
        let (reload, _) = Reloader::channel();
        let state = Arc::new(ControlState {
            model: Arc::new(ArcSwap::new(model)),
            changing: Arc::default(),
            reload,
            failover: Vec::new(),
            workers,
            routes: Arc::new(Nowhere),
            reconfiguring: Arc::default(),
            status: Arc::clone(&journal) as Arc<dyn StatusSource>,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, state, async move { drop(stopped.await) }));
        Self {
            _dir: dir,
            socket,
            journal,
            stop: Some(stop),
            served,
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Client::connect(&self.socket).await?.get(path).await
    }

    /// All pages of a list, on one connection; and how many there were.
    async fn list(&self, query: &str) -> (Vec<BindingView>, usize) {
        let mut client = Client::connect(&self.socket).await.unwrap();
        let (mut leases, mut pages) = (Vec::new(), 0);
        let mut from = String::new();
        loop {
            let page: LeasePage = client
                .get(&format!("/v1/leases?{query}{from}"))
                .await
                .unwrap();
            leases.extend(page.leases);
            pages += 1;
            match page.next {
                Some(next) => from = format!("&from={next}"),
                None => return (leases, pages),
            }
        }
    }

    async fn refusal(&self, path: &str) -> (u16, String) {
        match self.get::<serde_json::Value>(path).await {
            Err(ClientError::Refused { code, message }) => (code, message),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_list_shows_every_binding_once_in_bounded_pages() {
    let server = Running::start(2000);
    let (leases, pages) = server.list("limit=100").await;
    let distinct: BTreeSet<_> = leases.iter().map(|lease| &lease.lease).collect();
    assert_eq!((leases.len(), distinct.len()), (2002, 2002));
    assert!(pages >= 21, "{pages} pages of 100");
    let first: LeasePage = server.get("/v1/leases").await.unwrap();
    assert!((1..=500).contains(&first.leases.len()) && first.next.is_some());
}

#[tokio::test]
async fn filters_leave_out_what_does_not_match() {
    let server = Running::start(100);
    for (query, count) in [
        ("link=lan", 51),
        ("link=far%20side", 50),
        ("link=key:000000000000abcd", 1),
        ("duid=00:03:07:00:00", 3),
        ("duid=0003070000&link=lan", 2),
        ("duid=00:03:07:ff:ff", 0),
        ("within=2001:db8:2::/64", 50),
        ("within=2001:db8:8100::/40", 1),
        ("address=2001:db8:1::2", 1),
        ("address=2001:db8:1::2&link=far%20side", 0),
        ("address=2001:db8:1::1", 0),
        ("prefix=2001:db8:8100::%2F56", 1),
    ] {
        let (leases, _) = server.list(query).await;
        assert_eq!(leases.len(), count, "{query}");
    }
    let (_, pages) = server.list("duid=00:03:07:00:00").await;
    assert_eq!(pages, 1, "a client's bindings are in one shard");
}

#[tokio::test]
async fn show_says_all_that_is_known() {
    let server = Running::start(2);
    let prefix = percent_encoded("2001:db8:8100::/56");
    let shown: BindingView = server.get(&format!("/v1/leases/{prefix}")).await.unwrap();
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        serde_json::json!({
            "lease": "2001:db8:8100::/56", "kind": "prefix", "duid": "00:03:07:00:00", "iaid": 0,
            "link": "lan", "pool": "2001:db8:8100::/40", "status": "active",
            "preferred-secs": 60, "valid-secs": 120,
            "cltt": {"utc": "2000-01-01T00:16:40Z", "secs-since-2000": 1000},
            "status-since": {"utc": "2000-01-01T00:16:40Z", "secs-since-2000": 1000},
            "expires": {"utc": "2000-01-01T00:18:40Z", "secs-since-2000": 1120},
        })
    );
    let other: BindingView = server
        .get("/v1/leases/2001:db8:8100::?length=56")
        .await
        .unwrap();
    assert_eq!(other, shown);
    let gone: BindingView = server.get("/v1/leases/2001:db8:dead::1").await.unwrap();
    assert_eq!(
        (gone.link.as_str(), gone.pool.as_str()),
        ("key:000000000000abcd", OUTSIDE)
    );
}

#[tokio::test]
async fn what_is_wrong_is_said_as_json() {
    let server = Running::start(2);
    for (path, code, word) in [
        ("/v1/leases/2001:db8::77", 404, "no binding of 2001:db8::77"),
        (
            "/v1/leases/hello",
            400,
            "neither an IPv6 address nor a prefix",
        ),
        ("/v1/leases/2001:db8::?length=x", 400, "length"),
        ("/v1/leases?lnk=a", 400, "lnk"),
        ("/v1/leases?link=nowhere", 404, "no link \"nowhere\""),
        ("/v1/leases?duid=00", 400, "duid"),
        (
            "/v1/leases?within=2001:db8::1%2F64",
            400,
            "write 2001:db8::/64",
        ),
        ("/v1/leases?address=2001:db8::%2F56", 400, "address"),
        ("/v1/leases?prefix=2001:db8::1", 400, "prefix"),
        ("/v1/leases?from=256.0", 400, "from"),
        ("/v1/leases?from=0", 400, "from"),
        ("/v1/leases?limit=0", 400, "limit"),
        ("/v1/leases?limit=5001", 400, "limit"),
        ("/v2", 404, "/v2"),
    ] {
        let (got, message) = server.refusal(path).await;
        assert!(
            got == code && message.contains(word),
            "{path}: {got} {message}"
        );
    }
}

#[tokio::test]
async fn health_is_red_while_the_journal_fails() {
    let server = Running::start(0);
    let status: StatusReport = server.get("/v1/status").await.unwrap();
    assert_eq!(status.version, "test");
    // `ok` is no JSON, so not what `get` can return; but no refusal either.
    let healthy = server.get::<serde_json::Value>("/healthz").await;
    assert!(
        matches!(healthy, Err(ClientError::Broken { .. })),
        "{healthy:?}"
    );
    *server.journal.0.lock().unwrap() = Some("No space left on device".into());
    let (code, message) = server.refusal("/healthz").await;
    assert_eq!(
        (code, message.as_str()),
        (503, "journal: No space left on device")
    );
}

struct Full;

impl WorkerHandle for Full {
    fn send(&self, _: Command) -> Result<(), Busy> {
        Err(Busy)
    }
}

/// Takes commands and forgets them.
struct Forgetful;

impl WorkerHandle for Forgetful {
    fn send(&self, command: Command) -> Result<(), Busy> {
        drop(command);
        Ok(())
    }
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_503() {
    for (handle, word) in [
        (Box::new(Full) as Box<dyn WorkerHandle>, "overloaded"),
        (Box::new(Forgetful), "does not answer"),
    ] {
        let workers = Workers::new(vec![handle], [0; SHARDS]);
        let server = Running::with_workers(Arc::new(model()), workers);
        for path in ["/v1/leases", "/v1/leases/2001:db8::1"] {
            let (code, message) = server.refusal(path).await;
            assert!(
                code == 503 && message.contains(word),
                "{path}: {code} {message}"
            );
        }
    }
}

#[tokio::test]
async fn a_live_socket_is_not_taken_and_a_stale_one_is() {
    let mut server = Running::start(0);
    let mode = fs::metadata(&server.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let second = ControlListener::bind(&server.socket).unwrap_err();
    assert!(
        second.to_string().contains("another server answers on"),
        "{second}"
    );
    drop(server.stop.take());
    (&mut server.served).await.unwrap().unwrap();
    assert!(
        !server.socket.exists(),
        "an orderly stop removes the socket"
    );
    drop(ControlListener::bind(&server.socket).unwrap());
    assert!(server.socket.exists(), "as after a crash");
    drop(ControlListener::bind(&server.socket).unwrap());
    fs::remove_file(&server.socket).unwrap();
    fs::write(&server.socket, "precious").unwrap();
    let file = ControlListener::bind(&server.socket).unwrap_err();
    assert!(matches!(file, SocketError::NotASocket(_)), "{file}");
    assert_eq!(fs::read_to_string(&server.socket).unwrap(), "precious");
}

#[tokio::test]
async fn without_a_server_the_client_says_what_to_do() {
    let error = Client::connect(Path::new("/nonexistent/control.sock"))
        .await
        .unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.contains("/nonexistent/control.sock") && shown.contains("is the server running?")
    );
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let mut server = Running::start(0);
    let mut idle = Client::connect(&server.socket).await.unwrap();
    let _status: StatusReport = idle.get("/v1/status").await.unwrap();
    drop(server.stop.take());
    let stopped = tokio::time::timeout(2 * GRACE, &mut server.served).await;
    stopped.unwrap().unwrap().unwrap();
    let _refused = idle.get::<StatusReport>("/v1/status").await.unwrap_err();
}

#[tokio::test]
async fn metrics_listen_where_they_are_told_and_show_nothing_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let free = std::net::TcpListener::bind("[::1]:0").unwrap();
    let addr = free.local_addr().unwrap();
    let status: Arc<dyn StatusSource> = Arc::new(Journal::default());
    let taken = serve_metrics(addr, Arc::clone(&status), std::future::pending()).await;
    assert!(
        taken
            .unwrap_err()
            .to_string()
            .contains("change control.metrics")
    );
    drop(free);
    tokio::spawn(serve_metrics(addr, status, std::future::pending()));
    let get = async |path: &str| {
        let mut stream = loop {
            match tokio::net::TcpStream::connect(addr).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let metrics = get("/metrics").await;
    assert!(
        metrics.starts_with("HTTP/1.1 200") && metrics.contains("openmetrics"),
        "{metrics}"
    );
    assert!(get("/healthz").await.ends_with("ok\n"));
    assert!(get("/v1/leases").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn every_client_of_an_order_to_reconfigure_has_a_result() {
    let server = Running::start(100);
    let mut client = Client::connect(&server.socket).await.unwrap();
    let path = "/v1/reconfigure?all=true&attempts=2&timeout_ms=400&rate=1000";
    let mut lines = client.post_lines(path).await.unwrap();
    let (mut results, mut done) = (BTreeMap::new(), None);
    while let Some(line) = lines.next::<ReconfigureLine>().await.unwrap() {
        match line {
            ReconfigureLine::Client(client) => {
                let before = results.insert(client.duid.clone(), client);
                assert_eq!(before, None, "twice");
            }
            ReconfigureLine::Done(tally) => done = Some(tally),
            ReconfigureLine::Progress(_) => {}
            ReconfigureLine::Failed(error) => panic!("{error}"),
        }
    }
    let tally = done.unwrap();
    assert_eq!((results.len(), tally.clients, tally.waiting), (100, 100, 0));
    for (client, result, transmissions) in [
        (40, "answered", 1),
        (41, "no-answer", 2),
        (42, "answered", 1),
        (43, "no-answer", 2),
        (44, "no-route", 0),
        (45, "not-accepted", 0),
    ] {
        let told = &results[&format!("00:03:07:00:{client:02x}")];
        let told = (told.result.as_str(), told.transmissions);
        assert_eq!(told, (result, transmissions), "{client}");
    }
    assert_eq!(tally.results["not-accepted"], 95);
}

#[tokio::test]
async fn an_order_to_reconfigure_ends_with_its_connection_and_is_the_only_one() {
    let server = Running::start(100);
    let path = "/v1/reconfigure?link=far%20side&message=rebind&timeout_ms=600000";
    let mut first = Client::connect(&server.socket).await.unwrap();
    let mut lines = first.post_lines(path).await.unwrap();
    lines.next::<ReconfigureLine>().await.unwrap().unwrap();
    let mut second = Client::connect(&server.socket).await.unwrap();
    let refused = second.post_lines(path).await.unwrap_err();
    assert!(
        matches!(refused, ClientError::Refused { code: 409, .. }),
        "{refused}"
    );
    drop((lines, first));
    let taken = async {
        while second.post_lines(path).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let taken = tokio::time::timeout(Duration::from_secs(20), taken).await;
    taken.expect("the order was taken back");
    for (query, code) in [
        ("", 400),
        ("all=true&link=lan", 400),
        ("duid=zz", 400),
        ("link=nowhere", 404),
        ("all=true&rate=0", 400),
        ("all=true&attempts=9", 400),
        ("all=true&timeout_ms=0", 400),
        ("all=true&message=solicit", 400),
    ] {
        let mut client = Client::connect(&server.socket).await.unwrap();
        let refused = client.post_lines(&format!("/v1/reconfigure?{query}")).await;
        let is_it = matches!(&refused, Err(ClientError::Refused { code: c, .. }) if *c == code);
        assert!(is_it, "{query}: {refused:?}");
    }
}
