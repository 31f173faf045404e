//! `conche sign`: adds a signature to a playbook, or signs one that is there.

use std::path::PathBuf;

use clap::Args;
use conche_cacao::signature::{
    self, Algorithm, Certificate, Certificates, KeyForm, SigningKey, Statement,
};
use conche_core::Timestamp;
use ring::rand::SystemRandom;

use super::{random_uuid, read, write};
use crate::failure::Failure;
use crate::input;

/// Signs a playbook.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out key.pem
  conche sign block.json --key key.pem --algorithm Ed25519 --signee 'SOC of ACME' --out signed.json

The file is written as `conche fmt` writes it; the JSON value that is signed is the one received.")]
pub(crate) struct SignArgs {
    /// The playbook; `-` is standard input
    file: PathBuf,
    /// The private key: PEM, PKCS#8, not encrypted
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How to sign: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or Ed25519
    #[arg(long, value_parser = algorithm)]
    algorithm: Algorithm,
    /// Who signs, in words
    #[arg(long)]
    signee: String,
    /// Certificates of the key, leaf first, to be put into the signature: PEM
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Sign the signature with this number, from 0, instead of the playbook
    #[arg(long, value_name = "NUMBER")]
    countersign: Option<usize>,
    /// Where to write the signed playbook [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = Algorithm::ALL
        .into_iter()
        .find(|known| known.name() == text);
    let names = Algorithm::ALL.map(Algorithm::name).join(", ");
    known.ok_or_else(|| format!("there are {names}"))
}

/// `conche sign`.
pub(crate) fn sign(args: SignArgs) -> Result<(), Failure> {
    let document = read(&args.file)?;
    let random = SystemRandom::new();
    let pem = input::text(&args.key)?;
    let failed = |error: &dyn std::fmt::Display| Failure::of("nothing was signed", error);
    let key = SigningKey::from_pem(pem.as_bytes(), args.algorithm, &random)
        .map_err(|error| failed(&error))?;
    let mut statement = Statement::new(random_uuid()?, Timestamp::now(), args.signee);
    if let Some(path) = &args.certificates {
        let chain = Certificate::all_from_pem(input::text(path)?.as_bytes())
            .map_err(|error| failed(&error))?;
        statement.key = KeyForm::Chain(chain);
    }
    let signed = match args.countersign {
        None => signature::sign(&document, &statement, &key),
        Some(index) => {
            signature::countersign(&document, index, &statement, &key, &Certificates::default())
        }
    };
    let signed = signed.map_err(|error| failed(&error))?;
    let out = args.out.unwrap_or_else(|| PathBuf::from("-"));
    write(&out, &signed.to_text())
}
