//! Runs one after the other against one server: at a rate, or in search of the highest one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::client::{Numbering, Shuffled};
use super::drive::{Clock, Idle, drive};
use super::envelope::Relays;
use super::flow::{Flow, Kind, Load, Order, Plan};
use super::message::Wants;
use super::oracle::Book;
use super::port::Port;
use super::search::Search;
use super::tally::Tally;

/// Share of exchanges that may stay unanswered within a second at a rate that counts as borne.
pub const UNANSWERED_MAX: f64 = 0.001;
/// A generator that is behind by more than this has not offered the rate: the run ends.
const BEHIND_MAX: Duration = Duration::from_millis(500);
/// A generator that is behind by more than this at the end of a run has spread it over a longer time:
/// the rate was a lower one, though every exchange was answered. A stall before may be made up for.
const LATE_MAX: Duration = Duration::from_millis(25);
/// Length of a run in the search.
const SEARCH_RUN: Duration = Duration::from_millis(1_000);
/// Length and number of the runs that confirm what the search found.
const CONFIRM_RUN: Duration = Duration::from_millis(1_500);
const CONFIRM_RUNS: usize = 3;
/// Factor to the rate when the runs do not confirm it, and how often.
const STEP_DOWN: f64 = 0.95;
const STEPS_DOWN: usize = 8;
/// Ratio of too much to borne at which the search ends.
const PRECISION: f64 = 1.04;

/// Which clients take part in a run.
#[derive(Clone, Debug)]
pub enum Who {
    /// Such as were never there before.
    Fresh,
    /// Those of a range, scattered, again and again.
    Scattered(Range<u32>),
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Work {
    /// The kind of exchange.
    pub kind: Kind,
    /// Whose.
    pub who: Who,
}

/// What is offered: exchanges so often and so many, in times of a clock.
struct Offer<'w> {
    work: &'w Work,
    per_second: f64,
    total: u64,
    clock: Clock,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exchanges a second that were to begin.
    pub offered_per_s: f64,
    /// Seconds over which they were to.
    pub seconds: f64,
    /// What was counted.
    pub tally: Tally,
    /// The generator could not keep to its schedule; the run was ended.
    pub fell_behind: bool,
    /// What was lost on the way in at the generator, by name.
    pub drops: Vec<(&'static str, u64)>,
}

impl Outcome {
    /// Whether the rate was offered and borne.
    pub fn is_borne(&self) -> bool {
        let was_offered = u128::from(self.tally.last_late_ns) <= LATE_MAX.as_nanos();
        !self.fell_behind && was_offered && self.tally.unanswered_ratio() <= UNANSWERED_MAX
    }

    /// Exchanges a second that ended as they should.
    pub fn completed_per_s(&self) -> f64 {
        self.tally.completed as f64 / self.seconds
    }
}

/// The highest rate that was borne, and the runs that confirmed it.
#[derive(Clone, Debug)]
pub struct Maximum {
    /// Exchanges a second; 0 if none was borne.
    pub per_second: f64,
    /// The runs at that rate.
    pub runs: Vec<Outcome>,
    /// All rates tried in the search with their share of unanswered exchanges.
    pub tried: Vec<(f64, f64)>,
}

impl Maximum {
    /// The median over the runs of a figure, and its least and greatest value.
    pub fn spread(&self, figure: impl Fn(&Outcome) -> f64) -> (f64, f64, f64) {
        let mut values: Vec<f64> = self.runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        (at(last / 2), at(0), at(last))
    }
}

/// A port, the clients behind it, and what they were granted.
pub struct Session {
    port: Box<dyn Port + Send>,
    numbering: Numbering,
    wants: Wants,
    relays: Arc<Relays>,
    /// Everything granted in this session.
    pub book: Book,
    next_client: u32,
    server_duid: Vec<u8>,
    idle: Idle,
    progress: ProgressBar,
}

impl Session {
    /// Clients behind `relays`, or on the link if there are none.
    pub fn new(
        port: Box<dyn Port + Send>,
        numbering: Numbering,
        wants: Wants,
        relays: Relays,
    ) -> Self {
        Self {
            port,
            numbering,
            wants,
            relays: Arc::new(relays),
            book: Book::default(),
            next_client: 0,
            server_duid: Vec::new(),
            idle: Idle::Spin,
            progress: ProgressBar::hidden(),
        }
    }

