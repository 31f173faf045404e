//! Reading and writing entities: the same five calls for actions, packages, rules and triggers.

use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, Error, path};
use crate::model::{
    Action, Collection, Count, EntityKind, EntityPath, FullyQualifiedName, ListQuery, Package,
    Rule, RuleStatus,
};

impl Client {
    /// Reads an entity.
    ///
    /// # Errors
    /// [`Error::Rejected`] with 404 where there is none.
    pub async fn get<E: EntityKind + DeserializeOwned>(
        &self,
        name: &FullyQualifiedName,
    ) -> Result<E, Error> {
        let path = path::entity(E::COLLECTION, name)?;
        self.read(self.request(Method::GET, path)).await
    }

    /// Reads an action without its code.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_without_code(&self, name: &FullyQualifiedName) -> Result<Action, Error> {
        let path = path::entity(Collection::Actions, name)?;
        self.read(self.request(Method::GET, path + "?code=false"))
            .await
    }

    /// Creates an entity; with `overwrite` replaces one that is there. Gives it as it is then.
    ///
    /// # Errors
    /// [`Error::Rejected`] with 409 where there is one and it is not to be replaced.
    pub async fn put<E: EntityKind + DeserializeOwned>(
        &self,
        name: &FullyQualifiedName,
        entity: &E::Put,
        overwrite: bool,
    ) -> Result<E, Error> {
        let path = path::entity(E::COLLECTION, name)?;
        let call = self.request(Method::PUT, format!("{path}?overwrite={overwrite}"));
        self.read(call.json(entity)?).await
    }

    /// Removes an entity and gives it as it was.
    ///
    /// # Errors
    /// [`Error::Rejected`] with 404 where there is none, with 409 for a package that is not
    /// empty ([`Client::delete_package`] can remove what is in it).
    pub async fn delete<E: EntityKind + DeserializeOwned>(
        &self,
        name: &FullyQualifiedName,
    ) -> Result<E, Error> {
        let path = path::entity(E::COLLECTION, name)?;
        self.read(self.request(Method::DELETE, path)).await
    }

    /// Removes a package with all that is in it.
    ///
    /// # Errors
    /// As [`Client::delete`].
    pub async fn delete_package(&self, name: &FullyQualifiedName) -> Result<Package, Error> {
        let path = path::entity(Collection::Packages, name)?;
        self.read(self.request(Method::DELETE, path + "?force=true"))
            .await
    }

    /// One page of a collection, newest first; of a package's actions where `within` names one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where packages have no such collection.
    pub async fn list<E: EntityKind>(
        &self,
        within: &EntityPath,
        query: ListQuery,
    ) -> Result<Vec<E::Summary>, Error> {
        let mut pairs = Vec::new();
        pairs.extend(query.limit.map(|limit| ("limit", limit.to_string())));
        pairs.extend(query.skip.map(|skip| ("skip", skip.to_string())));
        let path = path::list(E::COLLECTION, within)? + &path::query(&pairs);
        self.read(self.request(Method::GET, path)).await
    }

    /// How many there are in a collection.
    ///
    /// # Errors
    /// As [`Client::list`].
    pub async fn count<E: EntityKind>(&self, within: &EntityPath) -> Result<u64, Error> {
        let path = path::list(E::COLLECTION, within)? + "?count=true";
        let counted: Count = self.read(self.request(Method::GET, path)).await?;
        let none = || Error::Unreadable("it has no count".to_owned());
        counted.count().ok_or_else(none)
    }

    /// Switches a rule on or off. The same once more changes nothing.
    ///
    /// # Errors
    /// [`Error::Rejected`] with 404 where there is no such rule, or its trigger is gone.
    pub async fn set_rule_status(
        &self,
        name: &FullyQualifiedName,
        status: RuleStatus,
    ) -> Result<(), Error> {
        let path = path::entity(Rule::COLLECTION, name)?;
        let body = serde_json::json!({ "status": status });
        let call = self.request(Method::POST, path).json(&body)?;
        let response = self.send(call).await?;
        if response.status.is_success() {
            Ok(())
        } else {
            Err(Error::of(&response))
        }
    }

    /// What an entity of any collection is, as JSON: for tools that only show it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_value(
        &self,
        collection: Collection,
        name: &FullyQualifiedName,
    ) -> Result<Value, Error> {
        let path = path::entity(collection, name)?;
        self.read(self.request(Method::GET, path)).await
    }
}
