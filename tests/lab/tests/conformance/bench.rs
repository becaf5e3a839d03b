//! One server, one client next to it and one relay: what every row of the table sends through.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::Lab;
use lab::message::{Client, Message, Options, code, find, kind, read_options, write_options};
use lab::server::{Config, Server};
use lab::topology::{RELAY_UP, SERVER_UP, Site};

/// The server's DUID as the config has it.
pub const SERVER_DUID: &[u8] = &[0, 4, 15, 14, 13, 12, 11, 10];
const CONFIG: &str = include_str!("config.toml");
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
const RELAY_PORT: u16 = 547;
/// A port that a relay uses only if it says so (RFC 8357).
pub const ODD_PORT: u16 = 1_547;

/// Where a datagram came from, and what was in it.
pub struct Answer {
    pub from: SocketAddrV6,
    pub payload: Vec<u8>,
}

pub struct Bench {
    server: Server,
    direct: UdpSocket,
    multicast: SocketAddrV6,
    relay: UdpSocket,
    odd: UdpSocket,
    unicast: UdpSocket,
    next_client: AtomicU32,
}

impl Bench {
    pub fn new(lab: &mut Lab) -> Result<Bench> {
        let site = Site::new(lab, 1)?;
        let client = site.lan.client(lab, "client")?;
        let far = site.add_relay(lab)?;
        let (index, _) = client.link("eth0")?;
        let own = client.link_local("eth0")?;
        client.add_address("eth0", "2001:db8:1::99/64")?;
        let bind = |namespace: &lab::Namespace, address: Ipv6Addr, port: u16, scope: u32| {
            let local = SocketAddrV6::new(address, port, 0, scope);
            let socket = namespace.inside(|| Ok(UdpSocket::bind(local)?));
            let socket = socket.with_context(|| format!("cannot bind to {local}"))?;
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            anyhow::Ok(socket)
        };
        Ok(Bench {
            server: Server::start(&site.server, &config(false))?,
            direct: bind(&client, own, 546, index)?,
            multicast: SocketAddrV6::new("ff02::1:2".parse()?, 547, 0, index),
            relay: bind(&far.relay, RELAY_UP, RELAY_PORT, 0)?,
            odd: bind(&far.relay, RELAY_UP, ODD_PORT, 0)?,
            unicast: bind(&client, "2001:db8:1::99".parse()?, 546, 0)?,
            next_client: AtomicU32::new(1),
        })
    }

    /// Restarts the server so that Renew and Rebind make bindings.
    pub fn bind_on_renew(&mut self) -> Result<()> {
        let text = config(true).text(self.server.config().parent().context("no directory")?);
        std::fs::write(self.server.config(), text)?;
        self.server.terminate()?;
        self.server.restart()
    }

    /// Kills the server, as by `kill -9`, and starts it again.
    pub fn crash(&mut self) -> Result<()> {
        self.server.kill()?;
        self.server.restart()
    }

