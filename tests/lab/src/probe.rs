//! A DHCPv6 client and relay of our own on plain UDP sockets, for what the real ones never send.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::message::{
    Client, Message, Options, code, kind, relay_forward, relay_reply, write_options,
};
use crate::namespace::Namespace;
use crate::wait::interrupted;

/// All_DHCP_Relay_Agents_and_Servers (RFC 9915 §7.1).
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// An answer takes well below a millisecond; a machine that is busy with other tests may take longer.
const RESEND: Duration = Duration::from_millis(500);
const TRIES: u32 = 8;
const INTERFACE_ID: &[u8] = b"probe0";

/// A socket inside a namespace that speaks as many clients: directly, or as their relay.
#[derive(Debug)]
pub struct Probe {
    socket: UdpSocket,
    server: SocketAddrV6,
    /// The link-address if it speaks as a relay.
    link: Option<Ipv6Addr>,
    /// What it adds as a relay behind the Relay Message.
    line: Options,
}

impl Probe {
    /// Clients on the link of `interface`: multicast from port 546.
    ///
    /// # Errors
    /// The socket cannot be had inside the namespace.
    pub fn direct(namespace: &Namespace, interface: &str) -> Result<Probe> {
        let (index, _) = namespace.link(interface)?;
        let own = namespace.link_local(interface)?;
        let local = SocketAddrV6::new(own, CLIENT_PORT, 0, index);
        let server = SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, index);
        Probe::open(namespace, local, server, None)
    }

    /// Clients behind a relay: unicast from `own`, port 547, to `server`, with one Relay-forward
    /// layer that says `link`.
    ///
    /// # Errors
    /// The socket cannot be had inside the namespace.
    pub fn relay(
        namespace: &Namespace,
        own: Ipv6Addr,
        server: Ipv6Addr,
        link: Ipv6Addr,
    ) -> Result<Probe> {
        let local = SocketAddrV6::new(own, SERVER_PORT, 0, 0);
        let server = SocketAddrV6::new(server, SERVER_PORT, 0, 0);
        Probe::open(namespace, local, server, Some(link))
    }

    fn open(
        namespace: &Namespace,
        local: SocketAddrV6,
        server: SocketAddrV6,
        link: Option<Ipv6Addr>,
    ) -> Result<Probe> {
        let socket = namespace
            .inside(|| UdpSocket::bind(local).with_context(|| format!("cannot bind to {local}")))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        Ok(Probe {
            socket,
            server,
            link,
            line: Options::new(),
        })
    }

    /// As a relay adds these options from now on: what it knows of the client's line.
    pub fn set_line(&mut self, options: Options) {
        self.line = options;
    }

    /// Sends any bytes to the server.
    ///
    /// # Errors
    /// The socket refuses.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.socket
            .send_to(bytes, self.server)
            .context("cannot send")?;
        Ok(())
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// The socket refuses.
    pub fn send(&self, message: &Message) -> Result<()> {
        let bytes = message.encode();
        match self.link {
            None => self.send_bytes(&bytes),
            Some(link) => {
                let peer = peer_of(message);
                let mut forward = relay_forward(link, peer, INTERFACE_ID, &bytes);
                write_options(&self.line, &mut forward);
                self.send_bytes(&forward)
            }
        }
    }

    /// Sends a message until the answer with its transaction id comes.
    ///
    /// # Errors
    /// None comes, or what comes is malformed.
    pub fn ask(&self, message: &Message) -> Result<Message> {
        for _ in 0..TRIES {
            self.send(message)?;
            if let Some(answer) = self.answer_to(message, RESEND)? {
                return Ok(answer);
            }
            if interrupted() {
                bail!("interrupted");
            }
        }
        bail!("no answer to a message of type {}", message.kind)
    }

    /// Waits for the answer to a message that was sent before; none in `limit` gives `None`.
    ///
    /// # Errors
    /// What comes is malformed.
    pub fn answer_to(&self, message: &Message, limit: Duration) -> Result<Option<Message>> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(answer) = self.receive(message)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Sends a message until `servers` servers have answered it: one answer of each.
    ///
    /// # Errors
    /// Fewer answer, or what comes is malformed.
    pub fn ask_all(&self, message: &Message, servers: usize) -> Result<Vec<Message>> {
        let mut answers: Vec<Message> = Vec::new();
        for _ in 0..TRIES {
            self.send(message)?;
            let start = Instant::now();
            while start.elapsed() < RESEND && answers.len() < servers {
                let answer = self.receive(message)?;
                answers
                    .extend(answer.filter(|new| !answers.iter().any(|old| same_server(old, new))));
            }
            if answers.len() == servers {
                return Ok(answers);
            }
        }
        bail!(
            "{} of {servers} servers answered a message of type {}",
            answers.len(),
            message.kind
        )
    }

    /// The next message, out of its relay layer, if one comes soon: whoever it is for.
    ///
    /// # Errors
    /// What comes is malformed.
    pub fn next_message(&self) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 2048];
        let len = match self.socket.recv_from(&mut buffer) {
            Ok((len, _)) => len,
            Err(error) if says_nothing(error.kind()) => return Ok(None),
            Err(error) => return Err(error).context("cannot receive"),
        };
        let Some(link) = self.link else {
            return Ok(Some(buffer[..len].to_vec()));
        };
        let peer = buffer.get(18..34).context("a Relay-reply is too short")?;
        let peer = Ipv6Addr::from(<[u8; 16]>::try_from(peer)?);
        let inner = relay_reply(&buffer[..len], link, peer, INTERFACE_ID)?;
        let message = Message::decode(&inner)?;
        if message.option(code::CLIENT_ID).is_some() && peer_of(&message) != peer {
            bail!("the peer-address was not copied");
        }
        Ok(Some(inner))
    }

    /// The next datagram, if one comes soon and answers `message`.
    fn receive(&self, message: &Message) -> Result<Option<Message>> {
        let Some(octets) = self.next_message()? else {
            return Ok(None);
        };
        let answer = Message::decode(&octets)?;
        let is_ours = answer.transaction_id == message.transaction_id
            && answer.option(code::CLIENT_ID) == message.option(code::CLIENT_ID);
        Ok(is_ours.then_some(answer))
    }

    /// Solicit, Advertise, Request, Reply; returns the Reply.
    ///
    /// # Errors
    /// One of the two answers does not come or has the wrong type.
    pub fn four_messages(&self, client: &Client) -> Result<Message> {
        let advertise = self.ask(&client.solicit())?;
        if advertise.kind != kind::ADVERTISE {
            bail!("type {} came for a Solicit", advertise.kind);
        }
        let reply = self.ask(&client.request(&advertise)?)?;
        if reply.kind != kind::REPLY {
            bail!("type {} came for a Request", reply.kind);
        }
        Ok(reply)
    }
}

/// Whether an error of receiving only means that nothing has come: a time-out, a process that was
/// stopped and continued, or an ICMP error for an earlier datagram (no server yet).
fn says_nothing(error: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(
        error,
        WouldBlock | TimedOut | Interrupted | ConnectionRefused
    )
}

fn same_server(a: &Message, b: &Message) -> bool {
    a.option(code::SERVER_ID) == b.option(code::SERVER_ID)
}

/// A link-local address made of the client's DUID: what a relay would have seen as the source.
fn peer_of(message: &Message) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    if let Some(duid) = message.option(code::CLIENT_ID) {
        for (to, from) in octets[8..].iter_mut().rev().zip(duid.iter().rev()) {
            *to = *from;
        }
    }
    Ipv6Addr::from(octets)
}
