//! The store in memory.

use std::sync::Arc;

use conche_store::memory::MemoryStore;
use conche_store::{Store, contract};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::check(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}
