//! ECDSA on P-521 with SHA-512, which `ring` does not have.
//!
//! The arithmetic is that of RustCrypto's `p521`: constant in time by design, and not audited
//! as `ring`'s is. Nothing else is done with it, so that no other algorithm depends on it.

use p521::SecretKey;
use p521::ecdsa::signature::{RandomizedSigner, Verifier};
use p521::ecdsa::{Signature, SigningKey, VerifyingKey};
use p521::elliptic_curve::pkcs8::DecodePrivateKey;
use p521::elliptic_curve::rand_core::{CryptoRng, Error, RngCore};
use ring::rand::SecureRandom;

/// The length of a point in its uncompressed form, in bytes. There is no other here: two forms
/// of one key would be two keys to those who count them.
const POINT: usize = 133;

/// Whether a signature, r and s of 66 bytes each, of a message is a key's.
pub(super) fn verifies(point: &[u8], message: &[u8], value: &[u8]) -> bool {
    let uncompressed = point.len() == POINT && point[0] == 4;
    let key = VerifyingKey::from_sec1_bytes(point)
        .ok()
        .filter(|_| uncompressed);
    let signature = Signature::from_slice(value).ok();
    key.zip(signature)
        .is_some_and(|(key, signature)| key.verify(message, &signature).is_ok())
}

/// A private key.
pub(super) struct Pair {
    key: SigningKey,
    point: Vec<u8>,
}

impl Pair {
    /// Reads PKCS#8. The error is in the reader's words.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let secret = SecretKey::from_pkcs8_der(der).map_err(|error| error.to_string())?;
        let key = SigningKey::from_bytes(&secret.to_bytes()).map_err(|error| error.to_string())?;
        let point = VerifyingKey::from(&key).to_encoded_point(false);
        let point = point.as_bytes().to_vec();
        Ok(Self { key, point })
    }

    /// The public half, uncompressed.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }

    /// Signs a message; `None` without randomness.
    pub(super) fn sign(&self, message: &[u8], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        let mut source = Source {
            random,
            failed: false,
        };
        let signature: Signature = self.key.try_sign_with_rng(&mut source, message).ok()?;
        (!source.failed).then(|| signature.to_bytes().to_vec())
    }
}

/// The caller's randomness, for those who cannot be told that there is none: they get zeros,
/// and what they make of them is thrown away.
struct Source<'r> {
    random: &'r dyn SecureRandom,
    failed: bool,
}

impl RngCore for Source<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        if self.random.fill(bytes).is_err() {
            bytes.fill(0);
            self.failed = true;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Source<'_> {}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    fn pair() -> Pair {
        let pem = include_bytes!("../../tests/it/keys/p521.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).expect("PKCS#8");
        Pair::from_pkcs8(der.secret_pkcs8_der()).expect("a key")
    }

    #[test]
    fn a_key_has_one_form_only() {
        let pair = pair();
        let value = pair.sign(b"x", &SystemRandom::new()).expect("a signature");
        assert_eq!(value.len(), 132);
        assert!(verifies(pair.point(), b"x", &value));
        assert!(!verifies(pair.point(), b"y", &value));
        assert!(!verifies(pair.point(), b"x", &value[..131]));
        let compressed = VerifyingKey::from(&pair.key).to_encoded_point(true);
        assert!(!verifies(compressed.as_bytes(), b"x", &value));
        assert!(!verifies(&[], b"x", &value));
        assert!(
            !verifies(pair.point(), b"x", &[0; 132]),
            "r and s are not zero"
        );
    }
}
