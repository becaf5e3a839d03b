//! Confirm (RFC 9915 §16.5, §18.3.3): are the client's addresses right for its link? Bindings are
//! neither looked at nor changed.

use super::{Exchange, Outcome};
use crate::drop_reason::DropReason;
use crate::policy::named;
use crate::reply;
use wire::{IaKind, MessageType, StatusCode};

pub(super) fn answer(exchange: &mut Exchange<'_>) -> Result<Outcome, DropReason> {
    exchange.client()?;
    exchange.check_is_for_all()?;
    exchange.check_ias_are_complete()?;
    let link = exchange.link()?;
    let model = exchange.context.model;
    let ias = exchange.parsed.index.ias.iter();
    let mut addresses = ias
        .filter(|ia| ia.kind == IaKind::Na)
        .flat_map(named)
        .peekable();
    if addresses.peek().is_none() || !link.can_judge_addresses() {
        return Err(DropReason::NothingToConfirm);
    }
    let status = if addresses.all(|address| model.is_on_link(link, exchange.parsed, address)) {
        StatusCode::SUCCESS
    } else {
        StatusCode::NOT_ON_LINK
    };
    let mut writer = reply::begin(exchange.out, model, exchange.parsed, MessageType::REPLY)?;
    reply::status(&mut writer, status)?;
    let len = reply::finish(writer)?;
    Ok(Outcome::Reply {
        len,
        durable: false,
        kind: MessageType::REPLY,
    })
}
