//! Status and bindings for people: what a terminal shows where `--json` is not given.

pub mod failover;
mod table;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::status::{
    ConfigReport, InterfaceReport, JournalReport, PoolReport, StatusReport, WorkerReport,
};
use super::subscriber;
use super::view::{BindingView, Moment};
use table::Table;

/// Most pools shown, the fullest first: what concerns an operator of 10,000 links fits a screen.
const POOLS_MAX: usize = 40;

/// Shows the whole server: `format!("{}", Status(&report))`.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a>(pub &'a StatusReport);

impl Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let up = span(report.uptime_secs);
        writeln!(f, "twinlease {}, up {up}", report.version)?;
        writeln!(f, "server DUID {}", report.server_duid)?;
        config(f, &report.config)?;
        interfaces(f, &report.interfaces)?;
        workers(f, &report.workers, report.uptime_secs)?;
        failover::section(f, &report.failover)?;
        pools(f, &report.pools)?;
        journal(f, &report.journal)?;
        let mut drops = BTreeMap::new();
        for (reason, count) in report.workers.iter().flat_map(|w| &w.counters.drops) {
            *drops.entry(reason.as_str()).or_insert(0) += count;
        }
        counts(f, "drops", drops.into_iter())?;
        let verdicts = report.xdp.iter();
        counts(
            f,
            "XDP verdicts",
            verdicts.map(|(verdict, count)| (verdict.as_str(), *count)),
        )
    }
}

/// Which config is in force; a refused reload is told in full, because nothing of it is in force.
fn config(f: &mut fmt::Formatter<'_>, config: &ConfigReport) -> fmt::Result {
    writeln!(f, "config {}, since {}", config.file, config.applied.utc)?;
    let refused = config.last_reload.as_ref().filter(|last| !last.applied);
    let Some(refused) = refused else {
        return Ok(());
    };
    writeln!(
        f,
        "  REFUSED at {}, the former one is in force:",
        refused.at.utc
    )?;
    refused
        .faults
        .iter()
        .try_for_each(|fault| writeln!(f, "  {fault}"))
}

fn interfaces(f: &mut fmt::Formatter<'_>, interfaces: &[InterfaceReport]) -> fmt::Result {
    writeln!(f, "\ninterfaces")?;
    let mut table = Table::new(["name", "rung", "queues"]);
    for interface in interfaces {
        let queues = interface.queues.to_string();
        table.row([interface.name.clone(), interface.rung.clone(), queues]);
    }
    table.fmt(f)?;
    for interface in interfaces {
        for refused in &interface.refused {
            writeln!(f, "  {}: not higher: {refused}", interface.name)?;
        }
    }
    Ok(())
}

fn workers(f: &mut fmt::Formatter<'_>, workers: &[WorkerReport], up_secs: u64) -> fmt::Result {
    writeln!(f, "\nworkers")?;
    let mut table = Table::new([
        "core",
        "idle",
        "shards",
        "busy",
        "bindings",
        "from-xdp",
        "from-socket",
        "per-second",
        "replies",
        "drops",
        "handed-out",
        "handed-in",
        "held",
        "expired",
    ]);
    for worker in workers {
        let counters = &worker.counters;
        let received = counters.received_xdp + counters.received_socket;
        table.row([
            worker.core.to_string(),
            worker.idle.clone(),
            worker.shards.to_string(),
            percent(
                counters.busy_ns,
                counters.busy_ns.saturating_add(counters.idle_ns),
            ),
            counters.bindings.to_string(),
            counters.received_xdp.to_string(),
            counters.received_socket.to_string(),
            (received / up_secs.max(1)).to_string(),
            counters.replies.values().sum::<u64>().to_string(),
            counters.drops.values().sum::<u64>().to_string(),
            counters.handed_out.to_string(),
            counters.handed_in.to_string(),
            counters.held.to_string(),
            counters.expired.to_string(),
        ]);
    }
    table.fmt(f)
}

