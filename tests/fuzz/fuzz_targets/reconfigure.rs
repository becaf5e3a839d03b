//! How a client is reached, as a partner or an import may say it: a Reconfigure goes out whole, or
//! not at all.

#![no_main]

use engine::reconfigure::{Replay, RequestedMessage, Rkap, write};
use engine::{Context, LinkSpec, Model, ModelBuilder};
use lease::{AbsTime, AllocationKey, BindingRecord, BindingStatus, Lease, LinkKey, PartnerTimes};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use wire::{Duid, IaKind, Iaid, Message, MessageIndex, MessageType, OptionCode, Options};

const RELAY_HEADER_LEN: usize = 34;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let replay = Replay::new(0);
    replay.set_limit(u64::MAX);
    let builder = ModelBuilder::new(&[0, 3, 0, 1], AllocationKey::new([1; 16]));
    let model = builder.link(LinkSpec::default()).build();
    let model = model.expect("a model that can be served");
    model.with_rkap(Rkap::new(&[7; 16], replay).map(Arc::new))
});

fuzz_target!(|via: &[u8]| {
    let now = AbsTime(1_000);
    let record = BindingRecord {
        duid: Duid::new(&[0, 3, 7]).expect("a DUID"),
        subscriber: None,
        kind: IaKind::Na,
        iaid: Iaid(1),
        lease: Lease { addr: 1, len: 128 },
        link: LinkKey(1),
        status: BindingStatus::Active,
        preferred_secs: 100,
        valid_secs: 200,
        cltt: now,
        status_since: now,
        expires: AbsTime(1_200),
        partner: PartnerTimes::NONE,
        accepts_reconfigure: true,
        via,
    };
    let mut out = [0xaa; 1452];
    let context = Context::alone(&MODEL, now);
    let Ok(letter) = write(&mut out, &context, &record, RequestedMessage::Renew) else {
        return;
    };
    let mut octets = &out[..letter.len];
    while octets[0] == MessageType::RELAY_REPL.0 {
        let options = Options::new(&octets[RELAY_HEADER_LEN..], 0);
        let inside = options.find(OptionCode::RELAY_MSG);
        octets = inside.expect("a message inside").data;
    }
    let message = Message::parse(octets, 0, OptionCode(0)).expect("a whole message");
    assert_eq!(message.msg_type, MessageType::RECONFIGURE);
    assert!(MessageIndex::new(&message).is_ok());
});
