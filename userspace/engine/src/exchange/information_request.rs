//! Information-request (RFC 9915 §16.12, §18.3.6): configuration without leases, also for a client
//! that does not say who it is.

use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::model::OptionScopes;
use crate::reconfigure;
use crate::reply;
use wire::MessageType;

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    let index = &exchange.parsed.index;
    if !index.ias.is_empty() || index.has_ia_ta {
        return Err(DropReason::UnexpectedIa);
    }
    if index.server_id.is_some() {
        exchange.check_is_for_us()?;
    }
    let link = exchange.link()?;
    let model = exchange.context.model;
    let mut writer = reply::begin(exchange.out, model, exchange.parsed, MessageType::REPLY)?;
    let mut scopes = OptionScopes::new();
    scopes.push_reserved(model, link, exchange.parsed);
    scopes.push_classes(model, model.membership(exchange.parsed).of);
    scopes.push(link.options());
    reply::configured_options(&mut writer, model, &scopes, exchange.parsed)?;
    reconfigure::give_key(
        &mut writer,
        exchange.context,
        exchange.parsed,
        MessageType::REPLY,
    )?;
    let len = reply::finish(writer)?;
    Ok(Outcome::Reply {
        len,
        durable: false,
        kind: MessageType::REPLY,
    })
}
