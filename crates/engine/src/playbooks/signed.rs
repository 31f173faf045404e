//! Whether what a playbook's signatures sign is what is there.
//!
//! Who is to be trusted is nobody's word here: a signature by a stranger is no fault. One that
//! its key did not make of this text says that the text, or the signature, was changed since;
//! such a playbook is refused when it is put, loaded and run. One of another playbook or version
//! is an error of the checks (CACAO106).

use conche_cacao::signature::{Policy, Status, Verification, verify};
use conche_cacao::{Document, Pointer};
use conche_core::Timestamp;
use conche_core::playbook::{Refusal, codes};

/// A refusal for each signature that is not of what the document says.
pub fn incorrect_signatures(document: &Document, playbook: &str, now: Timestamp) -> Vec<Refusal> {
    if document.value().get("signatures").is_none() {
        return Vec::new();
    }
    // What is no list of signatures is told by the checks.
    let Ok(report) = verify(document, &Policy::trusting([]), now) else {
        return Vec::new();
    };
    let numbered = report.signatures.iter().enumerate();
    let wrong = numbered.filter(|(_, one)| one.status == Status::Incorrect);
    wrong
        .map(|(number, one)| Refusal {
            playbook: playbook.to_owned(),
            code: codes::SIGNATURE_INCORRECT,
            pointer: Pointer::default().then("signatures").then(number),
            message: told(one),
        })
        .collect()
}

fn told(one: &Verification) -> String {
    let signee = one.signee.as_deref().unwrap_or("nobody");
    format!(
        "the signature by `{signee}` is `incorrect`: it, or the playbook, was changed since it was made; ask who signed it for what was signed"
    )
}
