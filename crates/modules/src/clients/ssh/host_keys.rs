//! Whether a host is the one that is meant: its key against what is on record.
//!
//! Three places may hold a host's keys: `host_keys` of the configuration, a `known_hosts` file,
//! and the playbook's agent or target. One at least must name the host, and each one that does
//! must have the key: a playbook can ask for more than the operator, never for less. There is
//! no way to accept a key unseen, and nothing is ever written.

use std::path::Path;
use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conche_core::Timestamp;
use ring::hmac;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

/// A larger file is no list of hosts.
const KNOWN_HOSTS_MAX: u64 = 4 << 20;

/// A key on record.
#[derive(Debug, Clone)]
pub(super) enum Pin {
    Key(Box<PublicKey>),
    Fingerprint(Fingerprint),
}

impl Pin {
    /// Reads `SHA256:…` or `ssh-ed25519 AAAA…`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(fingerprint) = Fingerprint::from_str(text) {
            return Ok(Self::Fingerprint(fingerprint));
        }
        PublicKey::from_openssh(text)
            .map(|key| Self::Key(Box::new(key)))
            .map_err(|_| format!("is neither `SHA256:…` nor a public key: `{text}`"))
    }

    fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(own) => own.key_data() == key.key_data(),
            Self::Fingerprint(own) => key.fingerprint(own.algorithm()) == *own,
        }
    }
}

/// What one place says of a host.
#[derive(Debug, Default)]
struct Record {
    place: String,
    pins: Vec<Pin>,
    /// Keys of authorities whose certificates count.
    authorities: Vec<PublicKey>,
}

/// All that is on record of a host.
#[derive(Debug)]
pub(super) struct Records {
    /// `host`, or `[host]:port` where the port is not 22.
    host: String,
    said: Vec<Record>,
    revoked: Vec<PublicKey>,
}

/// A host as files of OpenSSH name it.
pub(super) fn name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// The same for a name that somebody wrote: `[host]:22` is `host`.
pub(super) fn host_of_record(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix("]:22").or_else(|| rest.strip_suffix(']')));
    bare.map(str::to_owned).unwrap_or(text)
}

