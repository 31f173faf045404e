//! The client's requests by the egress-checked HTTP client, with credentials that are read at
//! the moment of sending.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use conche_openwhisk::client::{Auth, Failure, Request, Response, Transport};
use conche_runtime::egress;
use conche_runtime::units::Size;
use http::{HeaderMap, header};

use super::party::{Network, Shown};
use crate::action::Error;
use crate::commands::over_http::Client;

/// Carries the requests of one call.
pub(super) struct Carrier {
    client: Arc<Client>,
    authorization: HeaderMap,
    max_response: Size,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}

impl Carrier {
    pub(super) fn new(
        client: Arc<Client>,
        place: &Network,
        max_response: Size,
    ) -> Result<Self, Error> {
        let mut authorization = HeaderMap::new();
        match &place.authentication {
            Shown::Nothing => {}
            Shown::As(authentication) => {
                client.authorize(&mut authorization, &place.receiver, Some(authentication))?;
            }
            Shown::Key(credential) => {
                let key = client.value(&place.receiver, credential)?;
                let wrong = |error: &dyn fmt::Display| {
                    Error::permanent(format!("the secret `{}`: {error}", credential.secret))
                };
                let auth = Auth::parse_key(&key).map_err(|error| wrong(&error))?;
                let header = auth.header().map_err(|error| wrong(&error))?;
                authorization.extend(header.map(|value| (header::AUTHORIZATION, value)));
            }
        }
        Ok(Self {
            client,
            authorization,
            max_response,
        })
    }
}

#[async_trait]
impl Transport for Carrier {
    async fn send(&self, request: Request) -> Result<Response, Failure> {
        let mut sent = egress::Request::new(request.method, request.url);
        sent.headers = request.headers;
        sent.headers.extend(self.authorization.clone());
        sent.body = request.body;
        sent.timeout = Some(request.timeout);
        sent.max_response = Some(self.max_response);
        match self.client.send(sent).await {
            Ok(answer) => Ok(Response {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            }),
            Err(error @ egress::Error::NotSent { .. }) => Err(Failure::NotSent(error.to_string())),
            Err(error @ egress::Error::Uncertain { .. }) => Err(Failure::Lost(error.to_string())),
            Err(egress::Error::TooLarge { limit, .. }) => Err(Failure::TooLarge(limit.length())),
            Err(error @ (egress::Error::Invalid(_) | egress::Error::Refused { .. })) => {
                Err(Failure::Refused(error.to_string()))
            }
        }
    }
}
