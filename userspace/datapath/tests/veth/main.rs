//! The ports over a veth pair: datagrams of a peer's kernel in, answers out and back to it.
//!
//! Every test has namespaces of its own and two workers. The peer is an ordinary UDP socket, so an
//! answer counts only if the kernel finds its headers and checksum right. Needs root; says so
//! otherwise.

mod link;
mod packet;

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use datapath::{Datagram, InterfaceId, IoMode, PathId, Reply, ReplyTo, Tx, WorkerIo, lost_frames};
use lab::{Lab, wait_until};
use wire::eth::{TPID_CUSTOMER, TPID_SERVICE};
use wire::udp::{CLIENT_PORT, SERVER_PORT};
use wire::{Frame, SHARDS, VlanTag, VlanTags, shard_of};

use link::{
    ADVERTISE, ALL_SERVERS, Link, PATIENCE, Peer, WORKERS, answer_to, long_solicit, solicit,
};
use packet::{PacketSocket, tagged};

/// A burst that neither a veth's ring of 256 nor the peer's socket drops.
const BURST: usize = 64;

/// Owners by shard such that no rule of thumb, and no single bit of the hash, gives them.
fn mixed_owners() -> [u8; SHARDS] {
    core::array::from_fn(|shard| u8::from(shard * 7 % 13 < 6))
}

/// Echoes a datagram as an Advertise, in `len` octets; without a free frame it is dropped.
fn answer(tx: &mut Tx, datagram: &Datagram<'_>, len: usize) {
    let Some(mut reply) = tx.reserve(&datagram.reply_to) else {
        return;
    };
    let payload = tx.payload_mut(&mut reply);
    payload[..len].fill(0x5a);
    payload[..datagram.payload.len()].copy_from_slice(datagram.payload);
    payload[0] = ADVERTISE;
    tx.send(reply, len);
}

/// One turn of a worker that echoes every datagram so often.
fn echo(io: &mut WorkerIo, copies: usize, seen: &mut impl FnMut(&Datagram<'_>)) {
    let WorkerIo { rx, tx, .. } = io;
    rx.poll(64, &mut |datagrams| {
        for datagram in datagrams {
            seen(datagram);
            for _ in 0..copies {
                answer(tx, datagram, datagram.payload.len());
            }
        }
    });
    io.settle();
}

/// Gives every worker a thread that calls `turn` with its number until `work` is done.
fn with_workers(
    ios: Vec<WorkerIo>,
    turn: impl Fn(usize, &mut WorkerIo, &AtomicBool) + Sync,
    work: impl FnOnce() -> Result<()>,
) -> Result<Vec<WorkerIo>> {
    let stop = AtomicBool::new(false);
    let wakers: Vec<_> = ios.iter().map(|io| io.waker().clone()).collect();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (worker, mut io) in ios.into_iter().enumerate() {
            let (stop, turn) = (&stop, &turn);
            threads.push(scope.spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    turn(worker, &mut io, stop);
                }
                io
            }));
        }
        let done = work();
        stop.store(true, Ordering::Release);
        wakers.iter().for_each(|waker| waker.wake());
        let joined = threads.into_iter().map(|thread| {
            let joined = thread.join();
            joined.map_err(|_| anyhow!("a worker panicked"))
        });
        let ios = joined.collect::<Result<_>>()?;
        done.map(|()| ios)
    })
}

/// What a worker saw of a datagram.
struct Seen {
    worker: usize,
    payload: Vec<u8>,
    interface: InterfaceId,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    reply_to: ReplyTo,
}

impl Seen {
    fn new(worker: usize, datagram: &Datagram<'_>) -> Self {
        Self {
            worker,
            payload: datagram.payload.to_vec(),
            interface: datagram.interface,
            source: datagram.source,
            destination: datagram.destination,
            reply_to: datagram.reply_to,
        }
    }
}

/// Lets the workers take turns in this thread until one has a datagram, and answers it in `len`
/// octets.
fn next(ios: &mut [WorkerIo], len: usize) -> Result<Seen> {
    wait_until("a datagram", PATIENCE, || {
        let mut seen = None;
        for (worker, io) in ios.iter_mut().enumerate() {
            let WorkerIo { rx, tx, .. } = io;
            rx.poll(1, &mut |datagrams| {
                for datagram in datagrams {
                    seen = Some(Seen::new(worker, datagram));
                    answer(tx, datagram, len);
                }
            });
            io.settle();
        }
        Ok(seen)
    })
}

/// Every frame or buffer that the worker has left for that way.
fn reserve_all(tx: &mut Tx, to: &ReplyTo) -> Vec<Reply> {
    core::iter::from_fn(|| tx.reserve(to)).collect()
}

