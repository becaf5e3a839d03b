//! What the XDP program costs for each packet, and the verifier for loading it.

use std::os::fd::AsFd;

use anyhow::{Context, bail};
use datapath::xdp::Steering;
use rustix::net::{AddressFamily, SocketType, socket};
use wire::ClientKey;

/// Runs of the program that one measurement is the mean of.
const REPEAT: u32 = 1_000_000;
/// Measurements that a figure is the median of.
const MEASUREMENTS: usize = 7;

/// What is measured of one program: its figures' names with the relay layers of the message, and the
/// name of what the verifier went through.
struct Subject {
    steer_by: ClientKey,
    figures: [(&'static str, usize); 3],
    verified: &'static str,
}

const SUBJECTS: [Subject; 2] = [
    Subject {
        steer_by: ClientKey::Duid,
        figures: [("direct_ns", 0), ("relay1_ns", 1), ("relay8_ns", 8)],
        verified: "verified_instructions",
    },
    Subject {
        steer_by: ClientKey::RemoteId,
        figures: [
            ("remote_id_direct_ns", 0),
            ("remote_id_relay1_ns", 1),
            ("remote_id_relay8_ns", 8),
        ],
        verified: "remote_id_verified_instructions",
    },
];

/// Measures the steering program under BPF_PROG_TEST_RUN, ending as in production with a redirect
/// to a socket (the delivery itself is not part of it): nanoseconds for a direct Solicit and for
/// one behind one and eight relay layers, and the instructions that the verifier went through. Both
/// by the DUID and by the Remote-Id.
///
/// # Errors
///
/// Not root, no program in this binary, or the kernel refuses it.
pub fn run() -> anyhow::Result<Vec<(&'static str, f64)>> {
    let mut figures = Vec::new();
    for subject in SUBJECTS {
        figures.extend(measure(&subject)?);
    }
    Ok(figures)
}

fn measure(subject: &Subject) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let mut steering = Steering::load(false, subject.steer_by)?;
    // Shards belong to worker 0 until told otherwise; the socket need not be bound to be redirected to.
    let fd = socket(AddressFamily::XDP, SocketType::RAW, None).context("AF_XDP socket")?;
    steering.register(0, 0, fd.as_fd())?;
    let verified = steering
        .verified_instructions()?
        .context("the kernel does not tell")?;
    let mut figures = Vec::new();
    for (name, layers) in subject.figures {
        let frame = solicit(layers, subject.steer_by);
        figures.push((name, median_ns(&steering, &frame)?));
    }
    figures.push((subject.verified, verified.into()));
    Ok(figures)
}

fn median_ns(steering: &Steering, frame: &[u8]) -> anyhow::Result<f64> {
    let mut measured = [0.0; MEASUREMENTS];
    for ns in &mut measured {
        let run = steering.run(frame, REPEAT)?;
        if !run.redirected {
            bail!(
                "the program did not steer the packet: {:?}",
                steering.counters()?.passed
            );
        }
        *ns = run.duration.as_nanos() as f64;
    }
    measured.sort_by(f64::total_cmp);
    Ok(measured[MEASUREMENTS / 2])
}

/// An Ethernet frame with a Solicit for an address and a prefix, behind so many relay layers with
/// an Interface-Id each, and a Remote-Id if that is steered by.
fn solicit(layers: usize, steer_by: ClientKey) -> Vec<u8> {
    let mut message = vec![1, 0xab, 0xcd, 0xef];
    put_option(
        &mut message,
        1,
        &[0, 1, 0, 1, 0x2d, 1, 2, 3, 0x52, 0x54, 0, 0x12, 0x34, 0x56],
    );
    put_option(&mut message, 6, &[0, 23, 0, 24]);
    put_option(&mut message, 8, &[0; 2]);
    put_option(&mut message, 3, &[0; 12]);
    put_option(&mut message, 25, &[0; 12]);
    for _ in 0..layers {
        let mut relay = vec![12, 0];
        relay.extend([0x20; 32]);
        put_option(&mut relay, 18, b"eth0.7");
        if steer_by == ClientKey::RemoteId {
            put_option(&mut relay, 37, b"\0\0\x0d\xe9olt-7 slot 3 port 12");
        }
        put_option(&mut relay, 9, &message);
        message = relay;
    }
    let len = (message.len() as u16 + 8).to_be_bytes();
    let mut frame = vec![
        0x33, 0x33, 0, 1, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0,
    ];
    frame.extend(len);
    frame.extend([17, 1]);
    frame.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    frame.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]);
    frame.extend([2, 34, 2, 35]);
    frame.extend(len);
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

fn put_option(message: &mut Vec<u8>, code: u16, data: &[u8]) {
    message.extend(code.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}
