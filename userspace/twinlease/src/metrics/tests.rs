//! The text is held against the OpenMetrics rules, line by line.

use std::collections::{BTreeMap, BTreeSet};

use engine::DropReason;
use proptest::prelude::*;

use super::*;
use crate::control::status::InterfaceReport;
use crate::counters::WorkerCounters;

/// The families with their kinds, and the samples by name and labels.
#[derive(Debug, Default)]
struct Parsed {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads what [`encode`] writes and accepts nothing else: HELP, TYPE, perhaps UNIT, then the
/// family's samples; no family and no sample twice; `# EOF` last and only there.
fn parse(text: &str) -> Result<Parsed, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no EOF at the end")?;
    let (mut parsed, mut family, mut kind, mut helps) =
        (Parsed::default(), String::new(), "", BTreeSet::new());
    for line in body.lines() {
        let wrong = |why: &str| Err(format!("{why}: {line}"));
        match line.split_once(' ') {
            Some(("#", rest)) => {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                let [keyword, name, said] = words[..] else {
                    return wrong("too few words");
                };
                match keyword {
                    "HELP" if said.ends_with('.') && helps.insert(name) => family = name.to_owned(),
                    "TYPE" if name == family => {
                        kind = said;
                        if parsed
                            .kinds
                            .insert(family.clone(), said.to_owned())
                            .is_some()
                        {
                            return wrong("a family twice");
                        }
                    }
                    "UNIT" if name == family && name.ends_with(&format!("_{said}")) => {}
                    _ => return wrong("unexpected"),
                }
            }
            Some(_) => {
                let (series, value) = line.rsplit_once(' ').ok_or("no value")?;
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let suffix = match kind {
                    "counter" => "_total",
                    "info" => "_info",
                    "gauge" => "",
                    _ => return wrong("a sample of no known kind"),
                };
                if name.strip_suffix(suffix) != Some(&family) || !is_name(name) {
                    return wrong("a sample that is not of its family");
                }
                let labels = labels.strip_suffix('}').ok_or("open labels")?;
                check_labels(labels).map_err(|why| format!("{why}: {line}"))?;
                let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
                if !value.is_finite() || value < 0.0 {
                    return wrong("a value that nothing here can have");
                }
                if parsed.samples.insert(series.to_owned(), value).is_some() {
                    return wrong("a series twice");
                }
            }
            None => return wrong("one word"),
        }
    }
    Ok(parsed)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// `key="value"` with commas between; in a value only `\\`, `\"` and `\n` are escapes.
fn check_labels(mut rest: &str) -> Result<(), &'static str> {
    let mut keys = BTreeSet::new();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once("=\"").ok_or("no value")?;
        if !is_name(key) || !keys.insert(key) {
            return Err("a label's name");
        }
        let mut characters = behind.char_indices();
        let end = loop {
            match characters.next().ok_or("an open value")? {
                (end, '"') => break end,
                (_, '\\') => match characters.next() {
                    Some((_, '\\' | '"' | 'n')) => {}
                    _ => return Err("an unknown escape"),
                },
                _ => {}
            }
        };
        rest = &behind[end + 1..];
        if let Some(next) = rest.strip_prefix(',').filter(|next| !next.is_empty()) {
            rest = next;
        } else if !rest.is_empty() {
            return Err("no comma");
        }
    }
    Ok(())
}

fn worker(core: usize) -> WorkerReport {
    let counters = WorkerCounters::new(DropReason::ALL.map(DropReason::as_str));
    counters.received_xdp.add(7);
    counters.received.of(1).add(5);
    counters.replies.of(2).add(4);
    counters.held.set(3);
    counters.busy_ns.add(1_500_000_000);
    WorkerReport {
        core,
        idle: "adaptive".into(),
        shards: 128,
        counters: counters.snapshot(),
    }
}

fn pool(number: usize, kind: &str) -> PoolReport {
    PoolReport {
        link: format!("bng-{number}"),
        kind: kind.into(),
        range: format!("2001:db8:{number:x}::/64"),
        classes: Vec::new(),
        lengths: None,
        size: u64::MAX,
        bound: 2,
        reserved: 1,
        free: u64::MAX - 3,
    }
}

fn report(pools: usize) -> StatusReport {
    let kinds = ["address", "prefix"].into_iter().cycle();
    StatusReport {
        version: "0.1.0".into(),
        uptime_secs: 60,
        interfaces: vec![InterfaceReport {
            name: "eth0".into(),
            rung: "copy".into(),
            refused: vec!["zero-copy: not supported".into()],
            queues: 2,
        }],
        xdp: BTreeMap::from([("redirected".into(), 9), ("not-dhcpv6".into(), 0)]),
        // One core may have two workers.
        workers: vec![worker(0), worker(0)],
        pools: (0..pools)
            .zip(kinds)
            .map(|(n, kind)| pool(n, kind))
            .collect(),
        ..StatusReport::default()
    }
}

