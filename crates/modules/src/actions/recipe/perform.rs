//! From a recipe, its settings and an input to a request; from the answer to an output.

use std::sync::Arc;

use async_trait::async_trait;
use conche_core::json::Limits;
use conche_runtime::clock::SharedClock;
use conche_runtime::egress;
use conche_runtime::secrets::Secrets;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::Url;

use super::model::{Action as Described, Already, Auth, Recipe, Request, Response};
use super::settings::Settings;
use crate::action::{Action, Call, Error, Output, Probed};
use crate::actions::http::template::{Place, Templates, sole_expression};
use crate::actions::{input, output, unknown};
use crate::clients::outcome::{Faults, Judge, Promise, quote};
use crate::clients::request::{agent, basic, header_name, header_value, sensitive, uuid_of};
use crate::{BuildContext, BuildError};

/// A recipe with its settings.
pub(super) struct Performer {
    recipe: &'static Recipe,
    settings: Settings,
    secrets: Arc<Secrets>,
    clock: SharedClock,
    limits: Limits,
}

impl Performer {
    pub(super) fn build(
        recipe: &'static Recipe,
        config: Value,
        cx: &BuildContext,
    ) -> Result<Arc<dyn Action>, BuildError> {
        Ok(Arc::new(Self {
            recipe,
            settings: Settings::read(recipe, config, cx)?,
            secrets: cx.secrets.clone(),
            clock: cx.clock.clone(),
            limits: cx.json,
        }))
    }

    fn described(&self, call: &Call) -> Result<&'static Described, Error> {
        let mut actions = self.recipe.actions.iter();
        let found = actions.find(|action| action.name == call.action);
        found.ok_or_else(|| unknown(&self.recipe.name, &call.action))
    }

    /// What templates see.
    fn values(&self, action: &Described, call: &Call) -> Result<Values, Error> {
        let given: Map<String, Value> = input(call)?;
        let input = action.input.accept(given).map_err(|flaw| {
            Error::permanent(format!(
                "the input of `{}` does not fit: {flaw}",
                call.action
            ))
        })?;
        let settings = self.settings.values(&self.secrets);
        let settings = settings.map_err(|error| Error::retry(error.to_string()))?;
        let call = json!({
            "key": call.key.as_str(), "uuid": uuid_of(call.key.as_str()),
            "run": call.run.to_string(), "definition": call.definition,
        });
        let all = json!({ "input": input, "settings": settings, "call": call });
        let Value::Object(all) = all else {
            return Err(Error::permanent("the input is no object"));
        };
        Ok(Values {
            templates: Templates::new(&all),
            settings,
        })
    }

    async fn send(&self, described: &Request, call: &Call, values: &Values) -> Result<Sent, Error> {
        let (method, request) = self
            .request(described, call, values)
            .map_err(|flaw| Error::permanent(self.secrets.masker().mask(&flaw).into_owned()))?;
        let result = self.settings.egress.request(request).await;
        Ok(Sent { method, result })
    }

    fn request(
        &self,
        described: &Request,
        call: &Call,
        values: &Values,
    ) -> Result<(Method, egress::Request), String> {
        let method: Method = described
            .method
            .parse()
            .map_err(|_| "no method".to_owned())?;
        let url = self.url(described, values)?;
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, agent());
        for (name, text) in &described.headers {
            if let Some(text) = values.optional(text)? {
                headers.insert(header_name(name)?, header_value(name, &text)?);
            }
        }
        if let Some(name) = &described.key_header {
            headers.insert(header_name(name)?, header_value(name, call.key.as_str())?);
        }
        let auth = described.auth.as_ref();
        let is_set = |auth: &&Auth| {
            auth.settings()
                .iter()
                .all(|name| values.settings.contains_key(*name))
        };
        if let Some(auth) = auth.filter(|auth| !described.auth_optional || is_set(auth)) {
            let (name, value) = credentials(auth, values)?;
            headers.insert(name, value);
        }
        let mut body = String::new();
        if let Some(template) = &described.json {
            let mut json = template.clone();
            values
                .templates
                .render_typed(&mut json)
                .map_err(|error| error.to_string())?;
            body = json.to_string();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        if let Some(most) = described.body_max.filter(|most| body.len() > *most) {
            return Err(format!(
                "the service takes at most {most} bytes, and these are {}",
                body.len()
            ));
        }
        let request = egress::Request {
            headers,
            body: body.into(),
            timeout: Some(self.settings.timeout.duration().min(call.timeout)),
            max_response: Some(self.settings.max_response),
            ..egress::Request::new(method.clone(), url)
        };
        Ok((method, request))
    }

    fn url(&self, described: &Request, values: &Values) -> Result<Url, String> {
        let base = values.setting(&described.base)?;
        let path = values.templates.render(&described.path, Place::Url);
        let path = path.map_err(|error| error.to_string())?;
        // Such a part would climb to another path, also at a service that reads `%2F` as `/`.
        let read = percent_decode_str(&path).decode_utf8_lossy();
        if read
            .split(['/', '\\'])
            .any(|part| matches!(part, "." | ".."))
        {
            return Err(format!("the path {path} has a part that is `.` or `..`"));
        }
        // Without it the path would be that of another thing, such as of all things.
        if has_gap(&path) && !has_gap(&described.path) {
            return Err(format!("the path {path} has an empty part"));
        }
        let whole = if path.is_empty() {
            base.to_owned()
        } else {
            format!("{}{path}", base.trim_end_matches('/'))
        };
        let mut url = Url::parse(&whole)
            .map_err(|error| format!("the setting `{}` is not a URL: {error}", described.base))?;
        if url.scheme() != "https" && !self.settings.plain_http {
            return Err(format!(
                "`{}` is not https: set `plain_http` if it may go unencrypted",
                described.base
            ));
        }
        for (name, text) in &described.query {
            if let Some(text) = values.optional(text)? {
                url.query_pairs_mut().append_pair(name, &text);
            }
        }
        Ok(url)
    }

    /// What an answer means.
    fn settle(&self, response: &Response, sent: Sent) -> Result<Output, Error> {
        let masker = self.secrets.masker();
        let body = sent.json();
        if let Some(already) = &response.already
            && sent.is_already(already, body.as_ref())
        {
            return outputs(response, &Value::Null);
        }
        let told = response
            .error
            .as_ref()
            .and_then(|pointer| body.as_ref()?.pointer(pointer));
        let told = told.map(|told| {
            let text = told
                .as_str()
                .map_or_else(|| told.to_string(), str::to_owned);
            quote(&text, &masker)
        });
        let judge = Judge {
            promise: Promise::of(&sent.method),
            faults: Faults::InDoubt,
            expect: &response.ok,
            masker: &masker,
            limits: self.limits,
            now: self.clock.now(),
        };
        let status = sent.result.as_ref().ok().map(|answer| answer.status);
        let answered = judge
            .judge(sent.result)
            .map_err(|error| match (status, &told) {
                (Some(status), Some(told)) => {
                    with_message(error, format!("answered {status}: {told}"))
                }
                _ => error,
            })?;
        let answered: Value = answered.read().unwrap_or_default();
        let json = &answered["json"];
        if let Some(success) = &response.success
            && json.pointer(&success.pointer) != Some(&success.equals)
        {
            let told = told.unwrap_or_else(|| "the answer does not say that it did it".to_owned());
            return Err(Error::permanent(format!("refused: {told}")));
        }
        outputs(response, json)
    }
}

