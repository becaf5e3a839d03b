//! The last decisions of a worker, for an operator who asks why.
//!
//! Kept are the octets of message and answer, nothing worked out: that is done when somebody asks,
//! and not for every message. Answered and dropped messages are kept apart, so that a thousand
//! clients who are served do not push out the one who is not.

use crate::control::command::KeptDecision;
use engine::Parsed;
use lease::AbsTime;
use std::net::Ipv6Addr;

/// Octets kept of answered messages: twice this. Some 6,000 of them.
const ANSWERED_LEN: usize = 1 << 20;
/// Octets kept of dropped messages: twice this. Some 4,000 of them.
const DROPPED_LEN: usize = 512 << 10;
/// A message longer than this is kept as if it had none of the octets behind.
const PART_LEN_MAX: usize = 2048;
const HEADER_LEN: usize = 36;

/// What stands before the octets of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it was made.
    pub at: AbsTime,
    /// Why there was no answer, as an index of the worker's drop reasons; `None`: there was one.
    pub drop: Option<u8>,
    /// The interface, by its position in the config.
    pub interface: u16,
    /// Where the message came from.
    pub source: Ipv6Addr,
    /// Where the client's DUID stands in the message, and its length; 0 without one.
    client: (u16, u16),
}

/// One worker's memory of its decisions.
pub struct Trace {
    answered: Halves,
    dropped: Halves,
}

/// A decision as it was kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'t> {
    /// When, and what came of it.
    pub header: Header,
    /// The UDP payload that came.
    pub message: &'t [u8],
    /// The UDP payload that was answered; empty if none.
    pub answer: &'t [u8],
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            answered: Halves::new(ANSWERED_LEN),
            dropped: Halves::new(DROPPED_LEN),
        }
    }
}

impl Trace {
    /// Keeps an answer.
    #[inline]
    pub fn answered(&mut self, parsed: &Parsed<'_>, at: AbsTime, answer: &[u8]) {
        let ingress = parsed.ingress();
        let header = Header {
            at,
            drop: None,
            interface: ingress.interface.0,
            source: ingress.source,
            client: client_of(parsed),
        };
        self.answered.push(&header, ingress.payload, answer);
    }

    /// Keeps a drop; `parsed` is `None` if the message could not be read.
    pub fn dropped(
        &mut self,
        ingress: &engine::Ingress<'_>,
        parsed: Option<&Parsed<'_>>,
        at: AbsTime,
        reason: usize,
    ) {
        let header = Header {
            at,
            drop: Some(reason.min(usize::from(u8::MAX - 1)) as u8),
            interface: ingress.interface.0,
            source: ingress.source,
            client: parsed.map_or((0, 0), client_of),
        };
        self.dropped.push(&header, ingress.payload, &[]);
    }

    /// How many octets there are to walk.
    pub fn reach(&self) -> usize {
        let halves = [&self.answered, &self.dropped];
        halves
            .iter()
            .map(|h| h.former.len() + h.current.len())
            .sum()
    }

    /// Visits up to `max` decisions from `from` on, the oldest answered first, then the oldest
    /// dropped; where to go on, or `None` at the end. What is kept meanwhile may move a decision
    /// away unseen.
    pub fn walk(&self, from: usize, max: usize, see: &mut dyn FnMut(Kept<'_>)) -> Option<usize> {
        let mut start = from;
        let mut seen = 0;
        let parts = [
            &self.answered.former,
            &self.answered.current,
            &self.dropped.former,
            &self.dropped.current,
        ];
        let mut base = 0;
        for part in parts {
            while start >= base && start < base + part.len() {
                if seen == max {
                    return Some(start);
                }
                let Some((kept, len)) = decode(&part[start - base..]) else {
                    break;
                };
                see(kept);
                seen += 1;
                start += len;
            }
            base += part.len();
            start = start.max(base);
        }
        None
    }
}

impl From<Kept<'_>> for KeptDecision {
    fn from(kept: Kept<'_>) -> Self {
        Self {
            at: kept.header.at,
            drop: kept.header.drop,
            interface: kept.header.interface,
            source: kept.header.source,
            message: kept.message.into(),
            answer: kept.answer.into(),
        }
    }
}

impl<'t> Kept<'t> {
    /// The client's DUID, if the message could be read and had one.
    pub fn duid(&self) -> Option<&'t [u8]> {
        let (at, len) = self.header.client;
        let (at, len) = (usize::from(at), usize::from(len));
        self.message
            .get(at..at + len)
            .filter(|duid| !duid.is_empty())
    }

    /// Whether these octets stand in message or answer.
    pub fn holds(&self, octets: &[u8]) -> bool {
        let within = |part: &[u8]| part.windows(octets.len()).any(|window| window == octets);
        within(self.message) || within(self.answer)
    }
}

/// Two buffers that are filled in turn: when one is full the other, with what is oldest, is emptied.
struct Halves {
    former: Vec<u8>,
    current: Vec<u8>,
}

impl Halves {
    fn new(len: usize) -> Self {
        Self {
            former: Vec::with_capacity(len),
            current: Vec::with_capacity(len),
        }
    }

