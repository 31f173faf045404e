//! What a host says of itself, of namespaces and their limits.

use http::Method;

use super::{Client, Error, path};
use crate::model::{ApiInfo, HostInfo, Name, NamespaceLimits};

impl Client {
    /// What the host is, its limits and runtimes. Needs no credentials, and sends none.
    pub async fn info(&self) -> Result<HostInfo, Error> {
        let mut call = self.request_at(Method::GET, "/".to_owned());
        call.is_anonymous = true;
        self.read(call).await
    }

    /// What the API is. Needs no credentials, and sends none.
    pub async fn api_info(&self) -> Result<ApiInfo, Error> {
        let mut call = self.request(Method::GET, "");
        call.is_anonymous = true;
        self.read(call).await
    }

    /// The namespaces of the key: upstream's hosts always say one. Also a way to find out
    /// whether the credentials are good.
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        self.read(self.request(Method::GET, "/namespaces")).await
    }

    /// The limits of a namespace, `_` for that of the key.
    pub async fn limits(&self, namespace: &Name) -> Result<NamespaceLimits, Error> {
        let path = path::namespace(namespace) + "/limits";
        self.read(self.request(Method::GET, path)).await
    }
}