#[async_trait]
impl Action for Performer {
    async fn invoke(&self, call: &Call) -> Result<Output, Error> {
        let action = self.described(call)?;
        let values = self.values(action, call)?;
        let sent = self.send(&action.request, call, &values).await?;
        self.settle(&action.response, sent)
    }

    async fn probe(&self, call: &Call) -> Result<Probed, Error> {
        let action = self.described(call)?;
        let Some(probe) = &action.probe else {
            return Ok(Probed::Unknown("this action cannot be probed".to_owned()));
        };
        let values = self.values(action, call)?;
        let sent = self.send(&probe.request, call, &values).await?;
        match &sent.result {
            Ok(answer) if probe.not_found.contains(&answer.status.as_u16()) => {
                Ok(Probed::NotHappened)
            }
            _ => self.settle(&probe.response, sent).map(Probed::Happened),
        }
    }
}

/// What templates see, and the settings by themselves.
struct Values {
    templates: Templates,
    settings: Map<String, Value>,
}

impl Values {
    fn setting(&self, name: &str) -> Result<&str, String> {
        let value = self.settings.get(name).and_then(Value::as_str);
        value.ok_or_else(|| format!("this action needs the setting `{name}`"))
    }

    /// The text; none where it is one expression whose value is not there.
    fn optional(&self, text: &str) -> Result<Option<String>, String> {
        let value = match sole_expression(text) {
            Some(expression) => self.templates.value(expression),
            None => self
                .templates
                .render(text, Place::Text)
                .map(|text| Some(text.into())),
        };
        Ok(value
            .map_err(|error| error.to_string())?
            .map(|value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            }))
    }
}

/// A request that was made.
struct Sent {
    method: Method,
    result: Result<egress::Response, egress::Error>,
}

impl Sent {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.result.as_ref().ok()?.body).ok()
    }

    fn is_already(&self, already: &Already, body: Option<&Value>) -> bool {
        let status = self
            .result
            .as_ref()
            .ok()
            .map(|answer| answer.status.as_u16());
        let text = body
            .and_then(|body| body.pointer(&already.pointer))
            .and_then(Value::as_str);
        let text = text.map(str::to_lowercase).unwrap_or_default();
        let contains = |part: &String| text.contains(&part.to_lowercase());
        status == Some(already.status) && already.contains.iter().all(contains)
    }
}

fn outputs(response: &Response, json: &Value) -> Result<Output, Error> {
    let value = |(name, pointer): (&String, &String)| {
        (
            name.clone(),
            json.pointer(pointer).cloned().unwrap_or_default(),
        )
    };
    let members: Map<String, Value> = response.output.iter().map(value).collect();
    output(&members)
}

fn with_message(error: Error, message: String) -> Error {
    match error {
        Error::Retry { after, .. } => Error::Retry { message, after },
        Error::Permanent(_) => Error::Permanent(message),
        Error::Uncertain(_) => Error::Uncertain(message),
    }
}

fn credentials(auth: &Auth, values: &Values) -> Result<(HeaderName, HeaderValue), String> {
    let (name, text) = match auth {
        Auth::Bearer(token) => (
            header::AUTHORIZATION,
            format!("Bearer {}", values.setting(token)?),
        ),
        Auth::Basic(pair) => {
            let (user, password) = (values.setting(&pair.user)?, values.setting(&pair.password)?);
            (header::AUTHORIZATION, basic(user, password))
        }
        Auth::Header(header) => (
            header_name(&header.name)?,
            values.setting(&header.value)?.to_owned(),
        ),
    };
    let value = sensitive(&text);
    Ok((
        name,
        value.ok_or_else(|| "a credential can't be a header's value".to_owned())?,
    ))
}

/// Whether a part of a path, between two slashes or after the last one, is empty.
fn has_gap(path: &str) -> bool {
    path.split('/').skip(1).any(str::is_empty)
}

#[cfg(test)]
mod tests;
