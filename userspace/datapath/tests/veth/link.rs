//! The veth pair, and the peer's kernel as a client.

use core::ops::Range;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use datapath::{Datapath, InterfaceSpec, IoMode, VerifyChecksums, WorkerIo};
use lab::{Lab, Namespace, wait_until};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use wire::SHARDS;
use wire::udp::{CLIENT_PORT, SERVER_PORT};

/// Workers of every test.
pub const WORKERS: usize = 2;
/// All_DHCP_Relay_Agents_and_Servers.
pub const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const SOLICIT: u8 = 1;
/// The type of every answer.
pub const ADVERTISE: u8 = 2;
/// Source ports of the peer: the kernel spreads its flows over the queues.
const SENDERS: usize = 16;
/// For what takes below a millisecond on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A server's namespace with `lan0` and a peer's with `eth0`.
pub struct Link {
    /// Has `lan0`.
    pub server: Namespace,
    /// Has `eth0`.
    pub peer: Namespace,
    /// Link-local.
    pub server_address: Ipv6Addr,
}

impl Link {
    /// With so many queues at both ends.
    pub fn new(lab: &mut Lab, queues: usize) -> Result<Self> {
        let (server, peer) = (lab.namespace("server")?, lab.namespace("peer")?);
        let both = format!("numrxqueues {queues} numtxqueues {queues}");
        server.ip(&format!(
            "link add lan0 {both} type veth peer name eth0 netns {} {both}",
            peer.name()
        ))?;
        server.up("lan0")?;
        peer.up("eth0")?;
        peer.checksum_before_sending("eth0")?;
        server.checksum_before_sending("lan0")?;
        let server_address = server.link_local("lan0")?;
        let (scope, _) = server.link("lan0")?;
        bind(&server, SocketAddrV6::new(server_address, 0, 0, scope))?;
        Ok(Self {
            server,
            peer,
            server_address,
        })
    }

    /// Opens the server's end for [`WORKERS`].
    pub fn open(&self, io: IoMode, owner: &[u8; SHARDS]) -> Result<(Datapath, Vec<WorkerIo>)> {
        let spec = InterfaceSpec {
            name: "lan0".to_owned(),
            io,
            // The peer writes whole checksums.
            verify_checksums: VerifyChecksums::On,
            steer_by: wire::ClientKey::Duid,
            addresses: Vec::new(),
        };
        self.server
            .inside(|| Ok(datapath::open(&[spec], WORKERS, owner)?))
    }
}

/// A socket in the namespace, once the address is usable: a new one is tentative for a moment,
/// even without duplicate address detection.
fn bind(namespace: &Namespace, local: SocketAddrV6) -> Result<UdpSocket> {
    wait_until(
        &format!("a socket on {local}"),
        PATIENCE,
        || match namespace.inside(|| Ok(UdpSocket::bind(local)))? {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
            bound => Ok(Some(bound?)),
        },
    )
}

/// The peer's sockets on one of its interfaces.
pub struct Peer {
    /// Link-local.
    pub address: Ipv6Addr,
    scope: u32,
    senders: Vec<UdpSocket>,
    /// Where answers to clients arrive.
    answers: UdpSocket,
}

impl Peer {
    /// Binds on an interface of the peer.
    pub fn new(namespace: &Namespace, interface: &str) -> Result<Self> {
        let (scope, _) = namespace.link(interface)?;
        let address = namespace.link_local(interface)?;
        let bind = |port| bind(namespace, SocketAddrV6::new(address, port, 0, scope));
        let answers = bind(CLIENT_PORT)?;
        answers.set_read_timeout(Some(PATIENCE))?;
        set_socket_recv_buffer_size_force(&answers, 8 << 20)?;
        Ok(Self {
            address,
            scope,
            senders: (0..SENDERS).map(|_| bind(0)).collect::<Result<_>>()?,
            answers,
        })
    }

    /// Sends from the port that belongs to the client.
    pub fn send(&self, client: u32, to: Ipv6Addr, message: &[u8]) -> Result<()> {
        let to = SocketAddrV6::new(to, SERVER_PORT, 0, self.scope);
        let sender = &self.senders[client as usize % SENDERS];
        let sent = sender.send_to(message, to)?;
        ensure!(sent == message.len(), "{sent} octets left");
        Ok(())
    }

    /// The next answer, which has to come from `server`.
    pub fn receive(&self, server: Ipv6Addr) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.answers.recv_from(&mut buffer).context("no answer")?;
        let SocketAddr::V6(from) = from else {
            return Err(anyhow!("an answer from {from}"));
        };
        ensure!((*from.ip(), from.port()) == (server, SERVER_PORT), "{from}");
        buffer.truncate(len);
        Ok(buffer)
    }

    /// Sends the Solicits of the clients in one burst and takes exactly so many answers to each.
    pub fn exchange(&self, clients: Range<u32>, server: Ipv6Addr, copies: usize) -> Result<()> {
        for client in clients.clone() {
            self.send(client, ALL_SERVERS, &solicit(client))?;
        }
        let answers = clients.clone().map(|client| answer_to(&solicit(client)));
        let mut missing: HashMap<Vec<u8>, usize> = answers.map(|a| (a, copies)).collect();
        for taken in 0..clients.len() * copies {
            let answer = self.receive(server);
            let answer = answer.with_context(|| format!("after {taken} answers"))?;
            let copies = missing.get_mut(&answer).filter(|copies| **copies > 0);
            *copies.with_context(|| format!("too often, or damaged: {answer:?}"))? -= 1;
        }
        Ok(())
    }
}

fn duid(client: u32) -> [u8; 8] {
    let [a, b, c, d] = client.to_be_bytes();
    [0, 3, 0, 1, a, b, c, d]
}

/// A Solicit with a Client Identifier option alone, which begins at octet 4.
pub fn solicit(client: u32) -> Vec<u8> {
    let mut message = vec![SOLICIT, 0xab, 0xcd, 0xef, 0, 1, 0, 8];
    message.extend(duid(client));
    message
}

/// A Solicit made longer by an option that nobody knows.
pub fn long_solicit(client: u32, len: usize) -> Vec<u8> {
    let mut message = solicit(client);
    let padding = (len - message.len() - 4) as u16;
    message.extend([0xff, 0xf0]);
    message.extend(padding.to_be_bytes());
    message.resize(len, 0x5a);
    message
}

/// What the workers make of a message.
pub fn answer_to(message: &[u8]) -> Vec<u8> {
    let mut answer = message.to_vec();
    answer[0] = ADVERTISE;
    answer
}
