//! Memory for frames: huge pages, and how much of it may be locked.

use rustix::process::{Resource, getrlimit};
use rustix::thread::CapabilitySet;
use std::fs;

use super::{Finding, wants_xdp};
use crate::config::{Config, Io};

const MEMINFO: &str = "/proc/meminfo";
const MIB: u64 = 1 << 20;

/// What there is.
struct Facts {
    /// Free huge pages of the default size, and that size in octets.
    huge_free: u64,
    huge_len: u64,
    /// Octets that the process may lock; `None`: without limit.
    lockable: Option<u64>,
}

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    if !wants_xdp(config) {
        return Vec::new();
    }
    let queues = config.interfaces.iter().filter(|it| it.io != Io::Socket);
    let queues = queues.filter_map(|it| Some(datapath::inspect(&it.name).ok()?.queues));
    let each = datapath::frame_memory(config.cores.len()) as u64;
    judge(queues.map(u64::from).sum(), each, &facts())
}

fn facts() -> Facts {
    let table = fs::read_to_string(MEMINFO).unwrap_or_default();
    let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let unlimited = held.is_ok_and(|held| held.contains(CapabilitySet::IPC_LOCK));
    Facts {
        huge_free: of_meminfo(&table, "HugePages_Free:"),
        huge_len: of_meminfo(&table, "Hugepagesize:") * 1024,
        lockable: getrlimit(Resource::Memlock).current.filter(|_| !unlimited),
    }
}

/// The number in a line of `/proc/meminfo`; 0 where there is no such line.
fn of_meminfo(table: &str, key: &str) -> u64 {
    let line = table.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// `each` is octets of frames for each receive queue.
fn judge(queues: u64, each: u64, facts: &Facts) -> Vec<Finding> {
    let needed = queues * each;
    let needs = format!(
        "frames of {queues} receive queues need {} MiB",
        needed.div_ceil(MIB)
    );
    let locked = match facts.lockable {
        Some(most) if most < needed => Finding::unfit(
            "memlock",
            format!("{needs}, and the process may lock {} MiB", most / MIB),
            "raise the limit (LimitMEMLOCK=infinity in the systemd unit), or give CAP_IPC_LOCK",
        ),
        Some(most) => Finding::fit("memlock", format!("{needs} of {} MiB", most / MIB)),
        None => Finding::fit("memlock", format!("{needs}; without limit")),
    };
    let pages = match facts.huge_len {
        0 => 0,
        len => queues * each.div_ceil(len),
    };
    let huge = match facts.huge_len {
        0 => Finding::fit(
            "hugepages",
            "the kernel has none; frames are in normal pages",
        ),
        _ if facts.huge_free < pages => Finding::hurts(
            "hugepages",
            format!("{} free of {pages} that the frames take", facts.huge_free),
            format!("sysctl vm.nr_hugepages={pages} before the server starts; it then takes them"),
        ),
        _ => Finding::fit(
            "hugepages",
            format!("{} free, the frames take {pages}", facts.huge_free),
        ),
    };
    vec![locked, huge]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn verdicts(huge_free: u64, lockable: Option<u64>) -> Vec<Verdict> {
        let facts = Facts {
            huge_free,
            huge_len: 2 * MIB,
            lockable,
        };
        let found = judge(4, 24 * MIB, &facts);
        found.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn frames_want_memory_that_may_be_locked_and_pages_that_are_free() {
        use Verdict::{Fit, Hurts, Unfit};
        assert_eq!(verdicts(48, None), [Fit, Fit]);
        assert_eq!(verdicts(47, Some(96 * MIB)), [Fit, Hurts]);
        assert_eq!(verdicts(48, Some(96 * MIB - 1)), [Unfit, Fit]);
    }

    #[test]
    fn numbers_are_found_in_meminfo() {
        let table =
            "MemTotal:       24 kB\nHugePages_Free:       12\nHugepagesize:       2048 kB\n";
        assert_eq!(of_meminfo(table, "HugePages_Free:"), 12);
        assert_eq!(of_meminfo(table, "Hugepagesize:"), 2048);
        assert_eq!(of_meminfo(table, "HugePages_Rsvd:"), 0);
    }
}