    /// Shows on a terminal what goes on.
    pub fn with_progress(mut self) -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
        self.progress = ProgressBar::new_spinner();
        if let Ok(style) = style {
            self.progress.set_style(style);
        }
        self
    }

    /// Leaves the core to others while there is nothing to send.
    pub fn sleep_when_idle(&mut self) {
        self.idle = Idle::Sleep;
    }

    /// Begins the numbers of fresh clients here.
    pub fn begin_at(&mut self, client: u32) {
        self.next_client = client;
    }

    /// Tells the server's DUID, for a session that begins with a Renew or a Release.
    pub fn set_server_duid(&mut self, duid: &[u8]) {
        self.server_duid = duid.to_vec();
    }

    /// Clients that have been numbered.
    pub fn clients(&self) -> Range<u32> {
        0..self.next_client
    }

    /// What every run of these clients has in common.
    pub fn plan(&self, kind: Kind, order: Order) -> Plan {
        Plan {
            kind,
            numbering: self.numbering,
            wants: self.wants,
            order,
            relays: Arc::clone(&self.relays),
        }
    }

    /// Gives the port and the book to a load of another kind.
    pub fn parts(&mut self) -> (&mut (dyn Port + Send), &mut Book) {
        (self.port.as_mut(), &mut self.book)
    }

    /// Offers a rate for a time. What is left in the port from before is thrown away first.
    pub fn run(&mut self, work: &Work, per_second: f64, time: Duration) -> Outcome {
        let total = (per_second * time.as_secs_f64()).ceil().max(1.0) as u64;
        let behind_max = (per_second * BEHIND_MAX.as_secs_f64()) as u64 + 1;
        let offer = Offer {
            work,
            per_second,
            total,
            clock: Clock::start(),
        };
        let mut fell_behind = false;
        let mut outcome = self.offer(offer, false, &mut |flow, now_ns| {
            fell_behind |= flow.behind(now_ns) > behind_max;
            !fell_behind && !lab::interrupted()
        });
        outcome.fell_behind = fell_behind;
        outcome.seconds = total as f64 / per_second;
        outcome
    }

    /// Offers a rate beside something else, by its clock, until `goes_on` says no, which is asked a
    /// few times a second; then waits for what has begun. Clients turn to whichever server
    /// advertises. A generator that falls behind goes on: what it could not begin in time counts
    /// as late.
    pub fn run_beside(
        &mut self,
        work: &Work,
        per_second: f64,
        clock: Clock,
        goes_on: &mut dyn FnMut(&Tally, u64) -> bool,
    ) -> Outcome {
        let offer = Offer {
            work,
            per_second,
            total: u64::from(u32::MAX - self.next_client),
            clock,
        };
        self.offer(offer, true, &mut |flow, now_ns| {
            if lab::interrupted() {
                return false;
            }
            if !flow.is_ending() && !goes_on(flow.tally(), now_ns) {
                flow.end_now(now_ns);
            }
            true
        })
    }

