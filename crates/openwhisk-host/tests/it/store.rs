//! The store in memory.

use std::sync::Arc;

use conche_openwhisk_host::store::{MemoryStore, Store, contract};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::check(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}
