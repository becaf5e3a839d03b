//! Options of any message, written behind any relay layers into any room, read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{MessageType, OptionCode, Options, RelayChain, ReplyWriter};

const RELAY_HEADER_LEN: usize = 34;

fuzz_target!(|input: (u16, &[u8])| {
    let (room, octets) = input;
    let Ok(chain) = RelayChain::parse(octets) else {
        return;
    };
    let mut buffer = vec![0; usize::from(room)];
    let Ok(mut writer) = ReplyWriter::begin_relayed(&mut buffer, &chain, MessageType::REPLY) else {
        return;
    };
    for option in chain.message.options.flatten() {
        if writer.option(option.code, option.data).is_err() {
            return;
        }
    }
    let len = writer.finish().expect("all lengths fit 16 bits");
    let mut rest = &buffer[..len];
    for _ in &chain.relays {
        let options = Options::new(&rest[RELAY_HEADER_LEN..], 0);
        rest = options.find(OptionCode::RELAY_MSG).expect("written").data;
    }
    let written = Options::new(&rest[4..], 0).map(|option| option.expect("our own"));
    let sent = chain.message.options.flatten();
    assert!(
        written
            .map(|o| (o.code, o.data))
            .eq(sent.map(|o| (o.code, o.data)))
    );
});
