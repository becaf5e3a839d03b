//! Faults as they happen to the pair, and their end.

use super::{Event, World, name};
use crate::faults::{self, Fault};
use crate::network::Segment;
use failover::{Event as Told, ServerState};
use lease::AbsTime;

impl World {
    pub(super) fn next_fault(&mut self) -> Result<(), String> {
        if self.faults_left == 0 {
            return self.heal();
        }
        self.faults_left -= 1;
        let fault = faults::draw(&mut self.rng, self.params.lies);
        if self.inflict(fault)? {
            self.tally.faults += 1;
            self.tell(|| format!("-- {fault:?}"));
        } else {
            self.faults_left += 1;
        }
        let gap = match self.rng.within(0, 10) {
            0..4 => self.rng.within(1, 2_000),
            4..9 => self.rng.within(2_000, 20_000),
            _ => self.rng.within(20_000, 120_000),
        };
        self.put(self.now + gap, Event::Fault);
        Ok(())
    }

    /// Does it, if it can be done now; whether it was.
    fn inflict(&mut self, fault: Fault) -> Result<bool, String> {
        match fault {
            Fault::Crash { server, heard } => {
                if self.servers[server].running.is_none() {
                    return Ok(false);
                }
                self.crash(server, heard)?;
            }
            Fault::LoseDisk { server } => {
                if !self.may_lose_disk(server) {
                    return Ok(false);
                }
                if self.servers[server].running.is_some() {
                    self.crash(server, true)?;
                }
                self.servers[server].disk.lose();
            }
            Fault::Start { server } => {
                // An operator who told the truth does not start a server beside one that stood alone
                // and cannot be reached.
                let alone = self.stood_alone[1 - server];
                let reached = self.network.blocked == [false; 2]
                    && self.servers[1 - server].running.is_some();
                let down = self.servers[server].running.is_none();
                if !down || alone && !reached && !self.params.lies {
                    return Ok(false);
                }
                self.start(server)?;
            }
            Fault::Shutdown { server } => {
                if self.servers[server].running.is_none() {
                    return Ok(false);
                }
                self.servers[server].event(Told::Shutdown, self.now);
                self.drain(server)?;
                self.crash(server, true)?;
            }
            Fault::Cut { noticed } => return self.cut(noticed),
            Fault::Block { to, blocked: true } => {
                let alone = self.stood_alone != [false; 2];
                if self.network.blocked[to] || alone && !self.params.lies {
                    return Ok(false);
                }
                self.network.blocked[to] = true;
            }
            Fault::Block { to, blocked: false } => {
                if !self.network.blocked[to] {
                    return Ok(false);
                }
                self.unblock(to);
            }
            Fault::PartnerDelay(from, to) => self.network.delay = (from, to),
            Fault::ClientLoss(loss, delay) => {
                self.client_loss = loss;
                self.client_delay = delay;
            }
            Fault::Disk { server, millis } => self.write_millis[server] = millis,
            Fault::Stall { server, millis } => self.stalled_until[server] = self.now + millis,
            Fault::Clock { server, ahead_secs } => {
                if !(0..5).contains(&ahead_secs) {
                    self.oracle.tainted = true;
                }
                self.servers[server].ahead_secs = ahead_secs;
            }
            Fault::PartnerDown { server, past } => return self.partner_down(server, past),
            Fault::Reserve => return self.reserve(),
            Fault::Health { server, good } => {
                if self.servers[server].running.is_none() {
                    return Ok(false);
                }
                let told = Told::Health((!good).then_some("interfaces are down"));
                self.servers[server].event(told, self.now);
                self.drain(server)?;
            }
        }
        Ok(true)
    }

    /// Both at the same time: servers that reserve different things are an operator's lie.
    fn reserve(&mut self) -> Result<bool, String> {
        if self.servers[0].reserves || self.network.blocked != [false; 2] {
            return Ok(false);
        }
        let ran = [0, 1].map(|server| self.servers[server].running.is_some());
        for server in (0..2).filter(|server| ran[*server]) {
            self.crash(server, true)?;
        }
        for server in 0..2 {
            self.servers[server].reserves = true;
        }
        for server in (0..2).filter(|server| ran[*server]) {
            self.start(server)?;
        }
        Ok(true)
    }

    fn crash(&mut self, server: usize, heard: bool) -> Result<(), String> {
        self.tally.crashes += 1;
        self.down_since[server] = self.now;
        for connection in self.network.open_ends(server) {
            if heard {
                self.segment(connection, server, Segment::End);
            }
            self.network.vanish(connection, server);
        }
        let crashed = self.servers[server].crash(&mut self.rng);
        crashed.map_err(|what| format!("{}: {what}", name(server)))
    }

    /// Whether a disk can be lost without two servers having lost the same: what a server granted
    /// in PARTNER-DOWN nobody else knows of.
    fn may_lose_disk(&self, server: usize) -> bool {
        let Some(other) = &self.servers[1 - server].running else {
            return false;
        };
        let serves = matches!(
            other.serves_as,
            ServerState::Normal
                | ServerState::CommunicationsInterrupted
                | ServerState::PartnerDown
                | ServerState::ConflictDone
        );
        serves && !self.stood_alone[server] && other.endpoint.record().communicated
    }

    fn cut(&mut self, noticed: [bool; 2]) -> Result<bool, String> {
        let mut any = false;
        for server in 0..2 {
            for connection in self.network.open_ends(server) {
                any = true;
                if noticed[server] {
                    self.network.vanish(connection, server);
                    self.servers[server].event(Told::Lost(connection), self.now);
                    self.drain(server)?;
                } else if noticed[1 - server] {
                    // It hears nothing more on it.
                    self.network.vanish(connection, 1 - server);
                }
            }
        }
        Ok(any)
    }

    fn partner_down(&mut self, server: usize, past: bool) -> Result<bool, String> {
        let other = 1 - server;
        // Somebody looks before saying so.
        let is_true =
            self.servers[other].running.is_none() && self.now >= self.down_since[other] + 12_000;
        if self.servers[server].running.is_none() || !is_true && !self.params.lies {
            return Ok(false);
        }
        // Since a while after it was seen to stop, by this server's clock.
        let since = self.servers[server].wall(self.down_since[other] + 12_000);
        let since: Option<AbsTime> = (past && is_true).then_some(since);
        let obeyed = self.servers[server].partner_down(since, self.now).is_ok();
        self.drain(server)?;
        Ok(obeyed)
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) -> Result<(), String> {
        self.tell(|| "-- no more faults".into());
        self.healed_at = Some(self.now);
        self.network.delay = (1, 20);
        self.client_loss = 0;
        self.client_delay = 5;
        self.write_millis = [1, 1];
        self.stalled_until = [0, 0];
        for server in 0..2 {
            self.unblock(server);
            self.servers[server].ahead_secs = 0;
        }
        for server in 0..2 {
            if self.servers[server].running.is_none() {
                self.start(server)?;
            } else {
                self.servers[server].event(Told::Health(None), self.now);
                self.drain(server)?;
            }
        }
        self.tally.tainted = u64::from(self.oracle.tainted);
        Ok(())
    }
}