fn discard_all(tx: &mut Tx, replies: Vec<Reply>) -> usize {
    let count = replies.len();
    for reply in replies {
        tx.discard(reply);
    }
    count
}

/// How many answers each worker can have in the making on that way.
fn stocks(ios: &mut [WorkerIo], to: &ReplyTo) -> Vec<usize> {
    let count = |io: &mut WorkerIo| {
        let replies = reserve_all(&mut io.tx, to);
        discard_all(&mut io.tx, replies)
    };
    ios.iter_mut().map(count).collect()
}

/// Waits until the kernel has given back every frame.
fn expect_stocks(ios: &mut [WorkerIo], to: &ReplyTo, whole: &[usize]) -> Result<()> {
    let mut last = Vec::new();
    let became_whole = wait_until("whole stocks", PATIENCE, || {
        for io in ios.iter_mut() {
            io.settle();
        }
        last = stocks(ios, to);
        Ok((last == whole).then_some(()))
    });
    became_whole.with_context(|| format!("{last:?} of {whole:?} frames are there"))?;
    ensure!(lost_frames() == 0, "frames were dropped in hand");
    Ok(())
}

/// Runs a test that needs AF_XDP.
fn run_xdp(test: impl FnOnce(&mut Lab) -> Result<()>) {
    if datapath::xdp::available() {
        lab::run(test);
    } else {
        skip();
    }
}

#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
fn skip() {
    println!("skipped: built without the XDP program (cargo xtask setup)");
}

fn every_client_is_heard_by_its_worker_and_answered(
    lab: &mut Lab,
    io: IoMode,
    queues: usize,
) -> Result<()> {
    const CLIENTS: u32 = 200;
    let link = Link::new(lab, queues)?;
    let owner = mixed_owners();
    let (_datapath, ios) = link.open(io, &owner)?;
    let peer = Peer::new(&link.peer, "eth0")?;
    let seen = Mutex::new(Vec::new());
    let turn = |worker: usize, io: &mut WorkerIo, stop: &AtomicBool| {
        echo(io, 1, &mut |datagram| {
            let mut seen = seen.lock().expect("no worker panicked");
            seen.push(Seen::new(worker, datagram));
        });
        io.wait(Duration::from_millis(50), || stop.load(Ordering::Acquire));
    };
    with_workers(ios, turn, || {
        for first in (0..CLIENTS).step_by(BURST) {
            let last = CLIENTS.min(first + BURST as u32);
            peer.exchange(first..last, link.server_address, 1)?;
        }
        Ok(())
    })?;
    let seen = seen.into_inner().expect("no worker panicked");
    ensure!(seen.len() == CLIENTS as usize, "{} datagrams", seen.len());
    for datagram in &seen {
        ensure!(datagram.source == peer.address, "{}", datagram.source);
        ensure!(datagram.destination == ALL_SERVERS);
        ensure!(datagram.interface == InterfaceId(0));
        let by_kernel = io == IoMode::Socket;
        ensure!(datagram.reply_to.is_kernel() == by_kernel);
        let shard = shard_of(&datagram.payload[8..]);
        let expected = usize::from(owner[usize::from(shard.0)]);
        ensure!(
            by_kernel || datagram.worker == expected,
            "shard {shard:?} of worker {expected} at worker {}",
            datagram.worker
        );
    }
    let paths: HashSet<PathId> = seen.iter().map(|seen| seen.reply_to.path()).collect();
    // Before the generic hook the kernel may count every packet of a veth to queue 0.
    let expected = if io == IoMode::Copy { queues } else { 1 };
    ensure!(paths.len() >= expected, "paths {paths:?}");
    Ok(())
}

#[test]
fn copy_with_one_queue() {
    run_xdp(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Copy, 1));
}

#[test]
fn copy_with_two_queues() {
    run_xdp(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Copy, 2));
}

#[test]
fn generic_with_one_queue() {
    run_xdp(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Generic, 1));
}

#[test]
fn generic_with_two_queues() {
    run_xdp(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Generic, 2));
}

#[test]
fn socket_with_one_queue() {
    lab::run(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Socket, 1));
}

#[test]
fn socket_with_two_queues() {
    lab::run(|lab| every_client_is_heard_by_its_worker_and_answered(lab, IoMode::Socket, 2));
}

/// Bursts to two workers on one queue, of which worker 0 has the rings that exist once.
struct Bursts {
    datagrams: u32,
    burst: usize,
    /// Answers to each datagram.
    copies: usize,
    /// All clients belong to worker 1, and worker 0 sleeps unless it is woken.
    owner_sleeps: bool,
}

