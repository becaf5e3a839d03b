//! `POST /v1/reconfigure`: has clients talk to the server, and answers with a line of JSON for each
//! (RFC 9915 §18.3.11).
//!
//! The order lives as long as its connection: whoever closes it takes the order back.

mod campaign;
mod clients;
mod lines;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use engine::reconfigure::{Patience, RequestedMessage};
use lease::BindingStatus;
use serde::Deserialize;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::ControlState;
use super::answer::ApiError;
use crate::config::value::parse_hex;
use crate::control::command::Filter;
use crate::control::view::parse_link;
use campaign::{Campaign, Order};
use datapath::InterfaceId;
use wire::Duid;

/// Transmissions a second unless asked otherwise: a hundredth of what a worker answers, and no
/// more than the boxes on the way bear.
const RATE_DEFAULT: NonZeroU32 = NonZeroU32::new(100).expect("100 is not 0");
/// Most transmissions a second.
const RATE_MAX: u32 = 10_000;
/// Longest REC_TIMEOUT.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// By which interface the kernel reaches a relay.
pub trait Routes: Send + Sync {
    /// `None` if there is no way.
    fn towards(&self, relay: Ipv6Addr) -> Option<InterfaceId>;
}

/// The query of `POST /v1/reconfigure`: one of `duid`, `link` and `all`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReconfigureQuery {
    duid: Option<String>,
    link: Option<String>,
    #[serde(default)]
    all: bool,
    message: Option<Requested>,
    rate: Option<u32>,
    timeout_ms: Option<u64>,
    attempts: Option<u8>,
}

/// What clients are to send.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Requested {
    #[default]
    Renew,
    Rebind,
    InformationRequest,
}

impl From<Requested> for RequestedMessage {
    fn from(requested: Requested) -> Self {
        match requested {
            Requested::Renew => Self::Renew,
            Requested::Rebind => Self::Rebind,
            Requested::InformationRequest => Self::InformationRequest,
        }
    }
}

pub(super) async fn reconfigure(
    State(state): State<Arc<ControlState>>,
    query: Result<Query<ReconfigureQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    if !state.model.load().gives_keys() {
        return Err(ApiError::Conflict(
            "clients are given no keys, so they would discard a Reconfigure; set \
             reconfigure.enabled, and wait until they have got their keys"
                .into(),
        ));
    }
    let order = order(&query, &state)?;
    let only_one = Arc::clone(&state.reconfiguring).try_lock_owned();
    let only_one = only_one.map_err(|_| {
        ApiError::Conflict("another order is under way; end it, or wait for its end".into())
    })?;
    let (lines, body) = lines::channel();
    tokio::spawn(async move {
        Campaign::new(&state, order, lines).run().await;
        drop(only_one);
    });
    let json_lines = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((json_lines, body).into_response())
}

fn order(query: &ReconfigureQuery, state: &ControlState) -> Result<Order, ApiError> {
    let mut filter = Filter {
        status: Some(BindingStatus::Active),
        ..Filter::default()
    };
    match (&query.duid, &query.link, query.all) {
        (Some(text), None, false) => {
            let octets = parse_hex(text).filter(|octets| Duid::new(octets).is_some());
            let wrong = || ApiError::Bad(format!("duid: {text:?} is not a DUID in hexadecimal"));
            filter.duid = Some(octets.ok_or_else(wrong)?.into());
        }
        (None, Some(name), false) => {
            let unknown = || ApiError::NotFound(format!("link: there is no link {name:?}"));
            let link = parse_link(name, &state.model.load()).ok_or_else(unknown)?;
            filter.link = Some(link);
        }
        (None, None, true) => {}
        _ => return Err(ApiError::Bad("give one of duid, link and all".into())),
    }
    let default = Patience::default();
    let patience = Patience {
        timeout: query
            .timeout_ms
            .map_or(default.timeout, Duration::from_millis),
        attempts: query.attempts.unwrap_or(default.attempts),
    };
    if patience.timeout.is_zero() || patience.timeout > TIMEOUT_MAX {
        return Err(ApiError::Bad("timeout: write up to 10 minutes".into()));
    }
    if !(1..=default.attempts).contains(&patience.attempts) {
        let most = default.attempts;
        return Err(ApiError::Bad(format!("attempts: write 1 to {most}")));
    }
    let rate = query.rate.map_or(Some(RATE_DEFAULT), NonZeroU32::new);
    let rate = rate.filter(|rate| rate.get() <= RATE_MAX);
    Ok(Order {
        filter,
        requested: query.message.unwrap_or_default().into(),
        rate: rate.ok_or_else(|| ApiError::Bad(format!("rate: write 1 to {RATE_MAX}")))?,
        patience,
    })
}
