//! `conche k8s`: what a Kubernetes cluster has to be told before Conche can work with it.
//!
//! It prints and touches nothing: whoever runs the cluster reads it and applies it. What is
//! printed is YAML that the API server takes as it is, but for the authority's certificate
//! where none is given.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::output;

/// What to print.
#[derive(Debug, Subcommand)]
pub(crate) enum K8s {
    /// The webhook's registration, the service account and its rights, and how to make certificates
    WebhookConfig(WebhookConfig),
}

/// Prints the registration of the admission webhook.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche k8s webhook-config --ca-file ca.pem | kubectl apply -f -
  conche k8s webhook-config --url https://conche.example.com:1323/validate --failure-policy fail")]
pub(crate) struct WebhookConfig {
    /// The namespace that Conche runs in: it is never asked about itself
    #[arg(long, default_value = "conche")]
    namespace: String,
    /// The service in that namespace that leads to the source `k8s_imagevalidator`
    #[arg(long, default_value = "conche")]
    service: String,
    /// The service's port
    #[arg(long, default_value_t = 1323)]
    port: u16,
    /// The source's `admission_path`
    #[arg(long, default_value = "/validate")]
    path: String,
    /// Where Conche is, if it does not run in the cluster; instead of the service
    #[arg(long)]
    url: Option<String>,
    /// PEM file of the authority that has signed the source's certificate
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// What the API server does without an answer
    #[arg(long, value_enum, default_value = "ignore")]
    failure_policy: FailurePolicy,
    /// Seconds that the API server waits
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=30))]
    timeout: u8,
}

/// What the API server does without an answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailurePolicy {
    /// It lets everything in
    Ignore,
    /// It lets nothing in
    Fail,
}

/// Does it.
pub(crate) fn run(verb: K8s) -> Result<(), Failure> {
    let K8s::WebhookConfig(args) = verb;
    output::line(webhook_config(&args)?.trim_end())
}

fn webhook_config(args: &WebhookConfig) -> Result<String, Failure> {
    let authority = match &args.ca_file {
        None => None,
        Some(file) => {
            let pem = std::fs::read(file);
            let pem =
                pem.map_err(|error| Failure::of(&format!("can't read {}", file.display()), error))?;
            Some(STANDARD.encode(pem))
        }
    };
    let bundle = match &authority {
        Some(authority) => format!("\n      caBundle: {authority}"),
        None => "\n      # caBundle: the authority's PEM file in base64; --ca-file writes it here"
            .to_owned(),
    };
    let WebhookConfig {
        namespace,
        service,
        port,
        path,
        timeout,
        ..
    } = args;
    let client = match &args.url {
        Some(url) => format!("url: {url}"),
        None => format!(
            "service: {{ namespace: {namespace}, name: {service}, port: {port}, path: {path} }}"
        ),
    };
    let policy = match args.failure_policy {
        FailurePolicy::Ignore => "Ignore",
        FailurePolicy::Fail => "Fail",
    };
    let host = format!("{service}.{namespace}.svc");
    Ok(format!(
        "# The certificate of the source k8s_imagevalidator, for {host}:
#   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \\
#     -subj '/CN=conche admission authority' -keyout ca.key -out ca.pem
#   openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN={host}' \\
#     -keyout tls.key -out tls.csr
#   printf 'subjectAltName=DNS:{host}' > tls.ext
#   openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 \\
#     -extfile tls.ext -out tls.crt
#   kubectl -n {namespace} create secret tls conche-admission --cert tls.crt --key tls.key
# Mount the secret and name its files in `certificate` and `key`. Renew it in place: it is read
# again while the server runs. (cert-manager does all of this too.)
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{ name: conche }}
webhooks:
  - name: images.conche.{namespace}.svc
    clientConfig:
      {client}{bundle}
    rules:
      - {{ apiGroups: [\"\"], apiVersions: [v1], resources: [pods, pods/ephemeralcontainers], operations: [CREATE, UPDATE], scope: Namespaced }}
    failurePolicy: {policy}
    matchPolicy: Equivalent
    sideEffects: None
    timeoutSeconds: {timeout}
    admissionReviewVersions: [v1]
    # Without Conche's own namespace it could not be started again once it is down.
    namespaceSelector:
      matchExpressions:
        - {{ key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {namespace}] }}
---
# The rights of the source and the actions `k8s`; leave out those that you don't use.
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: conche, namespace: {namespace} }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: conche }}
rules:
  - {{ apiGroups: [\"\"], resources: [pods], verbs: [get, list, watch] }}
  - {{ apiGroups: [apps], resources: [deployments, statefulsets, daemonsets], verbs: [get, list] }}
  - {{ apiGroups: [batch], resources: [jobs, cronjobs], verbs: [get, list] }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{ name: conche }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: conche }}
subjects: [{{ kind: ServiceAccount, name: conche, namespace: {namespace} }}]
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn documents(text: &str) -> Vec<Value> {
        let parts = text.split("\n---\n");
        parts
            .map(|part| serde_saphyr::from_str(part).unwrap())
            .collect()
    }

    fn args() -> WebhookConfig {
        WebhookConfig {
            namespace: "soc".to_owned(),
            service: "conche".to_owned(),
            port: 1323,
            path: "/validate".to_owned(),
            url: None,
            ca_file: None,
            failure_policy: FailurePolicy::Ignore,
            timeout: 3,
        }
    }

    #[test]
    fn what_is_printed_is_what_an_api_server_takes() {
        let all = documents(&webhook_config(&args()).unwrap());
        let kinds: Vec<_> = all
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert_eq!(
            kinds,
            [
                "ValidatingWebhookConfiguration",
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding"
            ]
        );
        let hook = &all[0]["webhooks"][0];
        assert_eq!(hook["clientConfig"]["service"]["namespace"], "soc");
        assert_eq!(hook["timeoutSeconds"], 3);
        assert_eq!(hook["sideEffects"], "None");
        assert_eq!(hook["failurePolicy"], "Ignore");
        let excluded = &hook["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*excluded, serde_json::json!(["kube-system", "soc"]));
    }

    #[test]
    fn a_server_outside_the_cluster_is_named_by_its_url_and_authority() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, "PEM").unwrap();
        let url = "https://conche.example.com/validate".to_owned();
        let given = WebhookConfig {
            url: Some(url.clone()),
            ca_file: Some(file),
            failure_policy: FailurePolicy::Fail,
            ..args()
        };
        let all = documents(&webhook_config(&given).unwrap());
        let hook = &all[0]["webhooks"][0];
        assert_eq!(
            hook["clientConfig"],
            serde_json::json!({ "url": url, "caBundle": "UEVN" })
        );
        assert_eq!(hook["failurePolicy"], "Fail");
        let absent = WebhookConfig {
            ca_file: Some("no/such/file".into()),
            ..args()
        };
        assert!(webhook_config(&absent).is_err());
    }
}
