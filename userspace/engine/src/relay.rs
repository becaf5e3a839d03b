//! What relays ask to have back (RFC 4994, RFC 8357) and what they supply for their clients
//! (RFC 6422).

use crate::drop_reason::DropReason;
use crate::ingress::Parsed;
use crate::model::OptionScopes;
use arrayvec::ArrayVec;
use wire::{NoRoom, OptionCode, Options, Oro, RawOption, RelayForward, ReplyWriter};

/// Codes of one Echo Request that are looked at; more than a relay has options.
const ECHOED_MAX: usize = 32;
/// Options that all relays of one message can supply together.
const SUPPLIED_MAX: usize = 16;

/// Puts into a Relay-reply layer what its Relay-forward asks for beside the Interface-Id: the
/// Relay Source Port as it came (RFC 8357 §5.2), and every option that an Echo Request names,
/// unless it is there already (RFC 4994 §5).
pub(crate) fn echo(relay: &RelayForward<'_>, writer: &mut ReplyWriter<'_>) -> Result<(), NoRoom> {
    if !relay.wants_echo {
        return Ok(());
    }
    let port = relay.options.find(OptionCode::RELAY_PORT);
    if let Some(port) = port {
        writer.option(port.code, port.data)?;
    }
    let Some(request) = relay.options.find(OptionCode::ERO) else {
        return Ok(());
    };
    // An Echo Request of an odd length asks for nothing that could be told.
    let asked = Oro::parse(&request).unwrap_or_default();
    for (index, code) in asked.iter().take(ECHOED_MAX).enumerate() {
        let is_there = match code {
            OptionCode::INTERFACE_ID | OptionCode::RELAY_MSG => true,
            OptionCode::RELAY_PORT => port.is_some(),
            _ => asked.iter().take(index).any(|before| before == code),
        };
        if is_there {
            continue;
        }
        for option in all(relay.options).filter(|option| option.code == code) {
            writer.option(code, option.data)?;
        }
    }
    Ok(())
}

/// Adds the options that relays supply and the client asks for, if they are `enabled` and the
/// configuration has no value of its own for this client; of several values for one code the one
/// of the relay nearest to the client (RFC 6422 §6).
pub(crate) fn supply(
    writer: &mut ReplyWriter<'_>,
    parsed: &Parsed<'_>,
    scopes: &OptionScopes<'_>,
    enabled: &[OptionCode],
) -> Result<(), DropReason> {
    let mut supplied = ArrayVec::<OptionCode, SUPPLIED_MAX>::new();
    let relays = parsed.chain.relays.iter().rev();
    for relay in relays.filter(|relay| relay.supplies_options) {
        let Some(container) = relay.options.find(OptionCode::RSOO) else {
            continue;
        };
        for option in all(Options::new(container.data, 0)) {
            let code = option.code;
            let wanted = enabled.contains(&code)
                && parsed.index.oro.contains(code)
                && !scopes.has(code)
                && !supplied.contains(&code);
            if wanted && supplied.try_push(code).is_ok() {
                writer.option(code, option.data)?;
            }
        }
    }
    Ok(())
}

/// The options up to the first that is malformed.
fn all<'a>(options: Options<'a>) -> impl Iterator<Item = RawOption<'a>> {
    options.map_while(Result::ok)
}
