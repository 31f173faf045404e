//! A vuls server: it is told what is installed and answers with a report. It logs in nowhere,
//! so it needs no key; its address is checked like that of any other request.

use std::sync::Arc;
use std::time::Duration;

use conche_runtime::egress::{self, Egress, Request};
use conche_runtime::units::Size;
use http::{HeaderName, HeaderValue, header};
use serde_json::value::RawValue;

use super::input::Packages;
use super::work::REPORT_MAX;
use crate::action::Error;

pub(super) struct Server {
    /// Where it listens, without the path.
    pub(super) url: String,
    pub(super) egress: Arc<Egress>,
}

impl Server {
    /// The report of what is installed.
    pub(super) async fn report(
        &self,
        name: &str,
        packages: Packages,
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        let url = format!("{}/vuls", self.url.trim_end_matches('/'));
        let mut request = Request::post(url, packages.list);
        request.timeout = Some(limit);
        request.max_response = Some(Size::from_kib(REPORT_MAX / 1024));
        let kernel = packages.kernel_version.as_deref().unwrap_or_default();
        let headers = &mut request.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        for (key, value) in [
            ("x-vuls-os-family", &*packages.family),
            ("x-vuls-os-release", &packages.release),
            ("x-vuls-kernel-release", &packages.kernel_release),
            ("x-vuls-kernel-version", kernel),
            ("x-vuls-server-name", name),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Error::permanent(format!("`{value}` can't be sent in a header")))?;
            headers.insert(HeaderName::from_static(key), value);
        }
        let answer = self.egress.request(request).await.map_err(not_answered)?;
        match answer.status.as_u16() {
            200 => only(&answer.body),
            status => {
                let body = String::from_utf8_lossy(&answer.body);
                let quote: String = body.chars().take(500).collect();
                let message = format!("the vuls server answered {status}: {quote}");
                Err(match status {
                    408 | 429 | 500..=599 => Error::retry(message),
                    _ => Error::Permanent(message),
                })
            }
        }
    }
}

/// Asking twice is like asking once: what broke off may be asked again.
fn not_answered(error: egress::Error) -> Error {
    match error {
        egress::Error::NotSent { .. } | egress::Error::Uncertain { .. } => {
            Error::retry(error.to_string())
        }
        _ => Error::Permanent(error.to_string()),
    }
}

/// The answer is a list with one report.
fn only(body: &[u8]) -> Result<Vec<u8>, Error> {
    let reports: Result<Vec<&RawValue>, _> = serde_json::from_slice(body);
    match reports.as_deref() {
        Ok([report]) => Ok(report.get().as_bytes().to_vec()),
        Ok(reports) => Err(Error::permanent(format!(
            "the vuls server gave {} reports instead of one",
            reports.len()
        ))),
        Err(error) => Err(Error::permanent(format!(
            "the answer of the vuls server can't be read: {error}"
        ))),
    }
}