fn pools(f: &mut fmt::Formatter<'_>, pools: &[PoolReport]) -> fmt::Result {
    writeln!(f, "\npools")?;
    let mut fullest: Vec<_> = pools.iter().collect();
    if pools.len() > POOLS_MAX {
        let used = |pool: &PoolReport| {
            pool.size.saturating_sub(pool.free) as f64 / pool.size.max(1) as f64
        };
        fullest.sort_by(|a, b| used(b).total_cmp(&used(a)));
    }
    let mut table = Table::new([
        "link", "kind", "range", "size", "bound", "reserved", "free", "used",
    ]);
    for pool in fullest.iter().take(POOLS_MAX) {
        table.row([
            pool.link.clone(),
            pool.kind.clone(),
            range(pool),
            amount(pool.size),
            pool.bound.to_string(),
            pool.reserved.to_string(),
            amount(pool.free),
            percent(pool.bound, pool.size.saturating_sub(pool.reserved)),
        ]);
    }
    table.fmt(f)?;
    if let Some(more) = pools.len().checked_sub(POOLS_MAX).filter(|more| *more > 0) {
        writeln!(f, "  and {more} less full; --json shows all")?;
    }
    Ok(())
}

fn range(pool: &PoolReport) -> String {
    let mut text = pool.range.clone();
    if let Some(lengths) = pool.lengths {
        text += &format!(" in /{}s", lengths.longest);
        if let Some(free) = lengths.shortest_free {
            text += &format!(", free from /{free}");
        }
    }
    if !pool.classes.is_empty() {
        text += &format!(" for class {}", pool.classes.join(", "));
    }
    text
}

fn journal(f: &mut fmt::Formatter<'_>, journal: &JournalReport) -> fmt::Result {
    writeln!(f, "\njournal")?;
    match &journal.failing {
        None => writeln!(f, "  ok")?,
        Some(reason) => writeln!(f, "  FAILING, nothing is acknowledged: {reason}")?,
    }
    let snapshot = if journal.snapshot_running {
        ", a snapshot is being written"
    } else {
        ""
    };
    let (lsn, segments) = (journal.lsn, journal.segments);
    writeln!(f, "  lsn {lsn}, {segments} segments{snapshot}")?;
    let (p50, p99) = (journal.commit_p50_us, journal.commit_p99_us);
    writeln!(f, "  commit: median {p50} µs, 99th percentile {p99} µs")
}

/// Those that are not 0, or `none`.
fn counts<'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    counts: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    let mut counts = counts.filter(|(_, count)| *count > 0).peekable();
    if counts.peek().is_none() {
        return writeln!(f, "  none");
    }
    counts.try_for_each(|(name, count)| writeln!(f, "  {count:>12}  {name}"))
}

/// The head of a list of bindings.
pub fn lease_header() -> String {
    columns(["LEASE", "STATUS", "EXPIRES", "LINK", "IAID", "DUID"])
}

/// One line of a list; columns have fixed widths, since a list is never seen as a whole.
pub fn lease_row(lease: &BindingView) -> String {
    let iaid = format!("{:08x}", lease.iaid);
    let BindingView {
        lease,
        status,
        expires,
        link,
        duid,
        ..
    } = lease;
    columns([lease, status, &expires.utc, link, &iaid, duid])
}

fn columns(cells: [&str; 6]) -> String {
    let [lease, status, expires, link, iaid, duid] = cells;
    format!("{lease:<39}  {status:<12}  {expires:<20}  {link:<16}  {iaid:<8}  {duid}")
}