impl Bursts {
    /// Every datagram is heard and every answer arrives, without a drop in the kernel, and at the
    /// end every frame is back.
    fn lose_nothing(&self, lab: &mut Lab) -> Result<()> {
        let link = Link::new(lab, 1)?;
        let owner = if self.owner_sleeps {
            [1; SHARDS]
        } else {
            mixed_owners()
        };
        let (datapath, mut ios) = link.open(IoMode::Copy, &owner)?;
        let peer = Peer::new(&link.peer, "eth0")?;
        let first = solicit(self.datagrams);
        peer.send(self.datagrams, ALL_SERVERS, &first)?;
        let to = next(&mut ios, first.len())?.reply_to;
        ensure!(peer.receive(link.server_address)? == answer_to(&first));
        expect_stocks(&mut ios, &to, &[4096; WORKERS])?;

        let heard = AtomicU32::new(0);
        let turn = |worker: usize, io: &mut WorkerIo, stop: &AtomicBool| {
            let timeout = if self.owner_sleeps && worker == 0 {
                io.settle();
                Duration::from_secs(30)
            } else {
                echo(io, self.copies, &mut |_| {
                    heard.fetch_add(1, Ordering::Relaxed);
                });
                Duration::from_millis(50)
            };
            io.wait(timeout, || stop.load(Ordering::Acquire));
        };
        let mut ios = with_workers(ios, turn, || {
            for first in (0..self.datagrams).step_by(self.burst) {
                let last = self.datagrams.min(first + self.burst as u32);
                peer.exchange(first..last, link.server_address, self.copies)
                    .with_context(|| format!("in the burst after {first} datagrams"))?;
                wait_until(&format!("datagram {last}"), PATIENCE, || {
                    Ok((heard.load(Ordering::Relaxed) == last).then_some(()))
                })?;
            }
            Ok(())
        })?;
        let drops = &datapath.status()[0].kernel_drops;
        ensure!(drops.values().all(|count| *count == 0), "{drops:?}");
        expect_stocks(&mut ios, &to, &[4096; WORKERS])
    }
}

#[test]
fn bursts_through_two_workers_lose_no_frame() {
    // Several times the 4096 frames of the receive stock and of each transmit stock.
    let bursts = Bursts {
        datagrams: 20_000,
        burst: BURST,
        copies: 1,
        owner_sleeps: false,
    };
    run_xdp(|lab| bursts.lose_nothing(lab));
}

#[test]
fn guest_does_not_starve_while_the_queues_owner_sleeps() {
    let bursts = Bursts {
        datagrams: 20_000,
        burst: BURST,
        copies: 1,
        owner_sleeps: true,
    };
    run_xdp(|lab| bursts.lose_nothing(lab));
}

#[test]
fn guest_that_only_receives_wakes_the_sleeping_owner() {
    let bursts = Bursts {
        datagrams: 9_000,
        burst: BURST,
        copies: 0,
        owner_sleeps: true,
    };
    run_xdp(|lab| bursts.lose_nothing(lab));
}

#[test]
fn guest_that_mostly_sends_wakes_the_sleeping_owner() {
    // Too few datagrams for the received frames to be a reason to wake it.
    let bursts = Bursts {
        datagrams: 800,
        burst: 8,
        copies: 16,
        owner_sleeps: true,
    };
    run_xdp(|lab| bursts.lose_nothing(lab));
}

#[test]
fn held_replies_come_back_whether_sent_or_discarded() {
    run_xdp(|lab| {
        let link = Link::new(lab, 1)?;
        let (_datapath, mut ios) = link.open(IoMode::Copy, &mixed_owners())?;
        let peer = Peer::new(&link.peer, "eth0")?;
        peer.send(1, ALL_SERVERS, &solicit(1))?;
        let to = next(&mut ios, solicit(1).len())?.reply_to;
        let whole = [4096; WORKERS];
        expect_stocks(&mut ios, &to, &whole)?;
        // Worker 0 owns the COMPLETION ring, worker 1 gets its frames back from it.
        for worker in 0..WORKERS {
            let tx = &mut ios[worker].tx;
            let held = reserve_all(tx, &to);
            let none_left = tx.reserve(&to).map(|reply| tx.discard(reply)).is_none();
            ensure!(discard_all(tx, held) == whole[worker] && none_left);
            for mut reply in reserve_all(tx, &to) {
                let message = answer_to(&solicit(1));
                tx.payload_mut(&mut reply)[..message.len()].copy_from_slice(&message);
                tx.send(reply, message.len());
            }
            ensure!(tx.reserve(&to).map(|reply| tx.discard(reply)).is_none());
            expect_stocks(&mut ios, &to, &whole)?;
        }
        let sent: Vec<u64> = ios.iter().map(|io| io.counters().sent_xdp()).collect();
        ensure!(sent.iter().sum::<u64>() == 2 * 4096 + 1, "{sent:?}");
        Ok(())
    });
}

