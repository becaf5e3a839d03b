//! In network namespaces of two threads, joined by a veth pair; needs root and `ip`.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};

use super::{KernelPath, KernelReader, KernelSocket};
use crate::addresses::Addresses;
use crate::interface::interface_facts;

const OURS: &str = "tl-dp-a";
const THEIRS: &str = "tl-dp-b";
const PATIENCE: Duration = Duration::from_secs(5);

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

fn new_namespace() {
    // SAFETY: the thread shares its descriptors as before; only its network is new.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
    for scope in ["all", "default"] {
        fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/accept_dad"), "0").unwrap();
    }
}

fn link_local(interface: &str) -> Ipv6Addr {
    let start = Instant::now();
    loop {
        match Addresses::read(interface, &[]).unwrap().link_local {
            Some(address) => return address,
            None => assert!(start.elapsed() < PATIENCE, "{interface} has no address"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The other end of the wire, in a namespace of its own.
struct Peer {
    socket: UdpSocket,
    address: Ipv6Addr,
    scope: u32,
}

impl Peer {
    fn send(&self, payload: &[u8], to: Ipv6Addr) {
        let to = SocketAddrV6::new(to, 547, 0, self.scope);
        assert_eq!(self.socket.send_to(payload, to).unwrap(), payload.len());
    }
}

fn connect() -> Peer {
    new_namespace();
    ip("link set lo up");
    let (tid_out, tid_in) = mpsc::channel();
    let (moved_out, moved_in) = mpsc::channel();
    let peer = thread::spawn(move || {
        new_namespace();
        tid_out.send(gettid().as_raw_nonzero()).unwrap();
        moved_in.recv().unwrap();
        ip(&format!("link set {THEIRS} up"));
        let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 546, 0, 0);
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = link_local(THEIRS);
        let scope = interface_facts(THEIRS).unwrap().index;
        Peer {
            socket,
            address,
            scope,
        }
    });
    let tid = tid_in.recv().unwrap();
    ip(&format!(
        "link add {OURS} address 02:00:00:00:00:0a mtu 1400 numrxqueues 2 numtxqueues 3 \
         type veth peer name {THEIRS} mtu 1400"
    ));
    ip(&format!("link set {THEIRS} netns {tid}"));
    ip(&format!("addr add 2001:db8::1/64 dev {OURS} nodad"));
    ip(&format!("link set {OURS} up"));
    moved_out.send(()).unwrap();
    peer.join().unwrap()
}

type Received = (Vec<u8>, Ipv6Addr, Ipv6Addr);

fn receive(reader: &mut KernelReader, socket: &KernelSocket, wait: Duration) -> Vec<Received> {
    let timeout = Timespec::try_from(wait).unwrap();
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)).unwrap();
    let mut all = Vec::new();
    let count = reader.receive(socket, 64, &mut |datagrams| {
        for datagram in datagrams {
            let payload = datagram.payload.to_vec();
            all.push((payload, datagram.source, datagram.destination));
        }
    });
    assert_eq!(count.unwrap(), all.len());
    all
}

/// Runs a test in a thread, whose namespace goes with it.
fn as_root(test: fn()) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: namespaces need root");
        return;
    }
    thread::spawn(test).join().unwrap();
}

#[test]
fn facts_of_a_veth_in_another_namespace() {
    as_root(|| {
        let _peer = connect();
        let facts = interface_facts(OURS).unwrap();
        assert_eq!(facts.mac, [2, 0, 0, 0, 0, 0x0a]);
        assert_eq!((facts.mtu, facts.queues, facts.is_veth), (1400, 2, true));
        assert_eq!(facts.driver.as_deref(), Some("veth"));
        assert!(interface_facts(THEIRS).is_err());
    });
}

