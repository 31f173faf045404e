//! Web actions: HTTP that an action answers.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{Client, Error, Response, path};
use crate::model::{FullyQualifiedName, RESERVED_PACKAGE};

/// A request to a web action.
#[derive(Debug, Clone)]
pub struct WebRequest {
    /// The method.
    pub method: Method,
    /// The action. Its namespace must be a real one: `_` means nothing here.
    pub action: FullyQualifiedName,
    /// `json`, `http`, `html`, `svg` or `text`: what of the result is wanted.
    pub extension: Option<String>,
    /// What follows the action in the path, encoded, beginning with `/`; or nothing.
    pub rest: String,
    /// Names and values of the query, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers; those of the connection must not be set.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether to send the credentials: for actions with `require-whisk-auth: true`.
    pub with_credentials: bool,
}

impl WebRequest {
    /// A request without anything but the action.
    pub fn new(method: Method, action: FullyQualifiedName) -> Self {
        Self {
            method,
            action,
            extension: None,
            rest: String::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            with_credentials: false,
        }
    }
}

impl Client {
    /// The address of a web action, without extension.
    pub fn web_url(&self, action: &FullyQualifiedName) -> String {
        format!("{}{}{}", self.root(), super::API, web_path(action))
    }

    /// Asks a web action. Every status is its answer.
    ///
    /// # Errors
    /// Only where there is no answer, or the request is none.
    pub async fn web(&self, request: WebRequest) -> Result<Response, Error> {
        if request.action.namespace.is_own_namespace() {
            let name = &request.action;
            return Err(Error::Invalid(format!(
                "`{name}` names no namespace, and a web action has no caller whose it could be"
            )));
        }
        if !(request.rest.is_empty() || request.rest.starts_with('/')) {
            return Err(Error::Invalid(format!(
                "`{}` does not begin with `/`",
                request.rest
            )));
        }
        let extension = request.extension.as_deref().unwrap_or_default();
        let dot = if extension.is_empty() { "" } else { "." };
        let pairs: Vec<(&str, String)> = request
            .query
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let path = format!(
            "{}{dot}{}{}{}",
            web_path(&request.action),
            path::encode(extension),
            request.rest,
            path::query(&pairs)
        );
        let mut call = self.request(request.method, path);
        call.headers = request.headers;
        call.body = request.body;
        call.is_anonymous = !request.with_credentials;
        self.send(call).await
    }
}

fn web_path(action: &FullyQualifiedName) -> String {
    let package = action.package.as_ref();
    format!(
        "/web/{}/{}/{}",
        path::encode(action.namespace.as_str()),
        path::encode(package.map_or(RESERVED_PACKAGE, |package| package.as_str())),
        path::encode(action.name.as_str())
    )
}
