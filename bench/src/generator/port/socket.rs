//! UDP sockets of the kernel, for where AF_XDP cannot be had: a fraction of the rate.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};

use anyhow::Context;
use rustix::net::{netdevice, sockopt};
use wire::udp::{CLIENT_PORT, SERVER_PORT};

use super::{Addresses, Port};

/// Octets asked of the kernel for each socket's receive buffer.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Octets of a datagram that is received: more than any reply to what is sent has.
const DATAGRAM_LEN: usize = 4096;

/// A port of sockets: one for clients on the link, or one for each relay.
pub struct SocketPort {
    sockets: Vec<UdpSocket>,
    to: SocketAddrV6,
    buffer: Vec<u8>,
    not_sent: u64,
}

impl SocketPort {
    /// Binds the sockets.
    ///
    /// # Errors
    /// There is no such interface, or an address or port cannot be had.
    pub fn open(addresses: &Addresses) -> anyhow::Result<Self> {
        let any = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        let index = netdevice::name_to_index(&any, &addresses.interface)
            .with_context(|| format!("no interface {}", addresses.interface))?;
        let (sources, port) = match addresses.relays.as_slice() {
            [] => (std::slice::from_ref(&addresses.client), CLIENT_PORT),
            relays => (relays, SERVER_PORT),
        };
        let bind = |source: &Ipv6Addr| -> anyhow::Result<UdpSocket> {
            let scope = if source.is_unicast_link_local() {
                index
            } else {
                0
            };
            let socket = UdpSocket::bind(SocketAddrV6::new(*source, port, 0, scope))
                .with_context(|| format!("[{source}]:{port} cannot be bound"))?;
            sockopt::set_ipv6_multicast_loop(&socket, false)?;
            // Without the right to exceed the limit of the machine, that limit is what there is.
            let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER)
                .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER));
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self {
            sockets: sources.iter().map(bind).collect::<Result<_, _>>()?,
            to: SocketAddrV6::new(addresses.server, SERVER_PORT, 0, index),
            buffer: vec![0; DATAGRAM_LEN],
            not_sent: 0,
        })
    }
}

impl Port for SocketPort {
    fn receive(&mut self, budget: usize, f: &mut dyn FnMut(&[u8])) {
        for socket in &self.sockets {
            for _ in 0..budget {
                match socket.recv(&mut self.buffer) {
                    Ok(len) => f(&self.buffer[..len]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // An error of an earlier send, such as an ICMP message; the next call reads on.
                    Err(_) => {}
                }
            }
        }
    }

    fn send(&mut self, relay: Option<u32>, write: &mut dyn FnMut(&mut [u8]) -> usize) -> bool {
        let len = write(&mut self.buffer);
        let socket = relay.map_or(0, |relay| relay as usize % self.sockets.len());
        if len > 0
            && self.sockets[socket]
                .send_to(&self.buffer[..len], self.to)
                .is_err()
        {
            self.not_sent += 1;
        }
        true
    }

    fn flush(&mut self) {}

    fn drops(&self) -> Vec<(&'static str, u64)> {
        vec![("not-sent", self.not_sent)]
    }
}
