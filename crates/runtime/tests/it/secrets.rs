//! Reading, checking and masking secrets from real files.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use conche_runtime::secrets::{Error, SecretRef, Secrets};
use secrecy::ExposeSecret;

fn secrets(references: &[(&str, SecretRef)]) -> Secrets {
    let references: BTreeMap<_, _> = references
        .iter()
        .map(|(name, reference)| ((*name).to_owned(), reference.clone()))
        .collect();
    Secrets::load(references)
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_is_read_at_each_use_without_its_last_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smtp");
    let secrets = secrets(&[("smtp", SecretRef::File(path.clone()))]);
    write(&path, "first value\r\n", 0o600);
    assert_eq!(secrets.get("smtp").unwrap().expose_secret(), "first value");
    write(&path, "second value\n\n", 0o600);
    assert_eq!(
        secrets.get("smtp").unwrap().expose_secret(),
        "second value\n"
    );
    let masked = secrets
        .masker()
        .mask("first value, second value\n")
        .into_owned();
    assert_eq!(
        masked, "***smtp***, ***smtp***",
        "the rotated value stays masked"
    );
}

#[test]
fn a_masker_taken_before_a_value_was_read_masks_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late");
    write(&path, "hunter22", 0o600);
    let secrets = secrets(&[("late", SecretRef::File(path))]);
    let masker = secrets.masker();
    assert_eq!(masker.mask("hunter22"), "hunter22");
    secrets.get("late").unwrap();
    assert_eq!(masker.mask("hunter22"), "***late***");
}

#[test]
fn check_says_what_is_wrong_with_each_secret_and_never_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode| {
        let path = folder.path().join(name);
        write(&path, text, mode);
        SecretRef::File(path)
    };
    let secrets = secrets(&[
        ("a-open", file("open", "hunter22", 0o644)),
        ("b-short", file("short", "abc", 0o600)),
        ("c-empty", file("empty", "\n", 0o600)),
        ("d-huge", file("huge", &"x".repeat(70_000), 0o600)),
        ("e-absent", SecretRef::File(folder.path().join("absent"))),
        ("f-unset", SecretRef::Env("CONCHE_TEST_NOT_SET".to_owned())),
        ("g-env", SecretRef::Env("PATH".to_owned())),
    ]);
    let checks = secrets.check();
    assert!(!format!("{checks:?} {secrets:?}").contains("hunter22"));
    let found: Vec<_> = checks
        .iter()
        .map(|check| (check.result.as_ref().err(), check.warnings.len()))
        .collect();
    assert!(
        matches!(
            found[..],
            [
                (None, 1),
                (None, 1),
                (Some(Error::Unusable { .. }), 0),
                (Some(Error::Unusable { .. }), 0),
                (Some(Error::Read { .. }), 0),
                (Some(Error::NotSet { .. }), 0),
                (None, 0),
            ]
        ),
        "{found:?}"
    );
    assert!(
        checks[0].warnings[0].contains("mode 644"),
        "{:?}",
        checks[0].warnings
    );
    assert!(matches!(secrets.get("other"), Err(Error::Unknown { name }) if name == "other"));
}

#[test]
fn a_value_of_blanks_alone_is_an_error_that_names_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blank");
    let secrets = secrets(&[("smtp", SecretRef::File(path.clone()))]);
    for text in ["", "\n", " ", "\n\n", " \t\r\n", "\u{a0}\n"] {
        write(&path, text, 0o600);
        let error = secrets.get("smtp").unwrap_err().to_string();
        assert_eq!(
            error, "secret `smtp`: the value is empty or blank",
            "{text:?}"
        );
    }
    write(&path, " a \n", 0o600);
    assert_eq!(secrets.get("smtp").unwrap().expose_secret(), " a ");
}

#[test]
fn a_value_can_not_be_written_into_the_configuration() {
    let reference = |text| serde_json::from_str::<SecretRef>(text);
    assert_eq!(
        reference(r#"{"env":"A"}"#).unwrap(),
        SecretRef::Env("A".to_owned())
    );
    let error = reference(r#"{"value":"hunter22"}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`env` or `file`"), "{error}");
    assert!(!error.contains("hunter22"), "{error}");
}
