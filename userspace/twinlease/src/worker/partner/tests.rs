//! Two servers' desks, with shards, pools and journals, and what they tell each other in memory.

mod exchange;
mod order;

use super::*;
use crate::partner::exchange::{FromWorkers, UpdateKey, channel};
use crate::worker::handover::BeginHandover;
use crate::worker::{Awaited, Held, Inbox, Leeways, ReclaimWalk, ShardSet, Trace, WorkerDrop};
use engine::{LinkSpec, Model, ModelBuilder, PoolConfig, Relationship};
use failover::ConnectionId;
use journal::{Journal, Options, Wake};
use lease::{
    AllocationKey, Answers, BindingDelta, BindingRecord, BindingStatus, Leeway, LifetimeCap,
    PartnerTimes, PoolSpec, Prefixes, Role, Shard,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::{Duid, IaKind, Iaid, SHARDS, shard_of};

const NOW: AbsTime = AbsTime(800_000_000);
const MCLT_SECS: u32 = 3_600;

struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

struct NoBindings;

impl journal::Apply for NoBindings {
    fn apply(&mut self, _: &BindingDelta<'_>) {}
}

/// One server, with one worker.
struct Side {
    desk: Desk,
    from_worker: FromWorkers,
    now: AbsTime,
    updates: u64,
    journal: Journal,
    _dir: tempfile::TempDir,
}

fn address(last: u16) -> Lease {
    Lease::address([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into())
}

fn prefix(number: u16) -> Lease {
    let first = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x100, number << 8, 0, 0, 0, 0);
    Lease {
        addr: first.to_bits(),
        len: 56,
    }
}

fn client(number: u16) -> [u8; 8] {
    let [a, b] = number.to_be_bytes();
    [0, 3, 0, 1, 0xaa, 0xbb, a, b]
}

fn leeway(role: Role) -> Leeway {
    Leeway {
        answers: Answers::All,
        may_allocate: true,
        replicate: true,
        cap: LifetimeCap::Mclt {
            mclt_secs: MCLT_SECS,
        },
        prefixes: Prefixes::Own(role),
        ..Leeway::startup(role, MCLT_SECS)
    }
}

fn builder(role: Role, last_address: u16) -> ModelBuilder {
    let of = |lease: Lease| std::net::Ipv6Addr::from_bits(lease.addr);
    let addresses = PoolSpec::addresses(of(address(0x10)), of(address(last_address))).unwrap();
    let block = Lease {
        len: 48,
        ..prefix(0)
    };
    let prefixes = PoolSpec::prefixes(block, 56).unwrap();
    let link = LinkSpec {
        name: "lan".into(),
        pools: vec![PoolConfig::new(addresses), PoolConfig::new(prefixes)],
        relationship: Some(Relationship {
            index: 0,
            role,
            mclt_secs: MCLT_SECS,
        }),
        ..LinkSpec::default()
    };
    ModelBuilder::new(&[0, 4, 1], AllocationKey::new([1; 16])).link(link)
}

fn journal_in(dir: &Path) -> (Journal, journal::Appender) {
    let (_, recovered) = journal::recover(dir, false, vec![NoBindings], &|_| 0).unwrap();
    let options = Options {
        segment_len: 4 << 20,
        ..Options::default()
    };
    let (journal, mut appenders) =
        Journal::start(recovered, options, vec![Arc::new(Nobody)]).unwrap();
    (journal, appenders.remove(0))
}

impl Side {
    fn new(role: Role) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (journal, appender) = journal_in(dir.path());
        let (to_control, from_worker) = channel();
        let ids = 0..=u8::MAX;
        let shards = ShardSet::new(ids.map(|id| Shard::new(ShardId(id), 3)).collect());
        let leeways = Leeways::new([leeway(role)]);
        let inbox = Inbox::new(datapath::Waker::new().unwrap());
        let desk = Desk {
            index: 0,
            partner: Partner::new(shards.owned(), to_control, Transit::default()),
            shards,
            model: Arc::new(builder(role, 0xff).build().unwrap()),
            leeways: Arc::default(),
            published: leeways.seen(),
            reclaim_walk: ReclaimWalk::default(),
            appender,
            held: Held::default(),
            handover: None,
            awaited: Awaited::default(),
            trace: Trace::default(),
            owner: Arc::new([0; SHARDS]),
            inboxes: vec![Arc::new(inbox)].into(),
            counters: Arc::new(WorkerCounters::new(WorkerDrop::labels())),
        };
        Self {
            desk,
            from_worker,
            now: NOW,
            updates: 0,
            journal,
            _dir: dir,
        }
    }

    /// As the worker's loop, until nothing is left to do and all is on disk.
    fn run(&mut self) -> Vec<FromWorker> {
        let mut said = Vec::new();
        let end = Instant::now() + Duration::from_secs(20);
        self.desk.obey();
        loop {
            let mut work = self.desk.correspond(self.now);
            self.desk.submit();
            while self.desk.appender.committed() < self.desk.appender.ticket() {
                assert!(Instant::now() < end, "{:?}", self.journal.health());
                self.desk.submit();
                std::thread::sleep(Duration::from_micros(100));
            }
            work += self.desk.hand_over_to_control();
            let committed = self.desk.appender.committed();
            while let Some((_, lease)) = self.desk.held.next_position(committed) {
                self.desk.model.release(lease);
            }
            while let Ok((worker, message)) = self.from_worker.try_recv() {
                assert_eq!(worker, 0);
                said.push(message);
            }
            if work == 0 {
                return said;
            }
        }
    }

    fn credit(&mut self, credit: u32) {
        self.desk
            .partner
            .take(ToWorker::Credit(ConnectionId(1), credit));
    }

    /// A client is given a lease, or has it again, or it ends, as the engine would have it.
    fn put(&mut self, who: u16, lease: Lease, status: BindingStatus) {
        let duid = client(who);
        let id = shard_of(&duid);
        let shard = self.desk.shards.get_mut(id);
        let before = shard.by_lease(lease).map(|(_, record)| record.partner);
        if before.is_none() {
            let duid = Duid::new(&duid).unwrap();
            let taken = self.desk.model.take_for(id, duid, lease);
            assert!(taken, "{lease} is taken");
        }
        let is_active = status == BindingStatus::Active;
        let record = BindingRecord {
            duid: Duid::new(&duid).unwrap(),
            kind: if lease.len == 128 {
                IaKind::Na
            } else {
                IaKind::Pd
            },
            iaid: Iaid(1),
            subscriber: None,
            lease,
            link: self.desk.model.links()[0].key(),
            status,
            preferred_secs: 60,
            valid_secs: 60,
            cltt: self.now,
            status_since: self.now,
            expires: if is_active {
                self.now.plus(60)
            } else {
                AbsTime::NEVER
            },
            partner: PartnerTimes {
                partner_lifetime: self.now.plus(600),
                unacked: true,
                ..before.unwrap_or(PartnerTimes::NONE)
            },
            accepts_reconfigure: false,
            via: &[],
        };
        shard.put(&record);
        let (_, mut recorder) = self.desk.recorder();
        recorder.record(&BindingDelta::Put { shard: id, record });
    }

    fn get(&self, lease: Lease) -> Option<BindingRecord<'_>> {
        let mut held = self
            .desk
            .shards
            .all()
            .filter_map(|shard| shard.by_lease(lease));
        let one = held.next().map(|(_, record)| record);
        assert!(held.next().is_none(), "{lease} is in two shards");
        one
    }

    fn is_taken(&self, lease: Lease) -> bool {
        let served = self.desk.model.pool_of(lease).unwrap();
        served.pool().is_taken(lease)
    }

    fn unacked(&self) -> usize {
        let counts = self.desk.shards.all().map(Shard::unacked);
        counts.map(|c| c.unsent + c.in_flight + c.rejected).sum()
    }

    fn update(&mut self, message: &[u8]) -> PartnerUpdate {
        self.updates += 1;
        PartnerUpdate {
            key: UpdateKey {
                connection: ConnectionId(1),
                number: self.updates,
            },
            message: Bytes::copy_from_slice(message),
            yielded: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Has the worker decide about a BNDUPD, as the control thread would; the BNDREPLY's frame.
    fn receive(&mut self, message: &[u8]) -> Vec<u8> {
        let update = self.update(message);
        self.desk.partner.take(ToWorker::Updates(vec![update]));
        loop {
            match self.said_one() {
                FromWorker::Replies(replies) => return replies.frames,
                FromWorker::Elsewhere(mut update, leases) => {
                    let ask = ToWorker::Yield(update.clone(), leases.clone());
                    self.desk.partner.take(ask);
                    let FromWorker::Yielded { given, refused, .. } = self.said_one() else {
                        panic!("no answer to Yield");
                    };
                    update.yielded = given;
                    update.refused = refused;
                    self.desk.partner.take(ToWorker::Updates(vec![update]));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn said_one(&mut self) -> FromWorker {
        let mut said = self.run();
        let one = said
            .pop()
            .expect("a worker answers what the control thread sends");
        assert!(said.is_empty(), "{said:?} before {one:?}");
        one
    }
}

/// All that `from` has to say goes to `to`, and the answers come back; how much it was.
fn exchange(from: &mut Side, to: &mut Side) -> usize {
    from.credit(1_000);
    let said = from.run();
    from.desk.partner.credit = None;
    let mut answers = Vec::new();
    for message in said {
        match message {
            FromWorker::Offers(offers) => {
                for (offer, frame) in offers.iter() {
                    let reply = to.receive(&frame[2..]);
                    answers.push((offer, Bytes::copy_from_slice(&reply[2..])));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let count = answers.len();
    from.desk.partner.take(ToWorker::Answers(answers));
    assert!(from.run().is_empty());
    count
}

fn pair() -> (Side, Side) {
    (Side::new(Role::Primary), Side::new(Role::Secondary))
}