#[test]
fn every_line_is_openmetrics_and_no_series_is_there_twice() {
    let parsed = parse(&encode(&report(3))).unwrap();
    for (series, value) in [
        ("twinlease_build_info{version=\"0.1.0\"}", 1.0),
        ("twinlease_uptime_seconds", 60.0),
        ("twinlease_healthy", 1.0),
        (
            "twinlease_interface_info{interface=\"eth0\",rung=\"copy\"}",
            1.0,
        ),
        ("twinlease_interface_queues{interface=\"eth0\"}", 2.0),
        ("twinlease_xdp_packets_total{reason=\"redirected\"}", 9.0),
        (
            "twinlease_received_datagrams_total{worker=\"1\",path=\"xdp\"}",
            7.0,
        ),
        (
            "twinlease_received_datagrams_total{worker=\"1\",path=\"socket\"}",
            0.0,
        ),
        (
            "twinlease_received_messages_total{worker=\"0\",message_type=\"solicit\"}",
            5.0,
        ),
        (
            "twinlease_replies_total{worker=\"0\",message_type=\"advertise\"}",
            4.0,
        ),
        ("twinlease_held_replies{worker=\"0\"}", 3.0),
        ("twinlease_worker_busy_seconds_total{worker=\"0\"}", 1.5),
        (
            "twinlease_worker_info{worker=\"1\",core=\"0\",idle=\"adaptive\"}",
            1.0,
        ),
        (
            "twinlease_pool_bound_leases{link=\"bng-2\",pool=\"2001:db8:2::/64\",kind=\"address\"}",
            2.0,
        ),
    ] {
        assert_eq!(parsed.samples.get(series), Some(&value), "{series}");
    }
    for (family, kind) in &parsed.kinds {
        assert!(family.starts_with("twinlease_"), "{family}");
        assert!(
            ["counter", "gauge", "info"].contains(&kind.as_str()),
            "{family} is {kind}"
        );
    }
    assert_eq!(parsed.kinds["twinlease_bindings"], "gauge");
    assert_eq!(parsed.kinds["twinlease_expired_bindings"], "counter");
}

#[test]
fn every_reason_to_drop_has_its_series_before_the_first_event() {
    let parsed = parse(&encode(&report(0))).unwrap();
    for worker in ["0", "1"] {
        for reason in DropReason::ALL {
            let series = format!(
                "twinlease_dropped_datagrams_total{{worker=\"{worker}\",reason=\"{}\"}}",
                reason.as_str()
            );
            assert_eq!(parsed.samples.get(&series), Some(&0.0), "{series}");
        }
    }
}

#[test]
fn a_failing_journal_is_not_healthy() {
    let mut report = report(0);
    report.journal.failing = Some("No space left on device".into());
    report.journal.commit_p99_us = 1_250;
    let parsed = parse(&encode(&report)).unwrap();
    assert_eq!(parsed.samples["twinlease_healthy"], 0.0);
    let latency = "twinlease_journal_commit_latency_seconds{quantile=\"0.99\"}";
    assert_eq!(parsed.samples[latency], 0.001_25);
}

#[test]
fn many_pools_are_one_sum_for_each_kind() {
    let series_of = |pools: usize| {
        let parsed = parse(&encode(&report(pools))).unwrap();
        let name = "twinlease_pool_bound_leases";
        let pools = parsed
            .samples
            .into_iter()
            .filter(|(s, _)| s.starts_with(name));
        pools.collect::<Vec<_>>()
    };
    assert_eq!(series_of(POOL_SERIES_MAX).len(), POOL_SERIES_MAX);
    let name = |kind: &str| format!("twinlease_pool_bound_leases{{kind=\"{kind}\"}}");
    assert_eq!(
        series_of(POOL_SERIES_MAX + 1),
        [(name("address"), 1_002.0), (name("prefix"), 1_000.0)]
    );
}

#[test]
fn sums_end_at_the_largest_number() {
    let text = encode(&report(POOL_SERIES_MAX + 1));
    let series = format!(
        "twinlease_pool_size_leases{{kind=\"prefix\"}} {}\n",
        u64::MAX
    );
    assert!(text.contains(&series), "{text}");
}

#[test]
fn the_parser_of_these_tests_refuses_what_is_wrong() {
    let family = "# HELP twinlease_x Some.\n# TYPE twinlease_x gauge\n";
    for (samples, accepted) in [
        (
            "twinlease_x{a=\"1\"} 1\ntwinlease_x{a=\"2\"} 1\n# EOF\n",
            true,
        ),
        (
            "twinlease_x{a=\"1\"} 1\ntwinlease_x{a=\"1\"} 1\n# EOF\n",
            false,
        ),
        ("twinlease_x{a=\"1\",} 1\n# EOF\n", false),
        ("twinlease_x{a=\"1\" b=\"2\"} 1\n# EOF\n", false),
        ("twinlease_x{a=\"\"\"} 1\n# EOF\n", false),
        ("twinlease_x{a=\"1\",a=\"2\"} 1\n# EOF\n", false),
        ("twinlease_x{a=\"1} 1\n# EOF\n", false),
        ("twinlease_y 1\n# EOF\n", false),
        ("twinlease_x NaN\n# EOF\n", false),
        ("twinlease_x\n# EOF\n", false),
        ("twinlease_x 1\n", false),
        ("# TYPE twinlease_x gauge\n# EOF\n", false),
    ] {
        assert_eq!(
            parse(&format!("{family}{samples}")).is_ok(),
            accepted,
            "{samples}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_name_breaks_the_text(name in any::<String>(), reason in any::<String>()) {
        let mut report = report(1);
        report.interfaces[0].name.clone_from(&name);
        report.pools[0].link = name;
        report.xdp = BTreeMap::from([(reason, 1)]);
        let parsed = parse(&encode(&report));
        prop_assert!(parsed.is_ok(), "{parsed:?}");
    }
}