#[test]
fn sockets_of_two_interfaces_coexist_and_those_of_one_do_not() {
    as_root(|| {
        let peer = connect();
        let (lo, ours) = (
            interface_facts("lo").unwrap(),
            interface_facts(OURS).unwrap(),
        );
        let on_lo = KernelSocket::open(&lo).unwrap();
        let on_ours = KernelSocket::open(&ours).unwrap();
        let second = KernelSocket::open(&ours).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        let mut reader = KernelReader::new();
        peer.send(b"\x01", super::GROUPS[0]);
        assert_eq!(receive(&mut reader, &on_ours, PATIENCE).len(), 1);
        assert_eq!(receive(&mut reader, &on_lo, Duration::ZERO).len(), 0);
    });
}

#[test]
fn both_groups_and_unicast_arrive_with_their_destination() {
    as_root(|| {
        let peer = connect();
        let socket = KernelSocket::open(&interface_facts(OURS).unwrap()).unwrap();
        let mut reader = KernelReader::new();
        for to in [super::GROUPS[0], super::GROUPS[1], link_local(OURS)] {
            peer.send(b"\x01abc", to);
            let expected = (b"\x01abc".to_vec(), peer.address, to);
            assert_eq!(receive(&mut reader, &socket, PATIENCE), [expected], "{to}");
        }
        assert_eq!(receive(&mut reader, &socket, Duration::ZERO), []);
    });
}

#[test]
fn an_answer_reaches_the_peer_from_the_address_asked_for() {
    as_root(|| {
        let peer = connect();
        let socket = KernelSocket::open(&interface_facts(OURS).unwrap()).unwrap();
        for local in [link_local(OURS), "2001:db8::1".parse().unwrap()] {
            let path = KernelPath {
                peer: peer.address,
                peer_port: 546,
                local,
            };
            let long = vec![7; 10_000];
            for payload in [&b"\x02"[..], &long] {
                socket.send(payload, &path).unwrap();
                let mut buffer = vec![0; 70_000];
                let (len, from) = peer.socket.recv_from(&mut buffer).unwrap();
                assert_eq!(&buffer[..len], payload);
                assert_eq!((from.ip(), from.port()), (local.into(), 547));
            }
        }
        let foreign = "2001:db8::2".parse().unwrap();
        let path = KernelPath {
            peer: peer.address,
            peer_port: 546,
            local: foreign,
        };
        assert!(socket.send(b"\x02", &path).is_err());
    });
}

#[test]
fn fragments_and_the_longest_datagram_arrive_whole_and_in_order() {
    as_root(|| {
        let peer = connect();
        let socket = KernelSocket::open(&interface_facts(OURS).unwrap()).unwrap();
        let mut reader = KernelReader::new();
        let lengths = [10_000, 1, 65_527, 0, 1352, 1353];
        for len in lengths {
            peer.send(&vec![len as u8; len], super::GROUPS[0]);
            let received = receive(&mut reader, &socket, PATIENCE);
            assert_eq!(received.len(), 1, "{len} octets");
            assert_eq!(received[0].0, vec![len as u8; len]);
        }
        assert_eq!(reader.truncated, 0);
    });
}

#[test]
fn the_budget_holds_across_batches() {
    as_root(|| {
        let peer = connect();
        let socket = KernelSocket::open(&interface_facts(OURS).unwrap()).unwrap();
        for number in 0..100_u8 {
            peer.send(&[number], super::GROUPS[0]);
        }
        let (mut reader, mut numbers) = (KernelReader::new(), Vec::new());
        for (budget, expected) in [(0, 0), (1, 1), (32, 32), (50, 50), (64, 17), (64, 0)] {
            let mut take = |datagrams: &[super::KernelDatagram<'_>]| {
                numbers.extend(datagrams.iter().map(|datagram| datagram.payload[0]));
            };
            assert_eq!(
                reader.receive(&socket, budget, &mut take).unwrap(),
                expected
            );
        }
        assert_eq!(numbers, (0..100).collect::<Vec<u8>>());
    });
}
