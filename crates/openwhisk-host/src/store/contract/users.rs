//! Users: one for each namespace.

use std::sync::Arc;

use crate::store::{Store, User};

/// Every check of this group.
pub(super) async fn check<F: AsyncFn() -> Arc<dyn Store>>(open: &F) {
    a_namespace_has_one_user(&*open().await).await;
}

async fn a_namespace_has_one_user(store: &dyn Store) {
    let user = |namespace: &str, key: &str| User {
        namespace: namespace.to_owned(),
        uuid: format!("{namespace}-uuid"),
        key: key.to_owned(),
    };
    assert_eq!(store.users().await, Ok(vec![]));
    for one in [user("b", "1"), user("a", "2"), user("b", "3")] {
        assert_eq!(store.put_user(one).await, Ok(()));
    }
    assert_eq!(
        store.users().await,
        Ok(vec![user("a", "2"), user("b", "3")])
    );
    assert_eq!(store.delete_user("a").await, Ok(true));
    assert_eq!(store.delete_user("a").await, Ok(false));
    assert_eq!(store.users().await, Ok(vec![user("b", "3")]));
}
