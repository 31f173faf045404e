//! What every backend must do. Each backend's tests call these with a way to open an empty
//! store; a check panics where the backend breaks the contract.
//!
//! One file for each group of methods. Nothing here knows a backend, and no check waits
//! for time to pass: times are arguments.

pub mod accept;
pub mod append;
pub mod claim;
pub mod close;
pub mod definitions;
pub mod expire;
pub mod given;
pub mod lease;
pub mod ledger;
pub mod list;
pub mod lists;
pub mod playbooks;
pub mod signal;
pub mod storms;

use std::sync::Arc;

use crate::Store;

/// Every check of every group, each on a store of its own.
pub async fn check<F>(open: F)
where
    F: AsyncFn() -> Arc<dyn Store>,
{
    accept::check(&open).await;
    append::check(&open).await;
    claim::check(&open).await;
    close::check(&open).await;
    definitions::check(&open).await;
    expire::check(&open).await;
    lease::check(&open).await;
    ledger::check(&open).await;
    list::check(&open).await;
    lists::check(&open).await;
    playbooks::check(&open).await;
    signal::check(&open).await;
    storms::check(&open).await;
}
