//! The ladder: zero-copy → copy → generic → socket, each rung tried until one passes its test.

use wire::{ClientKey, SHARDS};

use crate::interface::InterfaceFacts;
use crate::probe::{Probe, chain};
use crate::queue::Queue;
use crate::spec::{IoMode, QueueId, Rung};
use crate::xdp::{self, AttachMode, Steering};
use std::net::Ipv6Addr;
use wire::steer::{QUEUES_MAX, SERVED_MAX};

/// A rung that does not work here.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which.
    pub rung: Rung,
    /// Why, in words.
    pub reason: String,
}

/// An AF_XDP rung that works: the program is attached and a frame went round on every queue.
pub(crate) struct Climbed {
    pub steering: Steering,
    pub queues: Vec<Queue>,
}

/// What the climb depends on.
pub(crate) struct Climb<'c> {
    pub facts: &'c InterfaceFacts,
    pub workers: usize,
    pub owner: &'c [u8; SHARDS],
    pub served: &'c [Ipv6Addr],
    /// What packets are steered by.
    pub steer_by: ClientKey,
    /// Number of the first UMEM; those of one process differ.
    pub first_umem: u16,
}

impl Climb<'_> {
    /// Tries the rungs that `io` allows, best first. The rung taken, what it is made of unless it
    /// is the socket, and the rungs refused before.
    pub(crate) fn up(&self, io: IoMode) -> (Option<Rung>, Option<Climbed>, Vec<Refusal>) {
        let mut refused = Vec::new();
        // The kernel verifies the program for a fifth of a second, so it is loaded once.
        let mut steering = None;
        for rung in Rung::LADDER {
            if !matches!(io, IoMode::Auto) && io != IoMode::Exactly(rung) {
                continue;
            }
            let step = match rung {
                Rung::ZeroCopy => self.step(AttachMode::Driver, true, &mut steering),
                Rung::Copy => self.step(AttachMode::Driver, false, &mut steering),
                Rung::Generic => self.step(AttachMode::Generic, false, &mut steering),
                Rung::Socket => return (Some(rung), None, refused),
            };
            match (step, steering.take()) {
                (Ok(queues), Some(steering)) => {
                    return (Some(rung), Some(Climbed { steering, queues }), refused);
                }
                (Ok(_), None) => unreachable!("a step that succeeds has loaded the program"),
                (Err(reason), loaded) => {
                    steering = loaded;
                    refused.push(Refusal { rung, reason });
                }
            }
        }
        (None, None, refused)
    }

    fn step(
        &self,
        mode: AttachMode,
        zero_copy: bool,
        loaded: &mut Option<Steering>,
    ) -> Result<Vec<Queue>, String> {
        if !xdp::available() {
            return Err(chain(&xdp::XdpError::NotBuilt));
        }
        let queues_in_use = self.facts.queues as usize;
        if queues_in_use > QUEUES_MAX {
            return Err(format!(
                "{queues_in_use} receive queues: at most {QUEUES_MAX} are steered"
            ));
        }
        if self.served.len() > SERVED_MAX {
            let served = self.served.len();
            return Err(format!(
                "{served} addresses: at most {SERVED_MAX} are steered"
            ));
        }
        let steering = match loaded {
            Some(steering) => steering,
            None => loaded.insert(self.load().map_err(|error| chain(&error))?),
        };
        steering
            .attach(self.facts.index, mode)
            .map_err(|error| chain(&error))?;
        let mut queues = Vec::with_capacity(queues_in_use);
        for (number, umem) in (0..self.facts.queues).zip(self.first_umem..) {
            let id = QueueId(number);
            let queue = Queue::open(umem, self.facts.index, id, self.workers, zero_copy)
                .map_err(|error| format!("queue {number}: {error}"))?;
            for (endpoint, worker) in queue.endpoints.iter().zip(0..) {
                steering
                    .register(number, worker, std::os::fd::AsFd::as_fd(&*endpoint.socket))
                    .map_err(|error| chain(&error))?;
            }
            queues.push(queue);
        }
        let probe = Probe {
            steering,
            ifindex: self.facts.index,
            mac: self.facts.mac,
            owner: self.owner,
        };
        for queue in &mut queues {
            probe.run(queue)?;
        }
        Ok(queues)
    }

    fn load(&self) -> Result<Steering, xdp::XdpError> {
        let debug = tracing::enabled!(target: "twinlease_xdp", tracing::Level::DEBUG);
        let mut steering = Steering::load(debug, self.steer_by)?;
        steering.set_owner(self.owner)?;
        steering.set_served(self.served)?;
        Ok(steering)
    }
}