    fn offer(
        &mut self,
        offer: Offer<'_>,
        follows: bool,
        goes_on: &mut dyn FnMut(&mut Flow<'_>, u64) -> bool,
    ) -> Outcome {
        let Offer {
            work,
            per_second,
            total,
            clock,
        } = offer;
        let order = match &work.who {
            Who::Fresh => Order::From(self.next_client),
            Who::Scattered(range) => Order::Shuffled(Shuffled::new(range.clone())),
        };
        let plan = self.plan(work.kind, order);
        self.port.receive(usize::MAX, &mut |_| {});
        let before = self.port.drops();
        let duid = std::mem::take(&mut self.server_duid);
        let mut flow = Flow::new(plan, 0, per_second, total, &mut self.book, &duid);
        if follows {
            flow = flow.following();
        }
        let progress = &self.progress;
        let mut observe = |flow: &mut Flow<'_>, now_ns: u64| {
            let tally = flow.tally();
            let (begun, completed) = (tally.begun, tally.completed);
            progress.set_message(format!(
                "{per_second:.0}/s offered, {begun} begun, {completed} completed"
            ));
            progress.tick();
            goes_on(flow, now_ns)
        };
        let mut flow = flow.beginning_at(clock.now_ns());
        drive(
            self.port.as_mut(),
            &mut flow,
            clock,
            self.idle,
            &mut observe,
        );
        self.server_duid = flow.server_duid().to_vec();
        let tally = flow.tally().clone();
        if matches!(work.who, Who::Fresh) {
            self.next_client += tally.begun as u32;
        }
        let after = self.port.drops().into_iter().zip(before);
        Outcome {
            offered_per_s: per_second,
            seconds: tally.begun as f64 / per_second,
            tally,
            fell_behind: false,
            drops: after
                .map(|((name, now), (_, before))| (name, now - before))
                .collect(),
        }
    }

    /// Asks again and again, at `per_second`, until the first exchange ends as it should; how long
    /// after the beginning of `clock` that was, or `None` if it was not within `limit`.
    pub fn first_answer(
        &mut self,
        work: &Work,
        per_second: f64,
        clock: Clock,
        limit: Duration,
    ) -> Option<Duration> {
        let offer = Offer {
            work,
            per_second,
            total: (per_second * limit.as_secs_f64()) as u64,
            clock,
        };
        let outcome = self.offer(offer, false, &mut |flow, _| {
            !lab::interrupted() && flow.tally().first_completed_ns.is_none()
        });
        outcome.tally.first_completed_ns.map(Duration::from_nanos)
    }

    /// Searches for the highest rate that is borne, from `from` on: to within a factor of `precision`,
    /// and unconfirmed.
    pub fn search(&mut self, work: &Work, from: f64, precision: f64) -> Maximum {
        // Tables, caches and the neighbour's address are there when it counts.
        self.run(work, from / 4.0, SEARCH_RUN / 2);
        let mut search = Search::new(from, precision);
        let mut tried = Vec::new();
        while let Some(rate) = search.next_rate() {
            let outcome = self.run(work, rate, SEARCH_RUN);
            tried.push((rate, outcome.tally.unanswered_ratio()));
            search.tried(outcome.is_borne());
        }
        Maximum {
            per_second: search.best().unwrap_or(0.0),
            runs: Vec::new(),
            tried,
        }
    }

    /// As [`search`](Self::search), and confirms it.
    pub fn maximum(&mut self, work: &Work, from: f64) -> Maximum {
        let mut maximum = self.search(work, from, PRECISION);
        for _ in 0..STEPS_DOWN {
            if maximum.per_second == 0.0 {
                break;
            }
            let rate = maximum.per_second;
            maximum.runs = (0..CONFIRM_RUNS)
                .map(|_| self.run(work, rate, CONFIRM_RUN))
                .collect();
            let borne = maximum.runs.iter().filter(|run| run.is_borne()).count();
            if borne * 2 > CONFIRM_RUNS {
                return maximum;
            }
            maximum.per_second *= STEP_DOWN;
        }
        maximum.per_second = 0.0;
        maximum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_the_generator_did_not_keep_to_is_not_borne() {
        let ended = |last_late_ms: u64| {
            let mut tally = Tally::default();
            (tally.begun, tally.completed) = (1_000_000, 1_000_000);
            tally.last_late_ns = last_late_ms * 1_000_000;
            Outcome {
                offered_per_s: 1e6,
                seconds: 1.0,
                tally,
                fell_behind: false,
                drops: Vec::new(),
            }
        };
        assert!(ended(25).is_borne());
        assert!(!ended(26).is_borne());
    }
}