#[test]
fn held_replies_of_the_socket_are_bounded_and_come_back() {
    lab::run(|lab| {
        let link = Link::new(lab, 1)?;
        let (_datapath, mut ios) = link.open(IoMode::Socket, &mixed_owners())?;
        let peer = Peer::new(&link.peer, "eth0")?;
        peer.send(1, ALL_SERVERS, &solicit(1))?;
        let to = next(&mut ios, solicit(1).len())?.reply_to;
        let whole = stocks(&mut ios, &to);
        ensure!(whole.iter().all(|stock| *stock > 0), "{whole:?}");
        expect_stocks(&mut ios, &to, &whole)
    });
}

#[test]
fn datagrams_beyond_the_mtu_go_by_the_kernel_in_fragments() {
    run_xdp(|lab| {
        let link = Link::new(lab, 1)?;
        let (_datapath, mut ios) = link.open(IoMode::Copy, &mixed_owners())?;
        let peer = Peer::new(&link.peer, "eth0")?;

        let long = long_solicit(1, 5_000);
        peer.send(1, ALL_SERVERS, &long)?;
        let seen = next(&mut ios, long.len())?;
        ensure!(seen.reply_to.is_kernel() && seen.payload == long);
        ensure!((seen.source, seen.destination) == (peer.address, ALL_SERVERS));
        ensure!(peer.receive(link.server_address)? == answer_to(&long));

        let short = solicit(2);
        peer.send(2, ALL_SERVERS, &short)?;
        let seen = next(&mut ios, 1_700)?;
        ensure!(!seen.reply_to.is_kernel());
        let answer = peer.receive(link.server_address)?;
        ensure!(answer.len() == 1_700 && answer.starts_with(&answer_to(&short)));
        let by_socket: u64 = ios.iter().map(|io| io.counters().sent_socket()).sum();
        ensure!(by_socket == 2, "{by_socket} answers by the socket");
        expect_stocks(&mut ios, &seen.reply_to, &[4096; WORKERS])
    });
}

#[test]
fn address_added_later_is_served_by_xdp_once_refreshed() {
    run_xdp(|lab| {
        const ADDED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
        let link = Link::new(lab, 1)?;
        let (mut datapath, mut ios) = link.open(IoMode::Copy, &mixed_owners())?;
        let peer = Peer::new(&link.peer, "eth0")?;
        link.server.add_address("lan0", &format!("{ADDED}/64"))?;
        link.peer.add_address("eth0", "2001:db8:1::2/64")?;

        peer.send(1, ADDED, &solicit(1))?;
        let seen = next(&mut ios, solicit(1).len())?;
        ensure!(seen.reply_to.is_kernel() && seen.destination == ADDED);
        ensure!(peer.receive(ADDED)? == answer_to(&solicit(1)));

        link.server.inside(|| {
            datapath.refresh_addresses();
            Ok(())
        })?;
        peer.send(2, ADDED, &solicit(2))?;
        let seen = next(&mut ios, solicit(2).len())?;
        ensure!(!seen.reply_to.is_kernel() && seen.destination == ADDED);
        ensure!(peer.receive(ADDED)? == answer_to(&solicit(2)));
        Ok(())
    });
}

#[test]
fn answers_carry_the_tags_of_the_request() {
    run_xdp(|lab| {
        let link = Link::new(lab, 1)?;
        let (_datapath, mut ios) = link.open(IoMode::Copy, &mixed_owners())?;
        let socket = PacketSocket::open(&link.peer, "eth0", PATIENCE)?;
        let service = (TPID_SERVICE, 0x6007);
        let customer = (TPID_CUSTOMER, 0x2009);
        for tags in [&[customer][..], &[service, customer]] {
            let mut vlan = VlanTags::default();
            for &(tpid, tci) in tags {
                ensure!(vlan.push(VlanTag { tpid, tci }));
            }
            let (request, mac) = tagged(vlan)?;
            socket.send(&request)?;
            let seen = next(&mut ios, solicit(1).len())?;
            ensure!(seen.payload == solicit(1) && !seen.reply_to.is_kernel());
            let answer = wait_until("the answer's frame", PATIENCE, || {
                let frame = socket.receive()?;
                Ok(frame.starts_with(&mac).then_some(frame))
            })?;
            let answer = Frame::parse(&answer)?;
            answer.verify_checksum()?;
            ensure!(answer.vlan == vlan, "{:?}", answer.vlan);
            ensure!(answer.src == link.server_address.to_bits());
            ensure!((answer.src_port, answer.dst_port) == (SERVER_PORT, CLIENT_PORT));
            ensure!(answer.payload == answer_to(&solicit(1)));
        }
        Ok(())
    });
}
