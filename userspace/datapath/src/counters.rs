//! What a worker's ports count: one writer, any number of readers.

use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam::utils::CachePadded;
use wire::FrameError;

/// Why a datagram went no further, here, below DHCPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoDrop {
    /// A frame without a UDP datagram in it, although the XDP program saw one; position of its
    /// reason among the labels.
    Frame(u8),
    /// A datagram longer than the buffer of the kernel socket.
    Truncated,
    /// The interface has no address to answer from.
    NoSourceAddress,
    /// An answer that the link cannot carry in one packet, to a client behind VLAN tags.
    TooLarge,
    /// The kernel would not send it.
    SendFailed,
}

/// [`FrameError::reason`] of every error, as labels.
const FRAME_REASONS: [&str; 10] = [
    "frame-short",
    "vlan-tags",
    "not-ipv6",
    "ip-version",
    "fragment",
    "extension-header",
    "not-udp",
    "ipv6-length",
    "udp-length",
    "udp-checksum",
];
const OTHER_REASONS: [&str; 4] = ["truncated", "no-source-address", "too-large", "send-failed"];
const REASONS: usize = FRAME_REASONS.len() + OTHER_REASONS.len();

impl From<FrameError> for IoDrop {
    fn from(error: FrameError) -> Self {
        let position = FRAME_REASONS
            .iter()
            .position(|reason| *reason == error.reason());
        Self::Frame(position.unwrap_or(0) as u8)
    }
}

impl IoDrop {
    /// The labels of all reasons.
    pub fn labels() -> impl Iterator<Item = &'static str> {
        FRAME_REASONS.into_iter().chain(OTHER_REASONS)
    }

    fn index(self) -> usize {
        match self {
            Self::Frame(position) => usize::from(position),
            Self::Truncated => FRAME_REASONS.len(),
            Self::NoSourceAddress => FRAME_REASONS.len() + 1,
            Self::TooLarge => FRAME_REASONS.len() + 2,
            Self::SendFailed => FRAME_REASONS.len() + 3,
        }
    }
}

/// The counters of one worker's ports, in datagrams.
#[derive(Debug, Default)]
pub struct IoCounters(CachePadded<Fields>);

#[derive(Debug, Default)]
struct Fields {
    sent_xdp: AtomicU64,
    sent_socket: AtomicU64,
    drops: [AtomicU64; REASONS],
}

impl IoCounters {
    /// Answers put into TX rings.
    pub fn sent_xdp(&self) -> u64 {
        self.0.sent_xdp.load(Ordering::Relaxed)
    }

    /// Answers given to kernel sockets.
    pub fn sent_socket(&self) -> u64 {
        self.0.sent_socket.load(Ordering::Relaxed)
    }

    /// Drops with their labels.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        IoDrop::labels().zip(
            self.0
                .drops
                .iter()
                .map(|count| count.load(Ordering::Relaxed)),
        )
    }

    pub(crate) fn count_sent_xdp(&self) {
        add(&self.0.sent_xdp, 1);
    }

    pub(crate) fn count_sent_socket(&self) {
        add(&self.0.sent_socket, 1);
    }

    pub(crate) fn count_drop(&self, reason: IoDrop, datagrams: u64) {
        add(&self.0.drops[reason.index()], datagrams);
    }
}

/// One thread writes, so load and store suffice: no locked instruction for each packet.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_error_counts_under_its_own_label() {
        let errors = [
            FrameError::Short("UDP"),
            FrameError::TooManyTags,
            FrameError::NotIpv6(0),
            FrameError::Version(4),
            FrameError::Fragment,
            FrameError::ExtensionHeader(0),
            FrameError::NotUdp(6),
            FrameError::Ipv6Length {
                claimed: 1,
                present: 0,
            },
            FrameError::UdpLength {
                claimed: 1,
                present: 0,
            },
            FrameError::Checksum,
        ];
        let counters = IoCounters::default();
        for error in errors {
            counters.count_drop(error.into(), 1);
        }
        counters.count_drop(IoDrop::SendFailed, 5);
        for (label, count) in counters.drops() {
            let expected = match label {
                "send-failed" => 5,
                label => u64::from(errors.iter().any(|error| error.reason() == label)),
            };
            assert_eq!(count, expected, "{label}");
        }
    }
}
