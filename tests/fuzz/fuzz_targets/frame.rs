//! Any frame is read or refused; what is read can be answered and the answer read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{Frame, HEADROOM_MAX};

fuzz_target!(|octets: &[u8]| {
    let Ok(frame) = Frame::parse(octets) else {
        return;
    };
    let _ = frame.verify_checksum();
    assert_eq!(
        &octets[frame.payload_offset..][..frame.payload.len()],
        frame.payload
    );

    let path = frame.reply_path(frame.dst_mac, frame.dst);
    assert!(path.header_len() <= HEADROOM_MAX);
    let mut answer = vec![0; path.header_len()];
    answer.extend_from_slice(frame.payload);
    path.write(&mut answer, frame.payload.len()).expect("fits");
    let read = Frame::parse(&answer).expect("our own");
    assert_eq!(read.verify_checksum(), Ok(()));
    assert_eq!((read.payload, read.vlan), (frame.payload, frame.vlan));
});
