//! Seals values that have to be stored though they are secret: what a caller gives a playbook for
//! its credentials stands in the journal, and must survive a restart.
//!
//! A sealed value is `{sealed:…}`, AES-256-GCM in base64url, and may stand within a text. It is
//! opened only in the context in which it was sealed, so that a value that somebody copies out
//! of a journal opens nothing elsewhere. The same value in the same context is sealed alike,
//! so that two requests can be compared; that two values are equal is all that can be seen.
//! The key must never be stored beside what it seals.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::hmac;
use secrecy::SecretString;

/// With what a sealed value begins.
const BEGIN: &str = "{sealed:";
/// With what it ends.
const END: char = '}';

/// Bytes of a key.
pub const SEAL_KEY_BYTES: usize = 32;

/// Seals and opens by one key.
pub(super) struct Seal {
    values: LessSafeKey,
    nonces: hmac::Key,
}

/// An opened text.
pub(super) struct Opened {
    pub(super) whole: SecretString,
    /// The values that were sealed in it.
    pub(super) values: Vec<SecretString>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// Key material of HKDF by its length.
struct Bytes;

impl hkdf::KeyType for Bytes {
    fn len(&self) -> usize {
        SEAL_KEY_BYTES
    }
}

impl Seal {
    /// None where the library refuses the key, which it does for no key of this length.
    pub(super) fn new(key: &[u8; SEAL_KEY_BYTES]) -> Option<Self> {
        let derived = |purpose: &[u8]| {
            let mut bytes = [0; SEAL_KEY_BYTES];
            let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"conche seal 1");
            let (material, info) = (salt.extract(key), [purpose]);
            let filled = material.expand(&info, Bytes).ok()?.fill(&mut bytes);
            filled.ok().map(|()| bytes)
        };
        let values = UnboundKey::new(&AES_256_GCM, &derived(b"values")?).ok()?;
        Some(Self {
            values: LessSafeKey::new(values),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, &derived(b"nonces")?),
        })
    }

    /// The value sealed, whatever it looks like; none where it is too long for the cipher.
    pub(super) fn seal(&self, context: &str, value: &str) -> Option<String> {
        let mut tagged = hmac::Context::with_key(&self.nonces);
        tagged.update(&(context.len() as u64).to_be_bytes());
        tagged.update(context.as_bytes());
        tagged.update(value.as_bytes());
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tagged.sign().as_ref()[..NONCE_LEN]);
        let mut sealed = value.as_bytes().to_vec();
        let number = Nonce::assume_unique_for_key(nonce);
        let context = Aad::from(context.as_bytes());
        let added = self
            .values
            .seal_in_place_append_tag(number, context, &mut sealed);
        added.ok()?;
        let bytes = [&nonce[..], &sealed].concat();
        Some(format!("{BEGIN}{}{END}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// A text with every sealed value in it opened, one layer; none where one cannot be.
    pub(super) fn open(&self, context: &str, text: &str) -> Option<Opened> {
        let mut whole = String::with_capacity(text.len());
        let mut values = Vec::new();
        let mut at = 0;
        while let Some(found) = next(text, at) {
            whole.push_str(&text[at..found.start]);
            let inner = &text[found.start + BEGIN.len()..found.end - END.len_utf8()];
            let value = self.open_one(context, inner)?;
            whole.push_str(&value);
            values.push(value.into());
            at = found.end;
        }
        whole.push_str(&text[at..]);
        Some(Opened {
            whole: whole.into(),
            values,
        })
    }

    fn open_one(&self, context: &str, encoded: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let number = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let context = Aad::from(context.as_bytes());
        let opened = self.values.open_in_place(number, context, &mut sealed);
        String::from_utf8(opened.ok()?.to_vec()).ok()
    }
}

/// Whether a text holds a sealed value.
pub(super) fn is_sealed(text: &str) -> bool {
    next(text, 0).is_some()
}

fn next(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].find(BEGIN)?;
    let length = text[start..].find(END)?;
    Some(start..start + length + END.len_utf8())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&[byte; SEAL_KEY_BYTES]).unwrap()
    }

    fn open(seal: &Seal, context: &str, text: &str) -> Option<String> {
        Some(seal.open(context, text)?.whole.expose_secret().to_owned())
    }

    #[test]
    fn a_sealed_value_is_opened_by_its_key_in_its_context_only() {
        let (mine, other) = (seal(1), seal(2));
        for value in ["", "hunter2", "ü{sealed:x}", "{sealed:AAAA}"] {
            let sealed = mine.seal("run", value).unwrap();
            assert!(
                is_sealed(&sealed) && !sealed.contains("hunter2"),
                "{sealed}"
            );
            assert_eq!(open(&mine, "run", &sealed).as_deref(), Some(value));
            assert_eq!(mine.seal("run", value).as_deref(), Some(&*sealed));
            assert_ne!(mine.seal("other", value).as_deref(), Some(&*sealed));
            assert_eq!(open(&mine, "other", &sealed), None);
            assert_eq!(open(&other, "run", &sealed), None);
        }
    }

    #[test]
    fn sealed_values_are_opened_within_a_text_and_a_broken_one_spoils_it() {
        let mine = seal(1);
        let [a, b] = ["a-secret", "b-secret"].map(|value| mine.seal("c", value).unwrap());
        let text = format!("Bearer {a}:{b}.");
        let opened = open(&mine, "c", &text);
        assert_eq!(opened.as_deref(), Some("Bearer a-secret:b-secret."));
        assert_eq!(open(&mine, "c", "plain }").as_deref(), Some("plain }"));
        let broken = [
            "{sealed:}".to_owned(),
            "{sealed:%%}".to_owned(),
            a.replace("{sealed:", "{sealed:A"),
        ];
        for text in broken {
            assert_eq!(open(&mine, "c", &text), None, "{text}");
        }
        assert!(!is_sealed("{sealed:") && !is_sealed("sealed"));
    }
}
