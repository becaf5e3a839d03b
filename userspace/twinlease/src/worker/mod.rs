//! A worker: one pinned thread that owns shards, ports and a journal appender, and shares nothing.
//!
//! Each turn of its loop takes what there is in bounded batches, in a fixed order: datagrams, mail
//! from other threads, commits, the failover partner, leases whose time is up, a slice of a snapshot. Then it hands its
//! records to the journal, kicks its rings, and rests if the turn found nothing to do.
//!
//! The model changes between two decisions, in all workers together: see `handover.rs`.
//!
//! Invariant: a reply that tells a client of a change leaves only after the journal has committed
//! the change, and a position goes back to its pool only after the end of its binding is committed.

mod aside;
mod desk;
mod drops;
mod gate;
mod handover;
mod held;
mod inbox;
mod laps;
mod leeways;
mod listing;
mod operator;
mod partner;
mod reclaim;
mod reconfigure;
mod rest;
mod shards;
mod trace;

use aside::Aside;
pub use desk::Desk;
pub use drops::WorkerDrop;
pub use gate::Gate;
pub use handover::{BeginHandover, HandoverWalk, Switch};
pub use held::Held;
pub use inbox::{Inbox, Mail};
pub use leeways::Leeways;
pub use partner::{Partner, Transit};
pub use reclaim::ReclaimWalk;
pub use reconfigure::Awaited;
pub use shards::ShardSet;
pub use trace::Trace;

use crate::config::Idle;
use crate::control::command::Command;
use crate::counters::Stage;
use arrayvec::ArrayVec;
use datapath::WorkerIo;
use engine::BATCH_MAX;
use inbox::HandedOver;
use journal::Appender;
use laps::Laps;
use lease::AbsTime;
use rest::Rest;
use shards::SnapshotWalk;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Datagrams taken from the ports in one turn: enough to fill a group commit, few enough that mail
/// and commits are looked at every few tens of microseconds.
const RX_BATCH: usize = 64;
/// Letters read from the inbox in one turn.
const MAIL_BATCH: usize = 64;
/// Longest sleep: leases expire, and the clock is read, at least this often.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// Longest sleep while the snapshot's thread or the control thread catches up, which wake nobody, and
/// while something waits to be told the partner.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(1);
/// How much later than it asked for a sleeping worker may wake. To set the processor's timer for less
/// than the kernel's next tick, and to set it back when a packet ends the sleep, costs 5 µs of each
/// sleep in a virtual machine; what a worker sleeps shortly for has the time to wait for that tick.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(5_000_000).unwrap();
/// How long an orderly stop waits for the journal to commit what is held.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Packets from other workers that are answered together.
type Letters = ArrayVec<Box<HandedOver>, BATCH_MAX>;

/// What a worker is made of.
pub struct Worker {
    /// Everything that decides; the ports are apart so that a reply can be written while a received
    /// frame is borrowed.
    pub desk: Desk,
    /// This worker's sockets.
    pub io: WorkerIo,
    /// Where other threads leave mail.
    pub inbox: Arc<Inbox>,
    /// The logical CPU to run on; `None` leaves it to the kernel.
    pub core: Option<usize>,
    /// Whether journal and control may run there too.
    pub shares_core: bool,
    /// What to do when there is nothing to do.
    pub idle: Idle,
    /// Set to stop taking packets, commit and return.
    pub stop: Arc<AtomicBool>,
}

