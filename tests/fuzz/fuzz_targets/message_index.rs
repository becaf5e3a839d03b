//! Any message is indexed or refused with an offset inside it; an indexed IA can be indexed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::options::dns;
use wire::{IaIndex, Message, MessageIndex, OptionCode};

fuzz_target!(|octets: &[u8]| {
    let Ok(message) = Message::parse(octets, 0, OptionCode(0)) else {
        return;
    };
    match MessageIndex::new(&message) {
        Ok(index) => {
            for ia in &index.ias {
                IaIndex::new(ia).expect("checked by the message's index");
            }
        }
        Err(malformed) => assert!(malformed.offset as usize <= octets.len()),
    }
    for option in message.options.flatten() {
        for name in dns::names(&option).flatten() {
            let _ = name.to_string();
        }
    }
});
