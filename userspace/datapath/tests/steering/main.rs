//! The XDP program in the kernel against the userspace definition of the same walk and hash.
//!
//! Needs root and a binary with the program; says why it is skipped otherwise.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod subscriber;

use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};

use datapath::xdp::{self, Steering};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::net::{AddressFamily, SocketType, socket};
use wire::steer::{self, ClientKey, Pass, SHARDS, ShardId};

/// A prime, so that a shard and its worker are never the same number by chance.
const WORKERS: u8 = 13;
const SERVED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const UNSERVED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const SITE_GROUP: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

/// The loaded program, with a socket for each worker on the queue that a run pretends. The kernel
/// asks only at delivery whether they are bound, and a run outside of an interface delivers nothing.
struct Kernel {
    steering: Steering,
    steer_by: ClientKey,
    _sockets: Vec<OwnedFd>,
}

impl Kernel {
    fn new() -> Option<Self> {
        Self::steering_by(ClientKey::Duid)
    }

    fn steering_by(steer_by: ClientKey) -> Option<Self> {
        if !xdp::available() {
            println!("skipped: built without the XDP program (cargo xtask setup)");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            println!("skipped: loading an XDP program needs root");
            return None;
        }
        let mut steering = Steering::load(false, steer_by).expect("the kernel takes the program");
        steering
            .set_owner(&owners())
            .expect("the owner table is written");
        steering
            .set_served(&[UNSERVED])
            .expect("addresses are served");
        steering
            .set_served(&[SERVED])
            .expect("addresses are replaced");
        let mut sockets = Vec::new();
        for worker in 0..WORKERS {
            let fd = socket(AddressFamily::XDP, SocketType::RAW, None).expect("AF_XDP socket");
            steering
                .register(0, worker, fd.as_fd())
                .expect("the socket is registered");
            sockets.push(fd);
        }
        Some(Self {
            steering,
            steer_by,
            _sockets: sockets,
        })
    }

    /// Runs the frame through the program, and tells the worker or the reason by its counters.
    fn judge(&self, frame: &[u8]) -> Result<u8, Pass> {
        let before = self.steering.counters().expect("counters are read");
        let run = self.steering.run(frame, 1).expect("the frame is run");
        let after = self.steering.counters().expect("counters are read");
        let steered = (0..).zip(after.steered.iter().zip(before.steered));
        let passed = Pass::ALL
            .iter()
            .filter(|reason| after.passed(**reason) > before.passed(**reason));
        let workers: Vec<u8> = steered
            .filter(|(_, (after, before))| **after > *before)
            .map(|(index, _)| index)
            .collect();
        let reasons: Vec<Pass> = passed.copied().collect();
        assert_eq!(workers.len() + reasons.len(), 1, "one verdict, one counter");
        assert_eq!(
            run.redirected,
            reasons.is_empty(),
            "the verdict is what was counted"
        );
        workers.first().copied().ok_or_else(|| reasons[0])
    }

    /// Asserts that kernel and userspace judge alike, and gives the verdict.
    fn agree(&self, frame: &[u8]) -> Result<u8, Pass> {
        let kernel = self.judge(frame);
        assert_eq!(kernel, expected(frame, self.steer_by), "frame {frame:02x?}");
        kernel
    }
}

fn owners() -> [u8; SHARDS] {
    std::array::from_fn(|shard| (shard % usize::from(WORKERS)) as u8)
}

fn owner(shard: ShardId) -> u8 {
    owners()[usize::from(shard.0)]
}

/// What userspace says of the frame.
fn expected(frame: &[u8], steer_by: ClientKey) -> Result<u8, Pass> {
    steer::shard_of_frame(&frame, steer_by, |address| *address == SERVED.octets()).map(owner)
}

/// Options of a relay layer besides Relay Message, and how many of them stand before it.
type Layer = (Vec<(u16, Vec<u8>)>, usize);

/// What a frame is made of.
#[derive(Clone, Debug)]
struct Recipe {
    tags: Vec<u16>,
    next_header: u8,
    destination: Ipv6Addr,
    port: u16,
    /// Relay layers, outermost first.
    layers: Vec<Layer>,
    options: Vec<(u16, Vec<u8>)>,
}

impl Recipe {
    fn new(layers: usize, duid: &[u8]) -> Self {
        let relay = (vec![(18, b"port-7".to_vec())], 1);
        Self {
            tags: Vec::new(),
            next_header: 17,
            destination: GROUP,
            port: 547,
            layers: vec![relay; layers],
            options: vec![(8, vec![0; 2]), (1, duid.to_vec()), (14, Vec::new())],
        }
    }

    fn frame(&self) -> Vec<u8> {
        let mut message = vec![1, 0xab, 0xcd, 0xef];
        put_options(&mut message, &self.options);
        for (options, before) in self.layers.iter().rev() {
            let mut relay = vec![12, 0];
            relay.extend([0x20; 32]);
            let before = (*before).min(options.len());
            put_options(&mut relay, &options[..before]);
            put_options(&mut relay, &[(9, message)]);
            put_options(&mut relay, &options[before..]);
            message = relay;
        }
        let len = (message.len() + 8) as u16;
        let mut frame = vec![0x33, 0x33, 0, 1, 0, 2, 2, 0, 0, 0, 0, 1];
        for tag in &self.tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([self.next_header, 1]);
        frame.extend(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).octets());
        frame.extend(self.destination.octets());
        frame.extend(546_u16.to_be_bytes());
        frame.extend(self.port.to_be_bytes());
        frame.extend(len.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(message);
        frame
    }
}

