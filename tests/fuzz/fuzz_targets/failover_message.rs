//! Any octets of a failover connection are framed, read and written back meaning the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::failover::{Body, Container, FailoverMessage, Frames, MessageError, TlsMessage, stamp};

fuzz_target!(|octets: &[u8]| {
    let mut frames = Frames::new(octets);
    let mut framed = 0;
    for frame in frames.by_ref().flatten() {
        framed += 2 + frame.len();
        read(frame);
    }
    assert_eq!(framed + frames.rest().len(), octets.len());
    let mut stamped = octets.to_vec();
    stamp(&mut stamped, 0x0102_0304);
    let sizes = |octets| Frames::new(octets).map(|frame| frame.map(<[u8]>::len));
    assert!(sizes(octets).eq(sizes(&stamped)));
});

fn read(frame: &[u8]) {
    let _ = TlsMessage::parse(frame);
    let Ok(message) = FailoverMessage::parse(frame) else {
        return;
    };
    let body = match message.body() {
        Ok(body) => body,
        Err(MessageError::Malformed { malformed, .. }) => {
            assert!(malformed.offset as usize <= frame.len());
            return;
        }
        Err(_) => return,
    };
    // What is not understood is left out, so it never gets longer.
    let mut buffer = vec![0; 2 + frame.len()];
    let len = body
        .write(&mut buffer, message.transaction_id)
        .expect("room");
    let written = FailoverMessage::parse(&buffer[2..len]).expect("our own");
    same(&body, &written.body().expect("our own"));
}

fn same(read: &Body<'_>, written: &Body<'_>) {
    match (read, written) {
        (
            Body::Bndupd(Container::Client(a)) | Body::Bndreply(Container::Client(a)),
            Body::Bndupd(Container::Client(b)) | Body::Bndreply(Container::Client(b)),
        ) => {
            assert_eq!(a.client, b.client);
            assert!(
                a.leases()
                    .map(|l| l.options)
                    .eq(b.leases().map(|l| l.options))
            );
        }
        (
            Body::Bndupd(Container::Prefix(a)) | Body::Bndreply(Container::Prefix(a)),
            Body::Bndupd(Container::Prefix(b)) | Body::Bndreply(Container::Prefix(b)),
        ) => assert_eq!(a.options, b.options),
        (a, b) => assert_eq!(a, b),
    }
}