/// Everything known of one binding, a line each.
pub fn lease_details(lease: &BindingView) -> String {
    let moment = |m: &Moment| format!("{} ({} s since 2000)", m.utc, m.secs_since_2000);
    let lifetime = |secs: u32| match secs {
        u32::MAX => "infinite".to_owned(),
        _ => format!("{secs} s"),
    };
    let mut lines = vec![
        ("lease", lease.lease.clone()),
        ("kind", lease.kind.clone()),
        ("status", lease.status.clone()),
        ("duid", lease.duid.clone()),
        ("iaid", format!("{:08x} ({})", lease.iaid, lease.iaid)),
    ];
    if !lease.subscriber.is_empty() {
        let key = subscriber::parse(&lease.subscriber);
        let shown = key.map(|key| subscriber::readable(&key));
        lines.push((
            "subscriber",
            shown.unwrap_or_else(|_| lease.subscriber.clone()),
        ));
        lines.push(("subscriber IA", lease.subscriber_ia.to_string()));
    }
    lines.extend([
        ("link", lease.link.clone()),
        ("pool", lease.pool.clone()),
        ("reserved", lease.reserved.clone()),
        ("preferred", lifetime(lease.preferred_secs)),
        ("valid", lifetime(lease.valid_secs)),
        ("cltt", moment(&lease.cltt)),
        ("status since", moment(&lease.status_since)),
        ("expires", moment(&lease.expires)),
    ]);
    lines.retain(|(_, value)| !value.is_empty());
    if let Some(partner) = &lease.partner {
        let acked = if partner.unacked { "no" } else { "yes" };
        lines.push(("acked", acked.into()));
        let times = [
            ("partner-lifetime", &partner.partner_lifetime),
            ("acked-partner-lifetime", &partner.acked_partner_lifetime),
            ("expiration-time", &partner.expiration_time),
            ("partner-raw-clt-time", &partner.partner_raw_clt_time),
        ];
        let known = times
            .into_iter()
            .filter_map(|(name, time)| Some((name, moment(time.as_ref()?))));
        lines.extend(known);
    }
    if lease.accepts_reconfigure {
        lines.push(("reconfigure", "accepted".into()));
    }
    if !lease.via.is_empty() {
        lines.push(("via", lease.via.clone()));
    }
    let width = lines
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0)
        .max(12);
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// A count of leases; those of a whole /64 are not printed digit by digit.
fn amount(count: u64) -> String {
    match count {
        u64::MAX => "≥ 2^64".into(),
        0..10_000_000_000 => count.to_string(),
        _ => format!("{:.1e}", count as f64),
    }
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".into(),
        _ => format!("{:.1}%", part as f64 / whole as f64 * 100.0),
    }
}

fn span(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{minutes} min {} s", secs % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::WorkerCounters;

    fn pool(link: String, bound: u64) -> PoolReport {
        PoolReport {
            link,
            kind: "address".into(),
            range: "2001:db8::/64".into(),
            classes: Vec::new(),
            lengths: None,
            size: 1000,
            bound,
            reserved: 10,
            free: 990 - bound,
        }
    }

    #[test]
    fn an_operator_sees_what_matters() {
        let counters = WorkerCounters::new(["malformed", "no-link"]);
        counters.drops.of(0).add(7);
        counters.received_xdp.add(100);
        let mut report = StatusReport {
            version: "0.1.0".into(),
            uptime_secs: 10,
            interfaces: vec![InterfaceReport {
                name: "eth0".into(),
                rung: "copy".into(),
                refused: vec!["zero-copy: the driver has none".into()],
                queues: 4,
            }],
            workers: vec![WorkerReport {
                core: 3,
                idle: "sleep".into(),
                shards: 256,
                counters: counters.snapshot(),
            }],
            xdp: BTreeMap::from([("redirected".into(), 100), ("truncated".into(), 0)]),
            ..StatusReport::default()
        };
        report.journal.failing = Some("No space left on device".into());
        let shown = Status(&report).to_string();
        for part in [
            "up 10 s",
            "eth0: not higher: zero-copy: the driver has none",
            "           7  malformed",
            "         100  redirected",
            "FAILING, nothing is acknowledged: No space left on device",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        for part in ["no-link", "truncated"] {
            assert!(!shown.contains(part), "{part:?} is 0, but in\n{shown}");
        }
    }

    #[test]
    fn of_many_pools_the_fullest_are_shown() {
        let pools = (0..100).map(|n| pool(format!("link-{n}."), n * 9));
        let report = StatusReport {
            pools: pools.collect(),
            ..StatusReport::default()
        };
        let shown = Status(&report).to_string();
        assert!(
            shown.contains("link-99.") && !shown.contains("link-1."),
            "{shown}"
        );
        assert!(shown.contains("and 60 less full"), "{shown}");
    }
}