fn put_options(message: &mut Vec<u8>, options: &[(u16, Vec<u8>)]) {
    for (code, data) in options {
        message.extend(code.to_be_bytes());
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
}

const DUID: [u8; 14] = [0, 1, 0, 1, 0x2d, 1, 2, 3, 0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn steered() -> Result<u8, Pass> {
    Ok(owner(steer::shard_of(&DUID)))
}

#[test]
fn up_to_eight_relay_layers_and_two_tags_are_steered() {
    let Some(kernel) = Kernel::new() else { return };
    for layers in 0..=9 {
        for tags in [
            vec![],
            vec![0x8100],
            vec![0x88a8],
            vec![0x88a8, 0x8100],
            vec![0x8100; 3],
        ] {
            let mut recipe = Recipe::new(layers, &DUID);
            let verdict = match (layers, tags.len()) {
                (_, 3) => Err(Pass::TooManyTags),
                (9, _) => Err(Pass::TooDeep),
                _ => steered(),
            };
            recipe.tags = tags;
            assert_eq!(
                kernel.agree(&recipe.frame()),
                verdict,
                "{layers} layers, {recipe:?}"
            );
        }
    }
}

#[test]
fn frames_that_no_ring_takes_are_left_to_the_kernel() {
    let Some(kernel) = Kernel::new() else { return };
    let mut recipe = Recipe::new(1, &DUID);
    recipe.options.push((65_000, Vec::new()));
    let short = recipe.frame().len();
    for (len, verdict) in [
        (steer::STEERED_LEN_MAX, steered()),
        (steer::STEERED_LEN_MAX + 1, Err(Pass::FrameTooLong)),
    ] {
        recipe.options[3].1 = vec![0; len - short];
        let frame = recipe.frame();
        assert_eq!(frame.len(), len);
        assert_eq!(kernel.agree(&frame), verdict, "{len} octets");
    }
}

#[test]
fn what_is_not_ours_is_left_to_the_kernel_by_its_reason() {
    let Some(kernel) = Kernel::new() else { return };
    let verdict = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = Recipe::new(1, &DUID);
        change(&mut recipe);
        kernel.agree(&recipe.frame())
    };
    for destination in [GROUP, SITE_GROUP, SERVED] {
        assert_eq!(
            verdict(&|recipe| recipe.destination = destination),
            steered()
        );
    }
    assert_eq!(
        verdict(&|recipe| recipe.destination = UNSERVED),
        Err(Pass::NotOurAddress)
    );
    for port in [0, 53, 546, 548, u16::MAX] {
        assert_eq!(verdict(&|recipe| recipe.port = port), Err(Pass::NotOurPort));
    }
    for header in [0, 43, 50, 51, 60, 135, 139, 140] {
        assert_eq!(
            verdict(&|recipe| recipe.next_header = header),
            Err(Pass::ExtensionHeader)
        );
    }
    assert_eq!(
        verdict(&|recipe| recipe.next_header = 44),
        Err(Pass::Fragment)
    );
    assert_eq!(verdict(&|recipe| recipe.next_header = 6), Err(Pass::NotUdp));
    assert_eq!(
        verdict(&|recipe| recipe.options.clear()),
        Err(Pass::NoClientId)
    );
    assert_eq!(
        verdict(&|recipe| recipe.options[1].1.clear()),
        Err(Pass::DuidLength)
    );
    assert_eq!(
        verdict(&|recipe| recipe.options[1].1 = vec![1; 131]),
        Err(Pass::DuidLength)
    );
    let elapsed = (8, vec![0; 2]);
    assert_eq!(
        verdict(&|recipe| recipe.options = vec![elapsed.clone(); 200]),
        Err(Pass::TooManyOptions)
    );

    let mut ipv4 = Recipe::new(0, &DUID).frame();
    ipv4[12..14].copy_from_slice(&[8, 0]);
    assert_eq!(kernel.agree(&ipv4), Err(Pass::NotIpv6));
    // The type of the message in the Relay Message option becomes an option of the outer message.
    let mut no_message = Recipe::new(1, &DUID).frame();
    no_message[14 + 48 + 34 + 4 + 6 + 1] = 0xff;
    assert_eq!(kernel.agree(&no_message), Err(Pass::NoRelayMessage));
}

#[test]
fn a_worker_without_socket_leaves_its_packets_to_the_kernel() {
    let Some(mut kernel) = Kernel::new() else {
        return;
    };
    let frame = Recipe::new(2, &DUID).frame();
    let worker = kernel.judge(&frame).expect("a steered packet");
    kernel.steering.unregister(0, worker).expect("unregistered");
    kernel
        .steering
        .unregister(0, worker)
        .expect("unregistered twice");
    assert_eq!(kernel.judge(&frame), Err(Pass::NoSocket));
    kernel
        .steering
        .set_owner(&[0; SHARDS])
        .expect("the owner table is written");
    kernel
        .steering
        .set_owner(&[255; SHARDS])
        .expect("the owner table is written");
    assert_eq!(kernel.judge(&frame), Err(Pass::NoSocket));
}

#[test]
fn a_frame_cut_at_any_octet_is_never_steered() {
    let Some(kernel) = Kernel::new() else { return };
    for layers in [0, 1, 8] {
        let mut recipe = Recipe::new(layers, &DUID);
        recipe.tags = vec![0x88a8, 0x8100];
        let frame = recipe.frame();
        for len in 14..frame.len() {
            assert_eq!(
                kernel.agree(&frame[..len]),
                Err(Pass::Truncated),
                "cut at {len}"
            );
        }
    }
}

#[test]
fn a_message_cut_at_any_octet_is_judged_alike() {
    let Some(kernel) = Kernel::new() else { return };
    for layers in [0, 1, 3] {
        cut_message(&kernel, &Recipe::new(layers, &DUID).frame());
    }
}

/// Cuts the datagram of a frame without tags at every octet of its message.
fn cut_message(kernel: &Kernel, frame: &[u8]) {
    for len in 62..frame.len() {
        let mut cut = frame[..len].to_vec();
        let udp_len = (len as u16 - 54).to_be_bytes();
        cut[18..20].copy_from_slice(&udp_len);
        cut[58..60].copy_from_slice(&udp_len);
        // Octets behind the datagram must not be taken for a part of it.
        let verdict = kernel.agree(&cut);
        cut.extend(&frame[len..]);
        assert_eq!(kernel.agree(&cut).is_ok(), verdict.is_ok(), "cut at {len}");
    }
}

fn any_options(max: usize) -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let code = (2_u16..200).prop_filter("not Relay Message", |code| *code != 9);
    prop::collection::vec((code, prop::collection::vec(any::<u8>(), 0..20)), 0..max)
}

