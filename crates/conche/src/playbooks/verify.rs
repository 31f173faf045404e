//! `conche verify`: whose signatures a playbook has, and whether they are to be trusted.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use conche_cacao::signature::{self, Certificate, Policy, PublicKey, Trusted, Verification};
use conche_core::Timestamp;

use super::read;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, OutputArgs, quoted};

/// Verifies the signatures of a playbook.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl pkey -in key.pem -pubout -out public.pem
  conche verify signed.json --trust-key public.pem
  conche verify signed.json --trust-root ca.pem --signee 'SOC of ACME' -o json

Exit code 1 where too few signatures are valid and trusted.")]
pub(crate) struct VerifyArgs {
    /// The playbook; `-` is standard input
    file: PathBuf,
    /// A public key to trust: PEM
    #[arg(long, value_name = "FILE")]
    trust_key: Vec<PathBuf>,
    /// Certificates to trust: PEM
    #[arg(long, value_name = "FILE")]
    trust_certificate: Vec<PathBuf>,
    /// Root certificates, whose certificates are trusted: PEM
    #[arg(long, value_name = "FILE")]
    trust_root: Vec<PathBuf>,
    /// Trust them under these names only
    #[arg(long, value_name = "NAME")]
    signee: Vec<String>,
    /// How many keys must have signed
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    required: NonZeroUsize,
    /// Each signature must be countersigned by another trusted key
    #[arg(long)]
    countersigned: bool,
    /// The time at which they are to be valid [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    output: OutputArgs,
}

/// `conche verify`; whether the playbook is accepted.
pub(crate) fn verify(args: VerifyArgs) -> Result<bool, Failure> {
    let document = read(&args.file)?;
    let mut policy = Policy::trusting(trusted(&args)?);
    policy.required = args.required;
    policy.countersigned = args.countersigned;
    let now = args.at.unwrap_or_else(Timestamp::now);
    let report = signature::verify(&document, &policy, now)
        .map_err(|error| Failure::Failed(format!("{}: {error}", args.file.display())))?;
    args.output.print(&report, |report| {
        let mut lines = Vec::new();
        for one in &report.signatures {
            tell(one, 0, &mut lines);
        }
        if report.signatures.is_empty() {
            lines.push("it has no signature; `conche sign` makes one".to_owned());
        }
        let outcome = if report.accepted {
            "accepted"
        } else {
            "not accepted"
        };
        let enough = if args.required.get() == 1 {
            "a valid signature".to_owned()
        } else {
            format!("valid signatures of {} keys", args.required)
        };
        let file = args.file.display();
        lines.push(format!("{file}: {outcome} (wanted: {enough})\n"));
        lines.join("\n")
    })?;
    Ok(report.accepted)
}

fn trusted(args: &VerifyArgs) -> Result<Vec<Trusted>, Failure> {
    let mut all = Vec::new();
    let failed = |path: &PathBuf, error: &dyn std::fmt::Display| {
        Failure::Failed(format!("{}: {error}", path.display()))
    };
    for path in &args.trust_key {
        let pem = input::text(path)?;
        let key = PublicKey::from_pem(pem.as_bytes()).map_err(|error| match &*pem {
            private if private.contains("PRIVATE KEY-----") => {
                let path = path.display();
                Failure::Failed(format!("{path} is a private key; name the public one, which `openssl pkey -in {path} -pubout` prints"))
            }
            _ => failed(path, &error),
        })?;
        all.push(Trusted::key(key.fingerprint()));
    }
    for path in &args.trust_certificate {
        let pem = input::text(path)?;
        let certificates =
            Certificate::all_from_pem(pem.as_bytes()).map_err(|error| failed(path, &error))?;
        all.extend(
            certificates
                .iter()
                .map(|one| Trusted::certificate(one.thumbprint())),
        );
    }
    for path in &args.trust_root {
        let pem = input::text(path)?;
        for root in
            Certificate::all_from_pem(pem.as_bytes()).map_err(|error| failed(path, &error))?
        {
            all.push(Trusted::root(&root).map_err(|error| failed(path, &error))?);
        }
    }
    if !args.signee.is_empty() {
        all = all
            .into_iter()
            .map(|one| one.only_as(args.signee.iter().cloned()))
            .collect();
    }
    Ok(all)
}

fn tell(one: &Verification, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let status = output::plain(&serde_json::to_value(one.status).unwrap_or_default());
    let signee = quoted(one.signee.as_deref().unwrap_or("somebody"));
    let algorithm = quoted(one.algorithm.as_deref().unwrap_or("no algorithm"));
    let pointer = &one.pointer;
    lines.push(format!(
        "{indent}{pointer} by {signee} ({algorithm}): {status}"
    ));
    let problems = one.problems().map(|problem| quoted(&problem.to_string()));
    lines.extend(problems.map(|problem| format!("{indent}  {problem}")));
    if let Some(counter) = &one.countersignature {
        tell(counter, depth + 1, lines);
    }
}
