//! `POST` on `/v1/leases`: what an operator changes of bindings.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Json;
use lease::{BindingStatus, Lease};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::ControlState;
use super::answer::ApiError;
use super::leases::{ask, lease_in_path};
use crate::control::command::{
    Command, EndLease, Ended, ImportLeases, OwnedBinding, PAGE_MAX, TakeLease, TakeLeases,
};
use crate::control::view::{BindingView, status_word};
use crate::import::{ImportAnswer, binding_of};

/// The query of a path that ends in a lease.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LengthQuery {
    pub(super) length: Option<u8>,
}

/// A lease that has been freed.
#[derive(Debug, Serialize)]
pub(super) struct Freed {
    lease: String,
}

/// `POST /v1/leases/{lease}/release`: ends an active binding, as if its client had.
pub(super) async fn release(
    State(state): State<Arc<ControlState>>,
    lease: Result<Path<String>, PathRejection>,
    query: Result<Query<LengthQuery>, QueryRejection>,
) -> Result<Json<Freed>, ApiError> {
    let lease = lease_in_path(lease, query)?;
    end(&state, lease, BindingStatus::Active).await
}

/// `POST /v1/leases/{lease}/reset`: ends the quarantine of an abandoned lease.
pub(super) async fn reset(
    State(state): State<Arc<ControlState>>,
    lease: Result<Path<String>, PathRejection>,
    query: Result<Query<LengthQuery>, QueryRejection>,
) -> Result<Json<Freed>, ApiError> {
    let lease = lease_in_path(lease, query)?;
    end(&state, lease, BindingStatus::Abandoned).await
}

async fn end(
    state: &ControlState,
    lease: Lease,
    status: BindingStatus,
) -> Result<Json<Freed>, ApiError> {
    for worker in state.workers.all() {
        let order = |reply| {
            Command::EndLease(EndLease {
                lease,
                status,
                reply,
            })
        };
        match ask(worker, order).await? {
            Ended::NotHere => {}
            Ended::Done => {
                tracing::info!(%lease, was = status_word(status), "an operator freed a lease");
                return Ok(Json(Freed {
                    lease: lease.to_string(),
                }));
            }
            Ended::Otherwise(found) => {
                return Err(ApiError::Conflict(format!(
                    "{lease} is {} and not {}",
                    status_word(found),
                    status_word(status)
                )));
            }
            Ended::Failing => return Err(ApiError::Busy),
        }
    }
    Err(ApiError::NotFound(format!(
        "there is no binding of {lease}"
    )))
}

/// `POST /v1/leases/import`: at most [`PAGE_MAX`] bindings, no lease twice.
pub(super) async fn import(
    State(state): State<Arc<ControlState>>,
    bindings: Result<Json<Vec<BindingView>>, JsonRejection>,
) -> Result<Json<ImportAnswer>, ApiError> {
    let Json(views) = bindings.map_err(|wrong| ApiError::Bad(wrong.body_text()))?;
    if views.len() > PAGE_MAX {
        return Err(ApiError::Bad(format!("send at most {PAGE_MAX} at once")));
    }
    // Not ended halfway when the client goes away: leases taken for it would stay taken.
    let imported = tokio::spawn(async move { import_all(&state, &views).await });
    imported
        .await
        .map_err(|_| ApiError::WorkerSilent)?
        .map(Json)
}

/// A binding on its way, with its place among those sent.
struct Coming {
    index: usize,
    binding: OwnedBinding,
    taken: bool,
}

async fn import_all(state: &ControlState, views: &[BindingView]) -> Result<ImportAnswer, ApiError> {
    // A lease taken in the pools of one model must be bound under the same model.
    let _unchanged = state.changing.lock().await;
    let model = state.model.load_full();
    let mut answer = ImportAnswer::default();
    let mut coming = Vec::with_capacity(views.len());
    for (index, view) in views.iter().enumerate() {
        match binding_of(view, &model) {
            Ok(binding) => coming.push(Coming {
                index,
                binding,
                taken: false,
            }),
            Err(why) => answer.refuse(index, why),
        }
    }
    take_foreign(state, &model, &mut coming).await?;
    let workers = state.workers.all().count();
    for worker in 0..workers {
        let of_worker = |coming: &Coming| state.workers.owner(coming.binding.shard());
        let mut rest: Vec<Coming> = Vec::new();
        let (own, others) = coming
            .drain(..)
            .partition::<Vec<_>, _>(|coming| of_worker(coming) == worker);
        coming = others;
        rest.extend(own);
        bring(state, &model, worker, rest, &mut answer).await?;
    }
    answer.refused.sort_by_key(|refused| refused.index);
    Ok(answer)
}

/// Leases in parts of sparse pools that belong to other shards are taken by those.
async fn take_foreign(
    state: &ControlState,
    model: &engine::Model,
    coming: &mut [Coming],
) -> Result<(), ApiError> {
    let foreign: Vec<(usize, TakeLease)> = coming
        .iter()
        .enumerate()
        .filter_map(|(at, coming)| {
            let client = coming.binding.shard();
            let lease = coming.binding.lease;
            let owner = engine::foreign_owner(model, client, lease)?;
            Some((
                at,
                TakeLease {
                    lease,
                    owner,
                    client,
                },
            ))
        })
        .collect();
    for (worker, handle) in state.workers.all().enumerate() {
        let of_worker = |(_, take): &&(usize, TakeLease)| state.workers.owner(take.owner) == worker;
        let (places, leases): (Vec<usize>, Vec<TakeLease>) =
            foreign.iter().filter(of_worker).copied().unzip();
        if leases.is_empty() {
            continue;
        }
        let order = |reply| Command::TakeLeases(TakeLeases { leases, reply });
        let taken = ask(handle, order).await?;
        for (place, taken) in places.into_iter().zip(taken) {
            coming[place].taken = taken;
        }
    }
    Ok(())
}

/// Brings to one worker what is its own, again as long as its journal has no room.
async fn bring(
    state: &ControlState,
    model: &engine::Model,
    worker: usize,
    mut rest: Vec<Coming>,
    answer: &mut ImportAnswer,
) -> Result<(), ApiError> {
    while !rest.is_empty() {
        let Some(handle) = state.workers.all().nth(worker) else {
            return Ok(());
        };
        let bindings = rest
            .iter()
            .map(|coming| (coming.binding.clone(), coming.taken))
            .collect();
        let order = |reply| Command::ImportLeases(ImportLeases { bindings, reply });
        let outcomes = ask(handle, order).await?;
        if outcomes.is_empty() {
            return Err(ApiError::Busy);
        }
        for (coming, outcome) in rest.drain(..outcomes.len()).zip(outcomes) {
            answer.count(coming.index, outcome);
        }
        // The worker gave back what it did not come to.
        take_foreign(state, model, &mut rest).await?;
    }
    Ok(())
}