fn any_recipe() -> impl Strategy<Value = Recipe> {
    (
        prop::collection::vec(prop::sample::select(vec![0x8100_u16, 0x88a8]), 0..4),
        prop::sample::select(vec![GROUP, SITE_GROUP, SERVED, UNSERVED]),
        prop::collection::vec((any_options(5), 0_usize..5), 0..10),
        prop::collection::vec(any::<u8>(), 1..=130),
        any_options(8),
        any_options(8),
    )
        .prop_map(|(tags, destination, layers, duid, before, after)| {
            let mut recipe = Recipe::new(0, &duid);
            let client_id = (1, duid);
            recipe.options = [before, vec![client_id], after].concat();
            Recipe {
                tags,
                destination,
                layers,
                ..recipe
            }
        })
}

#[test]
fn any_well_formed_message_goes_to_the_worker_of_its_duid() {
    let Some(kernel) = Kernel::new() else { return };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(256)
    });
    let result = runner.run(&any_recipe(), |recipe| {
        let (_, duid) = recipe
            .options
            .iter()
            .find(|(code, _)| *code == 1)
            .expect("a client id");
        let verdict = match &recipe {
            recipe if recipe.tags.len() > 2 => Err(Pass::TooManyTags),
            recipe if recipe.destination == UNSERVED => Err(Pass::NotOurAddress),
            recipe if recipe.layers.len() > 8 => Err(Pass::TooDeep),
            _ => Ok(owner(steer::shard_of(duid))),
        };
        prop_assert_eq!(kernel.agree(&recipe.frame()), verdict);
        Ok(())
    });
    result.expect("kernel and userspace agree");
}

#[test]
fn any_octets_behind_good_headers_are_judged_alike() {
    let Some(kernel) = Kernel::new() else { return };
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(256)
    });
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let result = runner.run(&(any_recipe(), damage), |(recipe, damage)| {
        let mut frame = recipe.frame();
        for (index, octet) in damage {
            let at = index.index(frame.len());
            frame[at] = octet;
        }
        let _: Result<u8, Pass> = kernel.agree(&frame);
        Ok(())
    });
    result.expect("kernel and userspace agree");
}

#[test]
fn the_verifier_has_room_left() {
    for steer_by in ClientKey::ALL {
        let Some(kernel) = Kernel::steering_by(steer_by) else {
            return;
        };
        let verified = kernel
            .steering
            .verified_instructions()
            .expect("the kernel tells");
        println!("by {}: {verified:?} instructions", steer_by.as_str());
        assert!(
            verified.is_none_or(|count| count < 300_000),
            "{verified:?} of 1,000,000"
        );
    }
}

#[test]
fn the_program_loads_with_its_log_on() {
    let Some(_) = Kernel::new() else { return };
    for steer_by in ClientKey::ALL {
        let mut steering = Steering::load(true, steer_by).expect("the kernel takes the program");
        steering
            .run(&Recipe::new(0, &DUID).frame(), 1)
            .expect("the frame is run");
        steering.flush_log();
    }
}
