//! Any payload is a chain or is refused, and refusals can be printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::RelayChain;

fuzz_target!(|octets: &[u8]| {
    match RelayChain::parse(octets) {
        Ok(chain) => {
            let _ = chain.link_address();
        }
        Err(error) => {
            let _ = (error.to_string(), error.reason());
        }
    }
});