impl Worker {
    /// Runs until [`Worker::stop`] is set, then commits what is held and returns what may still have
    /// records on their way.
    pub fn run(mut self) -> Appender {
        if let Some(core) = self.core {
            pin(core);
        }
        // Where the kernel refuses, short sleeps cost more.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
        let mut rest = Rest::new(self.idle);
        let mut aside = Aside::new(Instant::now());
        let mut laps = Laps::new();
        let mut snapshot: Option<SnapshotWalk> = None;
        let mut counted_at = AbsTime(0);
        while !self.stop.load(Ordering::Relaxed) {
            let turn = Instant::now();
            laps.begin(turn);
            let now = now();
            self.desk.obey();
            self.desk.partner.pace.begin_turn(turn);
            let mut work = self.receive(now);
            laps.end(Stage::Receive);
            work += self.read_mail(now, &mut snapshot);
            laps.end(Stage::Mail);
            let delivered = self.desk.deliver_committed(&mut self.io.tx, now);
            work += delivered;
            laps.end(Stage::Deliver);
            work += self.desk.correspond(now);
            work += self.desk.expire(now);
            self.desk.reclaim(now);
            work += self.desk.feed(&mut snapshot);
            work += self.desk.continue_handover();
            laps.end(Stage::Chores);
            self.desk.submit();
            laps.end(Stage::Submit);
            self.io.settle();
            laps.end(Stage::Send);
            if counted_at != now {
                counted_at = now;
                self.desk.count_bindings();
                self.desk.submit_all();
            }
            let done = Instant::now();
            self.desk.count_turn(work, done.duration_since(turn));
            match work {
                0 => self.rest(&mut rest, snapshot.is_some(), done),
                _ => {
                    laps.count(&self.desk.counters.stages);
                    rest.worked(done);
                }
            }
            if self.shares_core {
                match self.desk.holds_replies() && delivered == 0 {
                    true => aside.look(done),
                    false => aside.begin_anew(done),
                }
            }
        }
        self.finish();
        self.desk.appender
    }

    fn rest(&mut self, rest: &mut Rest, snapshot: bool, since: Instant) {
        let Self {
            desk,
            io,
            inbox,
            stop,
            ..
        } = self;
        let is_soon = snapshot || desk.partner.is_blocked() || desk.partner.pace.waits();
        let at_most = match is_soon {
            true => SNAPSHOT_PAUSE,
            false => SLEEP_MAX,
        };
        let has_work = || {
            !inbox.is_empty() || desk.is_due() || desk.is_behind() || stop.load(Ordering::Relaxed)
        };
        rest.idle(io, at_most, has_work, since);
        desk.counters.idle_ns.add(since.elapsed().as_nanos() as u64);
    }

    fn receive(&mut self, now: AbsTime) -> usize {
        let Self { desk, io, .. } = self;
        let WorkerIo { rx, tx, .. } = io;
        rx.poll(RX_BATCH, &mut |datagrams| desk.take(tx, datagrams, now))
    }

    fn read_mail(&mut self, now: AbsTime, snapshot: &mut Option<SnapshotWalk>) -> usize {
        let mut read = 0;
        let mut letters = Letters::new();
        while read < MAIL_BATCH
            && let Some(mail) = self.inbox.take()
        {
            read += 1;
            // What else is in the mail is done after the letters before it.
            if letters.is_full() || !matches!(mail, Mail::HandedOver(_)) {
                self.answer_letters(&mut letters, now);
            }
            match mail {
                Mail::HandedOver(letter) => letters.push(letter),
                Mail::Snapshot(feed) => *snapshot = Some(SnapshotWalk::new(feed)),
                Mail::Command(Command::Reconfigure(order)) => {
                    self.desk.reconfigure(&self.io.tx, order, now);
                }
                Mail::Command(command) => self.desk.serve(command, now),
                Mail::BeginHandover(begin) => self.desk.begin_handover(*begin),
                Mail::Switch(switch) => self.desk.switch(*switch),
                Mail::AbandonHandover => self.desk.handover = None,
                Mail::Partner(mail) => self.desk.partner.take(*mail),
            }
        }
        self.answer_letters(&mut letters, now);
        read
    }

    fn answer_letters(&mut self, letters: &mut Letters, now: AbsTime) {
        self.desk.take_handed_over(&mut self.io.tx, letters, now);
        letters.clear();
    }

    /// Commits and sends what is held; packets still in the rings are left to the kernel to drop.
    fn finish(&mut self) {
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.desk.has_uncommitted() && Instant::now() < deadline {
            // A busy journal leaves records here until it has given a chunk back.
            self.desk.submit_all();
            self.desk.deliver_committed(&mut self.io.tx, now());
            self.io.tx.flush();
            std::thread::sleep(Duration::from_micros(200));
        }
        self.desk.deliver_committed(&mut self.io.tx, now());
        self.io.tx.flush();
    }
}

/// The time, as bindings have it.
pub(crate) fn now() -> AbsTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    AbsTime::from_unix_secs(now.tv_sec.max(0) as u64)
}

fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "worker not pinned");
    }
}