    #[inline]
    fn push(&mut self, header: &Header, message: &[u8], answer: &[u8]) {
        let message = &message[..message.len().min(PART_LEN_MAX)];
        let answer = &answer[..answer.len().min(PART_LEN_MAX)];
        let len = HEADER_LEN + message.len() + answer.len();
        if self.current.capacity() - self.current.len() < len {
            std::mem::swap(&mut self.former, &mut self.current);
            self.current.clear();
        }
        self.current
            .extend_from_slice(&encode(header, message.len(), answer.len()));
        self.current.extend_from_slice(message);
        self.current.extend_from_slice(answer);
    }
}

fn client_of(parsed: &Parsed<'_>) -> (u16, u16) {
    let Some(client) = parsed.client_id() else {
        return (0, 0);
    };
    let payload = parsed.ingress().payload.as_ptr().addr();
    let at = client.octets().as_ptr().addr().wrapping_sub(payload);
    match u16::try_from(at) {
        Ok(at) => (at, client.octets().len() as u16),
        Err(_) => (0, 0),
    }
}

fn encode(header: &Header, message_len: usize, answer_len: usize) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..4].copy_from_slice(&header.at.0.to_ne_bytes());
    out[4..6].copy_from_slice(&(message_len as u16).to_ne_bytes());
    out[6..8].copy_from_slice(&(answer_len as u16).to_ne_bytes());
    out[8..10].copy_from_slice(&header.interface.to_ne_bytes());
    out[10..12].copy_from_slice(&header.client.0.to_ne_bytes());
    out[12..14].copy_from_slice(&header.client.1.to_ne_bytes());
    out[14] = header.drop.unwrap_or(u8::MAX);
    out[16..32].copy_from_slice(&header.source.octets());
    out
}

/// The decision at the start of `octets`, and its length.
fn decode(octets: &[u8]) -> Option<(Kept<'_>, usize)> {
    let (header, rest) = octets.split_first_chunk::<HEADER_LEN>()?;
    let short = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let (message_len, answer_len) = (usize::from(short(4)), usize::from(short(6)));
    let (message, rest) = rest.split_at_checked(message_len)?;
    let answer = rest.get(..answer_len)?;
    let source: [u8; 16] = header[16..32].try_into().ok()?;
    let kept = Kept {
        header: Header {
            at: AbsTime(u32::from_ne_bytes(header[..4].try_into().ok()?)),
            drop: Some(header[14]).filter(|drop| *drop != u8::MAX),
            interface: short(8),
            source: source.into(),
            client: (short(10), short(12)),
        },
        message,
        answer,
    };
    Some((kept, HEADER_LEN + message_len + answer_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Ingress, InterfaceId};

    fn ingress(payload: &[u8]) -> Ingress<'_> {
        Ingress {
            payload,
            interface: InterfaceId(3),
            source: "fe80::7".parse().unwrap(),
            destination: "ff02::1:2".parse().unwrap(),
        }
    }

    fn solicit(client: u32) -> Vec<u8> {
        let mut message = vec![1, 1, 2, 3, 0, 1, 0, 7, 0, 3, 9];
        message.extend(client.to_be_bytes());
        message
    }

    fn all(trace: &Trace, slice: usize) -> Vec<(Option<u8>, Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let mut from = Some(0);
        while let Some(start) = from {
            from = trace.walk(start, slice, &mut |kept| {
                let duid = kept.duid().unwrap_or_default().to_vec();
                found.push((kept.header.drop, duid, kept.answer.to_vec()));
            });
        }
        found
    }

    #[test]
    fn what_is_kept_is_found_again_in_slices_of_any_size() {
        let mut trace = Trace::default();
        let message = solicit(5);
        let parsed = engine::parse(&ingress(&message)).unwrap();
        trace.answered(&parsed, AbsTime(9), b"answer");
        trace.dropped(&ingress(&message), Some(&parsed), AbsTime(10), 4);
        trace.dropped(&ingress(b"x"), None, AbsTime(11), 5);
        for slice in 1..4 {
            assert_eq!(
                all(&trace, slice),
                [
                    (None, message[8..].to_vec(), b"answer".to_vec()),
                    (Some(4), message[8..].to_vec(), vec![]),
                    (Some(5), vec![], vec![]),
                ]
            );
        }
    }

    #[test]
    fn the_oldest_goes_first_and_the_memory_stays_the_same() {
        let mut trace = Trace::default();
        let lost = solicit(0);
        trace.dropped(&ingress(&lost), None, AbsTime(1), 0);
        for client in 0..100_000 {
            let message = solicit(client);
            let parsed = engine::parse(&ingress(&message)).unwrap();
            trace.answered(&parsed, AbsTime(client), &[0; 200]);
        }
        let found = all(&trace, 1000);
        assert_eq!(trace.answered.current.capacity(), ANSWERED_LEN);
        assert_eq!(trace.answered.former.capacity(), ANSWERED_LEN);
        assert!(found.len() > 4000);
        let last = &found[found.len() - 2].1;
        assert_eq!(last[3..], 99_999_u32.to_be_bytes());
        assert_eq!(
            found[found.len() - 1].0,
            Some(0),
            "no answer pushes out a drop"
        );
    }
}
