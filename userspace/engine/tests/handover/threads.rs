//! Two threads that allocate, commit and release while one model is handed over after the other: the
//! pools' atomic positions are all that keeps them apart.

use super::*;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};
use std::thread;

const RELOADS: usize = 60;
const CLIENTS_EACH: u8 = 12;
/// Messages between two commits of a worker.
const COMMIT_EVERY: u64 = 5;

/// Who holds what by the first address of its leases, over all threads: told after a lease is taken
/// and before it is given back.
#[derive(Default)]
struct Holders(Mutex<BTreeMap<u128, (u128, Vec<u8>)>>);

impl Holders {
    fn take(&self, lease: Lease, duid: &[u8]) {
        let last = lease.addr | u128::MAX.checked_shr(u32::from(lease.len)).unwrap_or(0);
        let mut holders = self.0.lock().unwrap();
        let overlapping = holders.range(..=last).next_back();
        if let Some((first, (end, holder))) = overlapping
            && *end >= lease.addr
        {
            let same = *first == lease.addr && *end == last && holder == duid;
            assert!(same, "{lease} of {duid:?} is {holder:?}'s");
        }
        holders.insert(lease.addr, (last, duid.to_vec()));
    }

    fn give_back(&self, lease: Lease) {
        self.0.lock().unwrap().remove(&lease.addr);
    }
}

/// What a thread is told.
enum Order {
    Begin(Arc<Model>),
    /// To switch with the other one.
    Switch,
    Stop,
}

/// A generator that is good enough to disorder two threads (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

struct Thread<'t> {
    worker: Worker,
    clients: Vec<[u8; 14]>,
    dice: Dice,
    holders: &'t Holders,
    gate: &'t Barrier,
    walked: Sender<()>,
    told: bool,
    answers: u64,
}

impl Thread<'_> {
    fn run(mut self, orders: &Receiver<Order>) -> u64 {
        loop {
            match orders.try_recv() {
                Ok(Order::Begin(next)) => {
                    self.worker.begin(&next);
                    self.told = false;
                }
                Ok(Order::Switch) => self.switch(),
                Ok(Order::Stop) => break,
                Err(_) => {}
            }
            self.message();
            if self.dice.roll(COMMIT_EVERY) == 0 {
                self.commit();
            }
            self.worker.walk(4);
            let walked = |(_, at, _): &(Handover, usize, u32)| *at == self.worker.shards.len();
            if !self.told && self.worker.handover.as_ref().is_some_and(walked) {
                self.told = true;
                self.walked.send(()).unwrap();
            }
        }
        self.commit();
        self.answers
    }

    fn switch(&mut self) {
        self.commit();
        assert!(self.worker.is_ready());
        self.gate.wait();
        let (handover, ..) = self.worker.handover.take().unwrap();
        self.worker.model = Arc::clone(handover.next());
    }

    fn commit(&mut self) {
        // Given back in the oracle first: whoever takes it next says so after that.
        for (id, lease) in &self.worker.pending {
            let shard = self.worker.shards.iter().find(|shard| shard.id() == *id);
            if !shard.unwrap().holds(*lease) {
                self.holders.give_back(*lease);
            }
        }
        self.worker.commit();
    }

    fn message(&mut self) {
        let duid = self.clients[self.dice.roll(self.clients.len() as u64) as usize];
        let msg_type = [1, 3, 3, 3, 5, 8, 8][self.dice.roll(7) as usize];
        let (na, pd) = (self.dice.roll(3) > 0, self.dice.roll(3) > 0);
        let held = bindings_of(&self.worker.shards);
        let payload = octets(&held, &duid, msg_type, na, pd);
        let ingress = Ingress {
            payload: &payload,
            interface: InterfaceId(0),
            source: "fe80::1".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        };
        let parsed = parse(&ingress).unwrap();
        let Worker {
            model,
            shards,
            pending,
            handover,
        } = &mut self.worker;
        let shard = shards
            .iter_mut()
            .find(|shard| shard.id() == parsed.shard(model));
        let context = Context::alone(model, AbsTime(1_000));
        let mut out = [0; 1400];
        let holders = self.holders;
        answer(&context, shard.unwrap(), &parsed, &mut out, &mut |delta| {
            if let BindingDelta::Put { record, .. } = delta {
                holders.take(record.lease, record.duid.octets());
            }
            Worker::record(pending, handover, delta);
        });
        self.answers += 1;
    }
}

#[test]
fn two_threads_never_give_one_lease_twice_while_models_follow_each_other() {
    let model = Arc::new(builder(0).build().unwrap());
    let (holders, gate) = (Holders::default(), Barrier::new(WORKERS));
    let (walked, walks) = channel();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..WORKERS)
            .map(|index| {
                let (order, orders) = channel();
                let thread = Thread {
                    worker: Worker::new(index, &model),
                    clients: clients_of(index),
                    dice: Dice(0x9e37_79b9 + index as u64),
                    holders: &holders,
                    gate: &gate,
                    walked: walked.clone(),
                    told: false,
                    answers: 0,
                };
                (order, scope.spawn(move || thread.run(&orders)))
            })
            .collect();
        // So that it ends if a thread fails.
        drop(walked);
        let mut model = model;
        let mut dice = Dice(7);
        for _ in 0..RELOADS {
            let number = dice.roll(MODELS as u64) as usize;
            let next = Arc::new(builder(number).build_successor(&model).unwrap());
            let tell = |order: &dyn Fn() -> Order| {
                // A thread that failed is told of by its join.
                threads.iter().for_each(|(to, _)| drop(to.send(order())));
            };
            tell(&|| Order::Begin(Arc::clone(&next)));
            if (0..WORKERS).any(|_| walks.recv().is_err()) {
                break;
            }
            tell(&|| Order::Switch);
            model = next;
        }
        for (order, thread) in threads {
            let _ = order.send(Order::Stop);
            assert!(thread.join().unwrap() > RELOADS as u64);
        }
    });
    assert!(
        !holders.0.into_inner().unwrap().is_empty(),
        "leases were given"
    );
}

/// Clients of the worker's own shards.
fn clients_of(index: usize) -> Vec<[u8; 14]> {
    let own = |duid: &[u8; 14]| usize::from(wire::shard_of(duid).0) % WORKERS == index;
    (0..=u8::MAX)
        .map(duid)
        .filter(own)
        .take(usize::from(CLIENTS_EACH))
        .collect()
}
