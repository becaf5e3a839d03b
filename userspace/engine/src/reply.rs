//! What stands in an answer, and in which order (RFC 9915 §18.3).

use crate::drop_reason::DropReason;
use crate::ingress::Parsed;
use crate::lifetime::Timers;
use crate::model::{Model, OptionScopes};
use crate::plan::{IaAnswer, Line};
use crate::relay;
use wire::{IaKind, MessageType, NoRoom, OptionCode, ReplyWriter, StatusCode};

impl From<NoRoom> for DropReason {
    fn from(_: NoRoom) -> Self {
        Self::ReplyTooLong
    }
}

/// Relay envelopes, header, Server Identifier, and the Client Identifier if there was one.
pub(crate) fn begin<'b>(
    out: &'b mut [u8],
    model: &Model,
    parsed: &Parsed<'_>,
    kind: MessageType,
) -> Result<ReplyWriter<'b>, DropReason> {
    let mut writer = ReplyWriter::begin_relayed_with(out, &parsed.chain, kind, relay::echo)?;
    if let Some(client) = parsed.client_id() {
        writer.option(OptionCode::CLIENTID, client.octets())?;
    }
    writer.option(OptionCode::SERVERID, model.server_duid())?;
    Ok(writer)
}

/// The server's preference, unless it is the one that a client assumes (RFC 9915 §18.3.9).
pub(crate) fn preference(writer: &mut ReplyWriter<'_>, model: &Model) -> Result<(), DropReason> {
    if model.preference != 0 {
        writer.option(OptionCode::PREFERENCE, &[model.preference])?;
    }
    Ok(())
}

/// Says that the Reply answers a Solicit (RFC 9915 §21.14).
pub(crate) fn rapid_commit(writer: &mut ReplyWriter<'_>) -> Result<(), DropReason> {
    Ok(writer.option(OptionCode::RAPID_COMMIT, &[])?)
}

/// A status of the whole message.
pub(crate) fn status(writer: &mut ReplyWriter<'_>, code: StatusCode) -> Result<(), DropReason> {
    Ok(writer.status(code, text(code))?)
}

/// An IA with its leases and its status.
pub(crate) fn ia(
    writer: &mut ReplyWriter<'_>,
    ia: &IaAnswer<'_>,
    timers: Timers,
    excludes: Option<&Model>,
) -> Result<(), DropReason> {
    let open = writer.open_ia(ia.kind, ia.iaid, timers.t1_secs, timers.t2_secs)?;
    for line in ia.lines.iter().filter(|line| line.is_told()) {
        let (preferred, valid) = (line.lifetimes.preferred_secs, line.lifetimes.valid_secs);
        match ia.kind {
            IaKind::Na => writer.ia_address(line.lease.addr, preferred, valid)?,
            IaKind::Pd => {
                let open =
                    writer.open_ia_prefix(line.lease.addr, line.lease.len, preferred, valid)?;
                if let Some(model) = excludes {
                    exclude(writer, line, model)?;
                }
                writer.close(open)?;
            }
        }
    }
    if let Some(code) = ia.status {
        status(writer, code)?;
    }
    Ok(writer.close(open)?)
}

/// Prefix Exclude (RFC 6603 §4.2), inside an IAPREFIX whose pool says so.
fn exclude(writer: &mut ReplyWriter<'_>, line: &Line, model: &Model) -> Result<(), DropReason> {
    let excluded = line.pool.and_then(|id| model.pool(id).excluded(line.lease));
    if let Some(data) = excluded {
        writer.option(OptionCode::PD_EXCLUDE, &data)?;
    }
    Ok(())
}

/// The configured options that the client asks for, or that are always sent, and what its relays
/// supply (RFC 9915 §18.3, §21.7; RFC 6422).
pub(crate) fn configured_options(
    writer: &mut ReplyWriter<'_>,
    model: &Model,
    scopes: &OptionScopes<'_>,
    parsed: &Parsed<'_>,
) -> Result<(), DropReason> {
    let requested = parsed.index.oro;
    let is_information = parsed.msg_type() == MessageType::INFORMATION_REQUEST;
    for option in scopes.iter() {
        let wanted = option.always || requested.contains(option.code);
        if wanted && (is_information || !option.information_only) {
            writer.put(&option.octets)?;
        }
    }
    relay::supply(writer, parsed, scopes, &model.relay_supplied)
}

/// Closes the relay envelopes; the length of the UDP payload.
pub(crate) fn finish(writer: ReplyWriter<'_>) -> Result<usize, DropReason> {
    Ok(writer.finish()?)
}

/// What a user may read about a status (RFC 9915 §21.13).
fn text(code: StatusCode) -> &'static str {
    match code {
        StatusCode::SUCCESS => "all right",
        StatusCode::NO_ADDRS_AVAIL => "no address is free on this link",
        StatusCode::NO_PREFIX_AVAIL => "no prefix is free on this link",
        StatusCode::NO_BINDING => "no binding is known for this IA",
        StatusCode::NOT_ON_LINK => "an address does not belong on this link",
        _ => "",
    }
}
