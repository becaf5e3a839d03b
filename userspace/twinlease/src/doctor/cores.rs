//! The cores that workers are pinned to.

use std::collections::BTreeSet;
use std::fs;
use std::thread::available_parallelism;

use super::Finding;
use crate::config::{Config, Idle};

const CPUS: &str = "/sys/devices/system/cpu";

/// What the kernel says of one core.
struct Facts {
    core: usize,
    /// Frequency governor; `None` where frequencies are not the kernel's affair.
    governor: Option<String>,
    /// Cores that share its execution units, itself among them, as the kernel lists them.
    siblings: Option<String>,
}

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let facts: Vec<Facts> = config.cores.iter().map(|core| facts(*core)).collect();
    let allowed = available_parallelism().map_or(config.cores.len(), usize::from);
    judge(&facts, config.idle, allowed)
}

fn facts(core: usize) -> Facts {
    let read = |file: &str| {
        let text = fs::read_to_string(format!("{CPUS}/cpu{core}/{file}")).ok()?;
        Some(text.trim().to_owned())
    };
    Facts {
        core,
        governor: read("cpufreq/scaling_governor"),
        siblings: read("topology/thread_siblings_list"),
    }
}

fn judge(facts: &[Facts], idle: Idle, allowed: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let slow: Vec<_> = (facts.iter())
        .filter_map(|it| Some((it.core, it.governor.as_deref()?)))
        .filter(|(_, governor)| *governor != "performance")
        .collect();
    if let [(core, governor), ..] = slow[..] {
        findings.push(Finding::hurts(
            "cores",
            format!("core {core} may be clocked down: governor {governor}"),
            "cpupower frequency-set -g performance",
        ));
    }
    let mut seen = BTreeSet::new();
    let shared = (facts.iter()).find(|it| {
        let siblings = it.siblings.as_deref();
        siblings.is_some_and(|siblings| !seen.insert(siblings))
    });
    if let Some(Facts {
        core,
        siblings: Some(siblings),
        ..
    }) = shared
    {
        findings.push(Finding::hurts(
            "cores",
            format!("workers share one core's units: threads {siblings}"),
            format!("take core {core} out of workers.cores: one worker for each real core"),
        ));
    }
    if idle == Idle::BusyPoll && facts.len() >= allowed {
        findings.push(Finding::hurts(
            "cores",
            format!(
                "{} busy-polling workers leave none of {allowed} cores free",
                facts.len()
            ),
            "leave one core out of workers.cores for journal, sessions and the rest of the machine",
        ));
    }
    if findings.is_empty() {
        let workers = facts.len();
        let plural = if workers == 1 { "worker" } else { "workers" };
        findings.push(Finding::fit(
            "cores",
            format!("{workers} {plural} on {allowed} cores"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn core(core: usize, governor: &str, siblings: &str) -> Facts {
        Facts {
            core,
            governor: Some(governor.to_owned()),
            siblings: Some(siblings.to_owned()),
        }
    }

    #[test]
    fn cores_of_their_own_are_fit() {
        let cores = [core(2, "performance", "2,6"), core(3, "performance", "3,7")];
        let found = judge(&cores, Idle::Adaptive, 8);
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Fit));
    }

    #[test]
    fn slow_shared_and_all_taken_are_told_each() {
        let cores = [core(0, "powersave", "0-1"), core(1, "performance", "0-1")];
        let found = judge(&cores, Idle::BusyPoll, 2);
        assert!(found.iter().all(|it| it.verdict == Verdict::Hurts));
        let text: Vec<_> = found.iter().map(|it| it.found.as_str()).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].contains("powersave") && text[1].contains("0-1"));
    }
}
