//! Signatures as far as they can be judged without keys (check 37 of the digest). Whether one
//! is right, and whose it is, [`crate::signature`] says.

use serde_json::{Map, Value};

use super::lapse::Mortal;
use super::view::{View, objects, says};
use super::{Said, Surroundings, codes};
use crate::pointer::Pointer;
use crate::signature::Algorithm;

/// The forms in which a signature says whose it is.
const KEYS: [&str; 4] = ["public_key", "public_cert_chain", "cert_url", "thumbprint"];

static SIGNATURE: Mortal = Mortal {
    check: &codes::SIGNATURE_NOT_VALID,
    what: "signature",
    help: "take it out, or sign again",
};

pub(super) fn check(view: &View<'_>, around: &Surroundings<'_>, said: &mut Said) {
    let Some(playbook) = view.document.as_object() else {
        return;
    };
    for (index, signature) in objects(playbook, "signatures") {
        let mut at = Pointer::top().then("signatures").then(index);
        let mut signature = Some(signature);
        while let Some(one) = signature {
            key(one, &at, said);
            binding(view, one, &at, said);
            SIGNATURE.check(one, &at, around, said);
            algorithm(one, &at, said);
            signature = one.get("signature").and_then(Value::as_object);
            at = at.then("signature");
        }
    }
}

fn key(signature: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let forms: Vec<&str> = KEYS
        .into_iter()
        .filter(|name| says(signature, name))
        .collect();
    let message = match forms.as_slice() {
        [_] => return,
        [] => "nothing says whose signature this is".to_owned(),
        several => format!(
            "{} say whose signature this is, each for itself",
            several.join(" and ")
        ),
    };
    said.say(
        &codes::KEY_FORM,
        at,
        message,
        format!("give one of {}", KEYS.join(", ")),
    );
}

/// A signature is that of this playbook, in this version.
fn binding(view: &View<'_>, signature: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    for (name, own) in [("related_to", "id"), ("related_version", "modified")] {
        let Some((found, own)) = signature
            .get(name)
            .and_then(Value::as_str)
            .zip(view.text(own))
        else {
            continue;
        };
        if found != own {
            said.say(
                &codes::OTHER_PLAYBOOK,
                &at.then(name),
                format!("this is a signature of {found}, and the playbook is {own}"),
                "sign the playbook as it is now",
            );
        }
    }
}

fn algorithm(signature: &Map<String, Value>, at: &Pointer, said: &mut Said) {
    let Some(name) = signature.get("algorithm").and_then(Value::as_str) else {
        return;
    };
    let at = at.then("algorithm");
    if name.starts_with("HS") {
        said.say(
            &codes::SYMMETRIC,
            &at,
            format!("{name} proves nothing to anybody else: who can verify it can make it"),
            "use a signature with a key of two halves",
        );
    } else if Algorithm::ALL.iter().all(|known| known.name() != name) {
        said.say(
            &codes::ALGORITHM,
            &at,
            format!("{name} cannot be verified here"),
            "sign with RS, PS or ES, 256 to 512, or with Ed25519",
        );
    }
}
