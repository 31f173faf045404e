//! Reading activations.

use http::Method;
use serde_json::Value;

use super::{Client, Error, path};
use crate::model::{
    Activation, ActivationId, ActivationQuery, ActivationSummary, Collection, Count, Logs, Name,
    Response,
};

impl Client {
    /// One activation.
    ///
    /// # Errors
    /// [`Error::Rejected`] with 404 where there is none, or none yet: it is stored when it ends.
    pub async fn activation(&self, id: &ActivationId) -> Result<Activation, Error> {
        self.read(self.request(Method::GET, one(id, ""))).await
    }

    /// The log of an activation.
    ///
    /// # Errors
    /// As [`Client::activation`].
    pub async fn logs(&self, id: &ActivationId) -> Result<Logs, Error> {
        self.read(self.request(Method::GET, one(id, "/logs"))).await
    }

    /// What came of an activation: its class and its result.
    ///
    /// # Errors
    /// As [`Client::activation`].
    pub async fn result(&self, id: &ActivationId) -> Result<Response, Error> {
        self.read(self.request(Method::GET, one(id, "/result")))
            .await
    }

    /// One page of the activations of the key's namespace, newest first.
    pub async fn activations(
        &self,
        query: &ActivationQuery,
    ) -> Result<Vec<ActivationSummary>, Error> {
        let path = list(query, &[]);
        self.read(self.request(Method::GET, path)).await
    }

    /// The same with all of each activation (`docs=true`). What is no activation, such as what a
    /// vendor stores beside them, fails the page.
    pub async fn full_activations(
        &self,
        query: &ActivationQuery,
    ) -> Result<Vec<Activation>, Error> {
        let path = list(query, &[("docs", "true".to_owned())]);
        self.read(self.request(Method::GET, path)).await
    }

    /// How many there are.
    pub async fn count_activations(&self, query: &ActivationQuery) -> Result<u64, Error> {
        let path = list(query, &[("count", "true".to_owned())]);
        let counted: Count = self.read(self.request(Method::GET, path)).await?;
        let none = || Error::Unreadable("it has no count".to_owned());
        counted.count().ok_or_else(none)
    }

    /// An activation as it came, for tools that only show it.
    ///
    /// # Errors
    /// As [`Client::activation`].
    pub async fn activation_value(&self, id: &ActivationId) -> Result<Value, Error> {
        self.read(self.request(Method::GET, one(id, ""))).await
    }
}

fn one(id: &ActivationId, part: &str) -> String {
    format!(
        "{}/activations/{id}{part}",
        path::namespace(&Name::own_namespace())
    )
}

fn list(query: &ActivationQuery, more: &[(&str, String)]) -> String {
    let mut pairs = Vec::new();
    pairs.extend(query.name.clone().map(|name| ("name", name)));
    pairs.extend(query.limit.map(|limit| ("limit", limit.to_string())));
    pairs.extend(query.skip.map(|skip| ("skip", skip.to_string())));
    pairs.extend(query.since.map(|since| ("since", since.to_string())));
    pairs.extend(query.upto.map(|upto| ("upto", upto.to_string())));
    pairs.extend_from_slice(more);
    let namespace = path::namespace(&Name::own_namespace());
    format!(
        "{namespace}/{}{}",
        Collection::Activations,
        path::query(&pairs)
    )
}
