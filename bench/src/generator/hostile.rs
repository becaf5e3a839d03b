//! Honest clients beside junk and one client that never stops asking.

use wire::{MessageType, OptionCode};

use super::client::{Client, Numbering, mix};
use super::flow::{Flow, Load, Outgoing, Plan, write_enveloped};
use super::message::Content;
use super::pacing::Schedule;
use super::tally::Tally;

/// Marks what is no message: RFC 9915 has none of this type.
const JUNK: MessageType = MessageType(0);
/// Longest junk, octets.
const JUNK_LEN: usize = 240;
/// The number of the client that never stops: no honest one has it.
const LOOPING: Client = Client(u32::MAX);

/// Honest exchanges, and what else is sent meanwhile. Only the honest ones are counted.
pub struct Hostile<'b> {
    honest: Flow<'b>,
    junk: Schedule,
    looping: Schedule,
    /// The looping client's: its salt is its own, so that its replies are told apart.
    plan: Plan,
    turn: bool,
    /// Datagrams of junk and of the looping client that were sent.
    pub hostile_sent: u64,
}

impl<'b> Hostile<'b> {
    /// Beside `honest`, for `seconds`: so much junk a second, and so many Solicits with Rapid
    /// Commit of one client.
    pub fn new(
        honest: Flow<'b>,
        plan: Plan,
        junk_per_s: f64,
        looping_per_s: f64,
        seconds: f64,
    ) -> Self {
        let numbering = Numbering {
            salt: plan.numbering.salt ^ 0x80,
            ..plan.numbering
        };
        let schedule = |rate: f64| Schedule::new(0, rate, (rate * seconds) as u64);
        Self {
            honest,
            junk: schedule(junk_per_s),
            looping: schedule(looping_per_s),
            plan: Plan { numbering, ..plan },
            turn: false,
            hostile_sent: 0,
        }
    }

    fn next_hostile(&mut self, now_ns: u64) -> Option<Outgoing> {
        let junk = self.junk.next_due(now_ns).map(|(index, _)| (JUNK, index));
        let (msg_type, index) = junk.or_else(|| {
            let (index, _) = self.looping.next_due(now_ns)?;
            Some((MessageType::SOLICIT, index))
        })?;
        self.hostile_sent += 1;
        Some(Outgoing {
            client: LOOPING,
            msg_type,
            message: index as u32,
            leases: None,
            elapsed_hundredths: 0,
        })
    }
}

impl Load for Hostile<'_> {
    fn next_due(&mut self, now_ns: u64) -> Option<Outgoing> {
        // By turns, so that neither keeps the other from its times.
        self.turn = !self.turn;
        if self.turn {
            let honest = self.honest.next_due(now_ns);
            return honest.or_else(|| self.next_hostile(now_ns));
        }
        self.next_hostile(now_ns)
            .or_else(|| self.honest.next_due(now_ns))
    }

    fn take(&mut self, now_ns: u64, payload: &[u8]) -> Option<Outgoing> {
        self.honest.take(now_ns, payload)
    }

    fn write(&self, outgoing: &Outgoing, buffer: &mut [u8]) -> usize {
        match outgoing {
            Outgoing {
                msg_type: JUNK,
                message,
                ..
            } => write_junk(*message, buffer),
            Outgoing {
                client: LOOPING,
                message,
                ..
            } => {
                let content = Content {
                    msg_type: MessageType::SOLICIT,
                    message: *message,
                    wants: self.plan.wants,
                    leases: None,
                    server_duid: None,
                    rapid_commit: true,
                    elapsed_hundredths: 0,
                };
                write_enveloped(&self.plan, &content, LOOPING, buffer)
            }
            _ => self.honest.write(outgoing, buffer),
        }
    }

    fn relay(&self, outgoing: &Outgoing) -> Option<u32> {
        self.honest.relay(outgoing)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        self.honest.is_done(now_ns) && self.junk.is_done() && self.looping.is_done()
    }

    fn tally(&mut self) -> &mut Tally {
        self.honest.tally()
    }
}

/// Octets of four sorts in turn: random ones, a Solicit cut short, a relay's message with nothing
/// in it, an option that is longer than the datagram.
fn write_junk(index: u32, buffer: &mut [u8]) -> usize {
    let random = |at: usize| mix(u64::from(index) << 16 | at as u64) as u8;
    let len = (8 + mix(index.into()) as usize % (JUNK_LEN - 8)).min(buffer.len());
    for (at, octet) in buffer[..len].iter_mut().enumerate() {
        *octet = random(at);
    }
    let first: &[u8] = match index % 4 {
        0 => &[],
        1 => &[
            MessageType::SOLICIT.0,
            1,
            2,
            3,
            0,
            OptionCode::CLIENTID.0 as u8,
            0,
            10,
        ],
        2 => &[MessageType::RELAY_FORW.0, 0],
        _ => &[
            MessageType::REQUEST.0,
            1,
            2,
            3,
            0,
            OptionCode::IA_NA.0 as u8,
            0xff,
            0xff,
        ],
    };
    let first = &first[..first.len().min(len)];
    buffer[..first.len()].copy_from_slice(first);
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_of_many_lengths_and_fits_any_buffer() {
        let mut buffer = [0; 1500];
        let lengths: std::collections::HashSet<usize> = (0..200)
            .map(|index| write_junk(index, &mut buffer))
            .collect();
        assert!(lengths.len() > 50 && lengths.iter().all(|len| (8..JUNK_LEN).contains(len)));
        assert!((0..20).all(|index| write_junk(index, &mut [0; 3]) == 3));
    }
}