impl Records {
    /// Nothing is on record of a host, named as by [`name`].
    pub(super) fn new(host: String) -> Self {
        Self {
            host,
            said: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Adds keys that were written by hand.
    pub(super) fn add_pins(&mut self, place: &str, keys: &[String]) -> Result<(), String> {
        let pins = keys.iter().map(|key| Pin::parse(key));
        let pins = pins.collect::<Result<_, _>>();
        self.said.push(Record {
            place: place.to_owned(),
            pins: pins.map_err(|flaw| format!("a key under {place} {flaw}"))?,
            authorities: Vec::new(),
        });
        Ok(())
    }

    /// Adds what a file of OpenSSH says of the host.
    pub(super) async fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let wrong = |why: String| format!("can't read `known_hosts` {}: {why}", path.display());
        let size = tokio::fs::metadata(path).await;
        let size = size.map_err(|error| wrong(error.to_string()))?.len();
        if size > KNOWN_HOSTS_MAX {
            return Err(wrong(format!("it is larger than {KNOWN_HOSTS_MAX} bytes")));
        }
        let bytes = tokio::fs::read(path).await;
        let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
        self.add_lines(
            &format!("`known_hosts` {}", path.display()),
            &String::from_utf8_lossy(&bytes),
        );
        Ok(())
    }

    fn add_lines(&mut self, place: &str, text: &str) {
        let mut record = Record {
            place: place.to_owned(),
            ..Record::default()
        };
        for line in text.lines().filter_map(Line::parse) {
            if !line.names(&self.host) {
                continue;
            }
            match line.marker {
                None => record.pins.push(Pin::Key(Box::new(line.key))),
                Some("@cert-authority") => record.authorities.push(line.key),
                Some("@revoked") => self.revoked.push(line.key),
                Some(_) => {}
            }
        }
        if !record.pins.is_empty() || !record.authorities.is_empty() {
            self.said.push(record);
        }
    }

    /// The algorithms to ask the host for: those of keys on record first, since a host has
    /// several keys and proves the one that is asked for first.
    pub(super) fn preferred(&self, all: &[Algorithm]) -> Vec<Algorithm> {
        let pins = self.said.iter().flat_map(|record| &record.pins);
        let known: Vec<_> = pins
            .filter_map(|pin| match pin {
                Pin::Key(key) => Some(key.algorithm()),
                Pin::Fingerprint(_) => None,
            })
            .collect();
        let is_known = |algorithm: &Algorithm| {
            known
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        let (first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(is_known);
        first.into_iter().chain(rest).collect()
    }

    /// Whether certificates of hosts count for this one.
    pub(super) fn has_authorities(&self) -> bool {
        self.said
            .iter()
            .any(|record| !record.authorities.is_empty())
    }

    /// Checks what the host has proved to hold; otherwise says why and what to do.
    pub(super) fn check(
        &self,
        offered: &PublicKeyOrCertificate,
        now: Timestamp,
    ) -> Result<(), String> {
        let key = offered.public_key();
        let shown = shown(&key);
        let host = &self.host;
        if self
            .revoked
            .iter()
            .any(|revoked| revoked.key_data() == key.key_data())
        {
            return Err(format!(
                "the host key of {host} is revoked by `known_hosts`: it offered {shown}"
            ));
        }
        if self.said.is_empty() {
            return Err(format!(
                "the host key of {host} is not known: it offered {shown}. Compare it with what \
                 `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` prints on that host; if it is the \
                 same, add it under `host_keys`: {{ \"{host}\": [\"{}\"] }}, or to `known_hosts`",
                family(&key),
                key.fingerprint(HashAlg::Sha256)
            ));
        }
        for record in &self.said {
            let vouched = |certificate: &Certificate| self.vouched(record, certificate, now);
            let fits = record.pins.iter().any(|pin| pin.is(&key))
                || offered.certificate().is_some_and(vouched);
            if !fits {
                return Err(format!(
                    "the host key of {host} is not the one on record in {}: it offered {shown}. \
                     Somebody may be in between, or the host was set up anew: compare it with \
                     what `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` prints on that host \
                     before you replace the record",
                    record.place,
                    family(&key)
                ));
            }
        }
        Ok(())
    }

    /// Whether a certificate is of an authority on record, for this host, and valid now.
    fn vouched(&self, record: &Record, certificate: &Certificate, now: Timestamp) -> bool {
        let authorities: Vec<_> = record
            .authorities
            .iter()
            .map(|key| key.fingerprint(HashAlg::Sha256))
            .collect();
        let bare = self.host.strip_prefix('[');
        let bare = bare.and_then(|rest| rest.split_once(']'));
        let bare = bare.map_or(self.host.as_str(), |(host, _)| host);
        let now = u64::try_from(now.as_second()).unwrap_or(0);
        let named = certificate.valid_principals().iter();
        certificate.cert_type() == CertType::Host
            && named.map(String::as_str).any(|name| matches(name, bare))
            && certificate.critical_options().is_empty()
            && certificate.validate_at(now, &authorities).is_ok()
    }
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

/// A key for people.
fn shown(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

/// What sshd calls the file of such a key.
fn family(key: &PublicKey) -> &'static str {
    match key.algorithm() {
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::Ecdsa { .. } => "ecdsa",
        _ => "ed25519",
    }
}

/// A line of `known_hosts`: `[marker] names type key [comment]`.
struct Line<'a> {
    marker: Option<&'a str>,
    names: &'a str,
    key: PublicKey,
}

impl<'a> Line<'a> {
    /// None where it is empty, a comment or of a kind that is not known.
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        let (marker, names) = if first.starts_with('@') {
            (Some(first), words.next()?)
        } else {
            (None, first)
        };
        let (algorithm, key) = (words.next()?, words.next()?);
        let key = PublicKey::from_openssh(&format!("{algorithm} {key}")).ok()?;
        Some(Self { marker, names, key })
    }

    /// Whether the line is about a host: a pattern names it and none with `!` does.
    fn names(&self, host: &str) -> bool {
        let mut named = false;
        for pattern in self.names.split(',') {
            match pattern.strip_prefix('!') {
                Some(not) if matches(not, host) => return false,
                Some(_) => {}
                None => named |= hashed(pattern, host) || matches(pattern, host),
            }
        }
        named
    }
}

/// Whether `|1|salt|hash` is the host's hash.
fn hashed(pattern: &str, host: &str) -> bool {
    let parts = pattern.strip_prefix("|1|").and_then(|rest| {
        let (salt, hash) = rest.split_once('|')?;
        Some((STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?))
    });
    parts.is_some_and(|(salt, hash)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
        hmac::verify(&key, host.as_bytes(), &hash).is_ok()
    })
}

/// Whether a pattern with `*` and `?` is the whole text, whatever the case. Takes time with the
/// product of their lengths at most.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase().into_bytes();
    let text = text.to_ascii_lowercase().into_bytes();
    let (mut at, mut from) = (0, 0);
    // Where the last `*` stood, and what it had taken by then.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((stood, taken)) = star else {
                    return false;
                };
                star = Some((stood, taken + 1));
                at = stood + 1;
                from = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn check(host: &str, lines: &str, key: &str) -> Result<(), String> {
        let mut records = Records::new(name(host, 22));
        records.add_lines("f", lines);
        let key = PublicKey::from_openssh(key).unwrap();
        records.check(&key.into(), Timestamp::now())
    }

    /// `ssh-keygen -H` would write this.
    fn hash(host: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"salt");
        let tag = hmac::sign(&key, host.as_bytes());
        format!("|1|{}|{}", STANDARD.encode(b"salt"), STANDARD.encode(tag))
    }

    #[test]
    fn a_line_names_hosts_as_openssh_reads_it() {
        let table = [
            ("web1", "web1", true),
            ("web1", "a,WEB1,b", true),
            ("web1", "web?", true),
            ("web1", "*,!web1", false),
            ("web2", "w*,!web1", true),
            ("web1", "web", false),
            ("web1", "web11", false),
            ("web1", "[web1]:2222", false),
            ("a.example.com", "*.example.com", true),
            ("example.com", "*.example.com", false),
            ("2001:db8::1", "2001:db8::1", true),
        ];
        for (host, names, known) in table {
            let result = check(host, &format!("# c\n{names} {KEY} comment\n"), KEY);
            assert_eq!(result.is_ok(), known, "{host} {names} {result:?}");
        }
        assert!(check("web1", &format!("{} {KEY}", hash("web1")), KEY).is_ok());
        assert!(check("web2", &format!("{} {KEY}", hash("web1")), KEY).is_err());
        assert!(check("web1", &format!("|1|*|* {KEY}"), KEY).is_err());
    }

    #[test]
    fn an_unknown_a_changed_and_a_revoked_key_are_refused_and_told_apart() {
        let unknown = check("web1", "", KEY).unwrap_err();
        assert!(
            unknown.contains("is not known: it offered ssh-ed25519 SHA256:"),
            "{unknown}"
        );
        assert!(unknown.contains("{ \"web1\": [\"SHA256:"), "{unknown}");
        let changed = check("web1", &format!("web1 {OTHER}"), KEY).unwrap_err();
        assert!(
            changed.contains("is not the one on record in f"),
            "{changed}"
        );
        let both = format!("web1 {OTHER}\nbroken line\nweb1\t{KEY}\n");
        assert!(check("web1", &both, KEY).is_ok());
        let revoked = format!("web1 {KEY}\n@revoked * {KEY}\n");
        let revoked = check("web1", &revoked, KEY).unwrap_err();
        assert!(revoked.contains("revoked"), "{revoked}");
    }

    #[test]
    fn every_place_that_names_the_host_must_have_its_key() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let other = PublicKey::from_openssh(OTHER).unwrap();
        let fingerprint = |key: &PublicKey| key.fingerprint(HashAlg::Sha256).to_string();
        for (pinned, fits) in [(fingerprint(&key), true), (fingerprint(&other), false)] {
            let mut records = Records::new(name("web1", 2222));
            records.add_lines("f", &format!("[web1]:2222 {KEY}"));
            records.add_pins("the playbook", &[pinned]).unwrap();
            let result = records.check(&key.clone().into(), Timestamp::now());
            assert_eq!(result.is_ok(), fits, "{result:?}");
        }
        let mut records = Records::new(name("web1", 22));
        assert!(records.add_pins("p", &["SHA256:no".to_owned()]).is_err());
    }

    #[test]
    fn names_that_were_written_are_those_of_openssh() {
        assert_eq!(host_of_record("Web1"), "web1");
        assert_eq!(host_of_record("[web1]:22"), "web1");
        assert_eq!(host_of_record("[::1]"), "::1");
        assert_eq!(host_of_record("[web1]:2222"), name("WEB1", 2222));
    }
}