    /// A client that no other row has.
    pub fn client(&self) -> Client {
        Client::new(self.next_client.fetch_add(1, Ordering::Relaxed))
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Sends a message on the client's link; its answer.
    pub fn ask(&self, message: &Message) -> Result<Message> {
        let answer = self.exchange(&self.direct, self.multicast, &message.encode())?;
        ensure!(
            answer.from.port() == 547,
            "answered from port {}",
            answer.from.port()
        );
        ours(Message::decode(&answer.payload)?, message)
    }

    /// Sends a message through one relay on the link of `link`; its answer.
    pub fn ask_behind(&self, link: &str, message: &Message) -> Result<Message> {
        let layer = Layer::on(link)?;
        let (layers, answer) = self.relayed(&[layer], message)?;
        ensure!(layers.len() == 1, "{} layers came back", layers.len());
        Ok(answer)
    }

    /// Sends a message through these relays, outermost first; what each one gets back.
    pub fn relayed(&self, layers: &[Layer], message: &Message) -> Result<(Vec<Layer>, Message)> {
        let server = SocketAddrV6::new(SERVER_UP, 547, 0, 0);
        let answer = self.exchange(&self.relay, server, &forward(layers, &message.encode()))?;
        let (back, inner) = unwrap(&answer.payload)?;
        Ok((back, ours(Message::decode(&inner)?, message)?))
    }

    /// Sends from the odd port; whether the answer came there, or at 547.
    pub fn answered_at_odd_port(&self, layers: &[Layer], message: &Message) -> Result<bool> {
        let server = SocketAddrV6::new(SERVER_UP, 547, 0, 0);
        self.odd
            .send_to(&forward(layers, &message.encode()), server)?;
        let began = Instant::now();
        while began.elapsed() < ANSWER_LIMIT {
            if receive(&self.odd)?.is_some() {
                return Ok(true);
            }
            if receive(&self.relay)?.is_some() {
                return Ok(false);
            }
        }
        bail!("no answer at either port")
    }

    /// Sends any octets on the client's link: nothing may come back, and the server counts a drop
    /// for this reason (for any, if none is named).
    pub fn is_discarded(&self, octets: &[u8], reason: Option<&str>) -> Result<()> {
        self.silence(reason, |bench| {
            bench.direct.send_to(octets, bench.multicast)?;
            Ok(())
        })
    }

    /// As [`is_discarded`](Self::is_discarded), from a relay.
    pub fn is_discarded_from_relay(&self, octets: &[u8], reason: &str) -> Result<()> {
        self.silence(Some(reason), |bench| {
            let server = SocketAddrV6::new(SERVER_UP, 547, 0, 0);
            bench.relay.send_to(octets, server)?;
            Ok(())
        })
    }

    /// As [`is_discarded`](Self::is_discarded), to the server's unicast address.
    pub fn is_discarded_unicast(&self, octets: &[u8], reason: &str) -> Result<()> {
        self.silence(Some(reason), |bench| {
            let server = SocketAddrV6::new(lab::topology::SERVER_ON_LAN, 547, 0, 0);
            bench.unicast.send_to(octets, server)?;
            Ok(())
        })
    }

    /// The message behind it is answered, so it was dealt with; and the drop is counted.
    fn silence(&self, reason: Option<&str>, send: impl Fn(&Self) -> Result<()>) -> Result<()> {
        let before = self.drops(reason)?;
        send(self)?;
        lab::wait_until("the drop to be counted", ANSWER_LIMIT, || {
            Ok((self.drops(reason)? > before).then_some(()))
        })?;
        ensure!(self.drops(reason)? == before + 1, "counted more than once");
        for socket in [&self.direct, &self.relay, &self.unicast] {
            ensure!(receive(socket)?.is_none(), "it was answered");
        }
        Ok(())
    }

    fn drops(&self, reason: Option<&str>) -> Result<u64> {
        let status = self.server.status()?;
        let Some(reason) = reason else {
            return status.drops();
        };
        let workers = status.0["workers"].as_array().context("no workers")?;
        let counted = workers
            .iter()
            .map(|w| w["drops"][reason].as_u64().unwrap_or(0));
        Ok(counted.sum())
    }

    fn exchange(&self, socket: &UdpSocket, to: SocketAddrV6, octets: &[u8]) -> Result<Answer> {
        while receive(socket)?.is_some() {}
        socket.send_to(octets, to)?;
        let began = Instant::now();
        while began.elapsed() < ANSWER_LIMIT {
            if let Some(answer) = receive(socket)? {
                return Ok(answer);
            }
        }
        bail!("no answer")
    }
}

fn config(bind_on_renew: bool) -> Config {
    let flag = if bind_on_renew { "true" } else { "false" };
    Config {
        template: Some(CONFIG.replace("@bind-on-renew@", flag)),
        ..Config::default()
    }
}

fn ours(answer: Message, question: &Message) -> Result<Message> {
    ensure!(
        answer.transaction_id == question.transaction_id,
        "another transaction-id"
    );
    Ok(answer)
}

fn receive(socket: &UdpSocket) -> Result<Option<Answer>> {
    let mut buffer = [0; 2048];
    match socket.recv_from(&mut buffer) {
        Ok((len, std::net::SocketAddr::V6(from))) => Ok(Some(Answer {
            from,
            payload: buffer[..len].to_vec(),
        })),
        Ok(_) => bail!("an answer over IPv4"),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(None)
        }
        // The process was stopped and continued.
        Err(error) if error.kind() == ErrorKind::Interrupted => receive(socket),
        Err(error) => Err(error.into()),
    }
}

/// One relay layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub hops: u8,
    pub link: Ipv6Addr,
    pub peer: Ipv6Addr,
    /// Besides the Relay Message.
    pub options: Options,
}

impl Layer {
    /// A relay on this link, with nothing to say.
    pub fn on(link: &str) -> Result<Layer> {
        Ok(Layer {
            hops: 0,
            link: link.parse()?,
            peer: "fe80::7".parse()?,
            options: Vec::new(),
        })
    }

    pub fn with(mut self, code: u16, data: &[u8]) -> Layer {
        self.options.push((code, data.to_vec()));
        self
    }
}

/// A message in these layers, outermost first.
pub fn forward(layers: &[Layer], message: &[u8]) -> Vec<u8> {
    layers.iter().rev().fold(message.to_vec(), |inner, layer| {
        let mut octets = vec![kind::RELAY_FORWARD, layer.hops];
        octets.extend(layer.link.octets());
        octets.extend(layer.peer.octets());
        write_options(&layer.options, &mut octets);
        write_options(&[(code::RELAY_MESSAGE, inner)], &mut octets);
        octets
    })
}

/// The layers of a Relay-reply, outermost first, and what is inside.
fn unwrap(payload: &[u8]) -> Result<(Vec<Layer>, Vec<u8>)> {
    if payload.first() != Some(&kind::RELAY_REPLY) {
        return Ok((Vec::new(), payload.to_vec()));
    }
    let header = payload.get(..34).context("a short Relay-reply")?;
    let address =
        |at: usize| -> Result<Ipv6Addr> { Ok(<[u8; 16]>::try_from(&header[at..at + 16])?.into()) };
    let mut options = read_options(&payload[34..])?;
    let inner = find(&options, code::RELAY_MESSAGE)
        .context("no Relay Message")?
        .to_vec();
    options.retain(|(code, _)| *code != code::RELAY_MESSAGE);
    let layer = Layer {
        hops: header[1],
        link: address(2)?,
        peer: address(18)?,
        options,
    };
    let (mut layers, message) = unwrap(&inner)?;
    layers.insert(0, layer);
    Ok((layers, message))
}
