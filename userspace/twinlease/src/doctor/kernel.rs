//! The kernel, the process's rights, the clock, and who has the port.

use core::ops::ControlFlow;
use rustix::thread::CapabilitySet;
use std::fs;
use std::time::Duration;

use super::{Finding, Verdict, wants_xdp, without_xdp};
use crate::config::Config;

/// The oldest kernel on which the XDP program runs.
const OLDEST: (u32, u32) = (5, 18);
/// Sockets of the thread's own network namespace.
const UDP6: &str = "/proc/thread-self/net/udp6";
/// Type information that the XDP program's maps are made with.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// A partner whose clock is further off is refused (RFC 8156 §6.1.2, §7.1).
const SKEW_MAX: Duration = Duration::from_secs(5);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if wants_xdp(config) {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        let verdict = without_xdp(config);
        let (program, btf) = (datapath::xdp::available(), fs::exists(BTF).unwrap_or(false));
        findings.push(judge_kernel(&release, program, btf, verdict));
        let held = rustix::thread::capabilities(None).map(|sets| sets.effective);
        findings.push(judge_rights(
            held.unwrap_or(CapabilitySet::empty()),
            verdict,
        ));
    }
    findings.push(judge_clock(datapath::clock(), !config.failover.is_empty()));
    if let Ok(table) = fs::read_to_string(UDP6) {
        findings.push(judge_port(&table));
    }
    findings
}

fn judge_kernel(release: &str, has_program: bool, has_btf: bool, lacking: Verdict) -> Finding {
    let fault = match version(release) {
        Some(version) if version < OLDEST => ControlFlow::Break((
            "is older than 5.18, which XDP here needs".to_owned(),
            "take a newer kernel, or io = \"socket\"",
        )),
        _ if !has_program => ControlFlow::Break((
            "could run XDP, but this binary was built without the XDP program".to_owned(),
            "build it where the eBPF toolchain is: cargo xtask setup",
        )),
        _ if !has_btf => ControlFlow::Break((
            format!("tells no types ({BTF})"),
            "take a kernel with CONFIG_DEBUG_INFO_BTF, or io = \"socket\"",
        )),
        _ => ControlFlow::Continue(()),
    };
    match fault {
        ControlFlow::Continue(()) => {
            Finding::fit("kernel", format!("Linux {release}, with type information"))
        }
        ControlFlow::Break((what, remedy)) => Finding {
            verdict: lacking,
            ..Finding::unfit("kernel", format!("Linux {release} {what}"), remedy)
        },
    }
}

/// Major and minor number of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn judge_rights(held: CapabilitySet, lacking: Verdict) -> Finding {
    let wanted = [
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
        (CapabilitySet::BPF, "CAP_BPF"),
        (CapabilitySet::NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
    ];
    let is_held = |capability| {
        let by_all = capability == CapabilitySet::BPF && held.contains(CapabilitySet::SYS_ADMIN);
        by_all || held.contains(capability)
    };
    let missing: Vec<&str> = (wanted.into_iter())
        .filter(|(capability, _)| !is_held(*capability))
        .map(|(_, name)| name)
        .collect();
    if missing.is_empty() {
        return Finding::fit("rights", "all capabilities that XDP and port 547 need");
    }
    let missing = missing.join(", ");
    Finding {
        verdict: lacking,
        ..Finding::unfit(
            "rights",
            format!("this process has not {missing}"),
            "run as root, or give the service these: AmbientCapabilities= in its systemd unit",
        )
    }
}

fn judge_clock(clock: std::io::Result<datapath::Clock>, has_partner: bool) -> Finding {
    let remedy = "run chrony or systemd-timesyncd, with the same sources on both servers of a pair";
    let found = match clock {
        Err(error) => format!("cannot be asked: {error}"),
        Ok(clock) if !clock.is_synchronised => "nothing keeps it synchronised".to_owned(),
        Ok(clock) if clock.estimated_error > SKEW_MAX / 2 => {
            format!("may be {:?} off", clock.estimated_error)
        }
        Ok(clock) => {
            let error = clock.estimated_error;
            return Finding::fit("clock", format!("synchronised, estimated error {error:?}"));
        }
    };
    match has_partner {
        true => Finding::unfit(
            "clock",
            format!("{found}; a partner more than 5 s off is refused (RFC 8156 §7.1)"),
            remedy,
        ),
        false => Finding::hurts("clock", found, remedy),
    }
}

/// `table` is what `/proc/net/udp6` says: local addresses stand second, ports in hexadecimal.
fn judge_port(table: &str) -> Finding {
    let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let taken = (table.lines().skip(1).filter_map(local))
        .any(|address| address.rsplit(':').next() == Some("0223"));
    match taken {
        false => Finding::fit("port", "UDP 547 is free"),
        true => Finding::hurts(
            "port",
            "UDP 547 is in use: a DHCPv6 server or relay is running here, perhaps this one",
            "if it is not this server, stop it before this one starts: ss -ulpn 'sport = 547'",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datapath::Clock;

    #[test]
    fn a_kernel_is_judged_by_its_number_its_types_and_the_binary() {
        let judge =
            |release, program, btf| judge_kernel(release, program, btf, Verdict::Unfit).verdict;
        assert_eq!(judge("6.1.0-13-amd64", true, true), Verdict::Fit);
        assert_eq!(judge("5.18.0", true, true), Verdict::Fit);
        assert_eq!(judge("5.17.9", true, true), Verdict::Unfit);
        assert_eq!(judge("6.1.0", false, true), Verdict::Unfit);
        assert_eq!(judge("6.1.0", true, false), Verdict::Unfit);
        assert_eq!(version("10.2-rc1"), Some((10, 2)));
    }

    #[test]
    fn what_a_process_may_not_do_is_named() {
        assert_eq!(
            judge_rights(CapabilitySet::all(), Verdict::Unfit).verdict,
            Verdict::Fit
        );
        let without = CapabilitySet::all() - CapabilitySet::NET_RAW - CapabilitySet::BPF;
        let with_admin = judge_rights(without, Verdict::Hurts);
        assert_eq!(with_admin.verdict, Verdict::Hurts);
        assert_eq!(with_admin.found, "this process has not CAP_NET_RAW");
    }

    #[test]
    fn a_clock_matters_more_with_a_partner() {
        let clock = |is_synchronised, millis| {
            Ok(Clock {
                is_synchronised,
                estimated_error: Duration::from_millis(millis),
            })
        };
        assert_eq!(judge_clock(clock(true, 3), true).verdict, Verdict::Fit);
        assert_eq!(
            judge_clock(clock(true, 3000), false).verdict,
            Verdict::Hurts
        );
        assert_eq!(judge_clock(clock(false, 0), false).verdict, Verdict::Hurts);
        assert_eq!(judge_clock(clock(false, 0), true).verdict, Verdict::Unfit);
    }

    #[test]
    fn who_has_the_port_is_seen() {
        let table = |port| {
            format!(
                "  sl  local_address                         remote_address\n  \
                 1: 00000000000000000000000000000000:{port} 00000000000000000000000000000000:0000 07\n"
            )
        };
        assert_eq!(judge_port(&table("0222")).verdict, Verdict::Fit);
        assert_eq!(judge_port(&table("0223")).verdict, Verdict::Hurts);
    }
}
