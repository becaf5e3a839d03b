//! What goes wrong, and when.

use crate::client::Millis;
use crate::rng::Rng;

/// One thing that goes wrong, or ends going wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server stops wherever it is; the other may hear of it at once.
    Crash { server: usize, heard: bool },
    /// A server that is down starts.
    Start { server: usize },
    /// As a crash, and its disk is empty when it starts.
    LoseDisk { server: usize },
    /// A server stops in order.
    Shutdown { server: usize },
    /// The connection between the servers breaks; each end may not notice.
    Cut { noticed: [bool; 2] },
    /// What goes to this server does not arrive, or does again.
    Block { to: usize, blocked: bool },
    /// How long partners' octets travel.
    PartnerDelay(Millis, Millis),
    /// How much of clients' datagrams is lost, in 1/1000, and how late they come.
    ClientLoss(u64, Millis),
    /// The servers' disks take so long for a write.
    Disk { server: usize, millis: Millis },
    /// A server does not read what the partner sends for a while.
    Stall { server: usize, millis: Millis },
    /// A server's clock is set.
    Clock { server: usize, ahead_secs: i64 },
    /// The operator says to this server that its partner is down.
    PartnerDown { server: usize, past: bool },
    /// An operator reserves leases for those who are to have them, whoever has them now: both servers
    /// start with that.
    Reserve,
    /// The server finds its interfaces down, or up again.
    Health { server: usize, good: bool },
}

/// Draws the next fault.
pub fn draw(rng: &mut Rng, lies: bool) -> Fault {
    let server = rng.within(0, 2) as usize;
    match rng.within(0, 100) {
        0..12 => Fault::Crash {
            server,
            heard: rng.chance(500),
        },
        12..32 => Fault::Start { server },
        32..35 => Fault::LoseDisk { server },
        35..37 => Fault::Shutdown { server },
        37..47 => Fault::Cut {
            noticed: [rng.chance(600), rng.chance(600)],
        },
        47..53 => Fault::Block {
            to: server,
            blocked: true,
        },
        53..63 => Fault::Block {
            to: server,
            blocked: false,
        },
        63..68 => match rng.within(0, 3) {
            0 => Fault::PartnerDelay(200, 3_000),
            _ => Fault::PartnerDelay(1, 20),
        },
        68..74 => Fault::ClientLoss(rng.pick(&[0, 50, 300, 600]), rng.pick(&[5, 200, 2_000])),
        74..79 => Fault::Disk {
            server,
            millis: rng.pick(&[1, 1, 50, 1_000, 6_000]),
        },
        79..83 => Fault::Stall {
            server,
            millis: rng.within(500, 40_000),
        },
        83..88 => Fault::Clock {
            server,
            ahead_secs: match lies && rng.chance(300) {
                true => rng.within(0, 600) as i64 - 300,
                false => rng.within(0, 5) as i64,
            },
        },
        88..97 => Fault::PartnerDown {
            server,
            past: rng.chance(300),
        },
        97 => Fault::Reserve,
        _ => Fault::Health {
            server,
            good: rng.chance(600),
        },
    }
}
