//! NTLMv2 (MS-NLMP), as far as a client needs it to show who it is within TLS.
//!
//! The password answers a challenge and is not sent. The answer is bound to the host's
//! certificate, so nobody between can hand it on to another host, and all three messages
//! are under its checksum (MIC). LM, NTLMv1 and sealing are not spoken. What the host sends is
//! read within its bounds; nothing in it can end the process.

use conche_core::Timestamp;
use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use md4::Md4;
use md5::{Digest as _, Md5};
use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// Text in UTF-16, the target's name and information, NTLM, extended session security, 128 bits.
/// Nothing is signed or sealed: TLS does that.
const FLAGS: u32 =
    0x0000_0001 | 0x0000_0004 | 0x0000_0200 | 0x0008_0000 | 0x0080_0000 | 0x2000_0000;

/// Kinds of pairs in the target's information (MS-NLMP §2.2.2.1).
const END: u16 = 0;
const NAMES: u16 = 6;
const TIME: u16 = 7;
const TARGET: u16 = 9;
const BINDING: u16 = 10;

/// In the pair [`NAMES`]: there is a checksum of all messages.
const WITH_MIC: u32 = 2;

/// Where the checksum stands in the last message, and where what follows begins.
const MIC: std::ops::Range<usize> = 72..88;

/// From 1601 to 1970 in units of 100 ns.
const UNIX_EPOCH: i128 = 116_444_736_000_000_000;

/// A challenge that is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It is cut off or not of this protocol.
    #[error("the host's NTLM challenge is broken")]
    Broken,
    /// It does not offer what is needed.
    #[error("the host does not speak NTLMv2 in Unicode")]
    Old,
    /// A name or password is longer than the protocol allows.
    #[error("the user, the domain or the host's name is too long for NTLM")]
    TooLong,
    /// The system has no random numbers.
    #[error("no random numbers")]
    Random,
}

/// Who logs in.
#[derive(Clone, Copy)]
pub(super) struct Account<'a> {
    /// Without the domain; or whole, as `user@domain`.
    pub(super) user: &'a str,
    /// Empty for a user of the host itself.
    pub(super) domain: &'a str,
    pub(super) password: &'a str,
}

impl<'a> Account<'a> {
    /// An account by its name, `user`, `DOMAIN\user` or `user@domain`.
    pub(super) fn new(name: &'a str, password: &'a str) -> Self {
        let (domain, user) = name.split_once('\\').unwrap_or(("", name));
        // `.` is the host itself to people, not to NTLM.
        let domain = if domain == "." { "" } else { domain };
        Self {
            user,
            domain,
            password,
        }
    }

    /// NTOWFv2.
    fn key(&self) -> [u8; 16] {
        let hash = Md4::digest(utf16(self.password));
        let upper = utf16(&upper(self.user));
        mac(&hash, &[&upper, &utf16(self.domain)])
    }
}

/// What makes an answer unlike all others.
#[derive(Clone, Copy)]
pub(super) struct Chance {
    pub(super) nonce: [u8; 8],
    /// Since 1601 in units of 100 ns; counts where the host names no time of its own.
    pub(super) time: u64,
}

impl Chance {
    pub(super) fn new(now: Timestamp) -> Result<Self, Error> {
        let mut nonce = [0; 8];
        let drawn = SystemRandom::new().fill(&mut nonce);
        drawn.map_err(|_unspecified| Error::Random)?;
        let time = now.as_nanosecond() / 100 + UNIX_EPOCH;
        Ok(Self {
            nonce,
            time: u64::try_from(time).unwrap_or_default(),
        })
    }
}

/// The first message: what is spoken.
pub(super) fn negotiate() -> Vec<u8> {
    let mut message = Vec::with_capacity(40);
    message.extend_from_slice(SIGNATURE);
    message.extend_from_slice(&1_u32.to_le_bytes());
    message.extend_from_slice(&FLAGS.to_le_bytes());
    // Neither domain nor workstation, nor a version.
    message.extend_from_slice(&[0; 24]);
    message
}

/// The third message: the answer to a challenge, for a service by the name of its host.
pub(super) fn authenticate(
    first: &[u8],
    challenge: &[u8],
    account: &Account<'_>,
    to: (&str, [u8; 16]),
    chance: Chance,
) -> Result<Vec<u8>, Error> {
    let offered = Challenge::read(challenge)?;
    let (information, time) = offered.information(to, chance.time)?;
    let mut blob = vec![1, 1, 0, 0, 0, 0, 0, 0];
    blob.extend_from_slice(&time.to_le_bytes());
    blob.extend_from_slice(&chance.nonce);
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(&information);
    blob.extend_from_slice(&[0; 4]);
    let key = account.key();
    let proof = mac(&key, &[&offered.nonce, &blob]);
    let session = mac(&key, &[&proof]);
    let answer = [&proof[..], &blob].concat();
    // The answer of LM is nothing: the host has named its time, or needs none.
    let parts = [
        vec![0; 24],
        answer,
        utf16(account.domain),
        utf16(account.user),
        Vec::new(),
        Vec::new(),
    ];
    let mut message = Vec::new();
    message.extend_from_slice(SIGNATURE);
    message.extend_from_slice(&3_u32.to_le_bytes());
    let mut offset = MIC.end;
    for part in &parts {
        let length = u16::try_from(part.len()).map_err(|_| Error::TooLong)?;
        message.extend_from_slice(&length.to_le_bytes());
        message.extend_from_slice(&length.to_le_bytes());
        let place = u32::try_from(offset).map_err(|_| Error::TooLong)?;
        message.extend_from_slice(&place.to_le_bytes());
        offset += part.len();
    }
    message.extend_from_slice(&(offered.flags & FLAGS).to_le_bytes());
    // No version, and the checksum's place.
    message.resize(MIC.end, 0);
    message.extend(parts.into_iter().flatten());
    let sum = mac(&session, &[first, challenge, &message]);
    message[MIC].copy_from_slice(&sum);
    Ok(message)
}

/// What the answer is bound to: the digest of the host's certificate in the form of RFC 5929
/// (`tls-server-end-point`); zeros where there is no certificate.
pub(super) fn binding(certificate: Option<&[u8]>) -> [u8; 16] {
    let Some(certificate) = certificate else {
        return [0; 16];
    };
    let data = [
        b"tls-server-end-point:",
        digest::digest(algorithm(certificate), certificate).as_ref(),
    ]
    .concat();
    let mut hash = Md5::new();
    // Neither addresses of the one who begins nor of the other (RFC 2744 §3.11).
    hash.update([0; 16]);
    hash.update(u32::try_from(data.len()).unwrap_or_default().to_le_bytes());
    hash.update(&data);
    hash.finalize().into()
}

/// The digest that the certificate itself was signed with; SHA-256 for weaker ones (RFC 5929
/// §4.1).
fn algorithm(certificate: &[u8]) -> &'static digest::Algorithm {
    let read = Certificate::from_der(certificate);
    let name = read.map(|read| read.signature_algorithm.oid.to_string());
    match name.as_deref() {
        // RSA and ECDSA with SHA-384, and with SHA-512.
        Ok("1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3") => &digest::SHA384,
        Ok("1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4") => &digest::SHA512,
        _ => &digest::SHA256,
    }
}

/// The second message.
struct Challenge<'a> {
    flags: u32,
    nonce: [u8; 8],
    pairs: Vec<(u16, &'a [u8])>,
}

impl<'a> Challenge<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Error> {
        let part = |at: usize, length: usize| message.get(at..at.checked_add(length)?);
        if part(0, 8) != Some(SIGNATURE) || part(8, 4) != Some(&2_u32.to_le_bytes()) {
            return Err(Error::Broken);
        }
        let flags = u32_of(part(20, 4).ok_or(Error::Broken)?);
        if flags & 0x0000_0001 == 0 || flags & 0x0080_0000 == 0 {
            return Err(Error::Old);
        }
        let nonce = part(24, 8).and_then(|nonce| nonce.try_into().ok());
        let field = part(40, 8).ok_or(Error::Broken)?;
        let (length, place) = (u16_of(&field[..2]), u32_of(&field[4..]));
        let place = usize::try_from(place).map_err(|_| Error::Broken)?;
        let information = part(place, usize::from(length)).ok_or(Error::Broken)?;
        Ok(Self {
            flags,
            nonce: nonce.ok_or(Error::Broken)?,
            pairs: pairs(information)?,
        })
    }

    /// The target's information as the answer repeats it: with the binding, the service's name
    /// and the word that there is a checksum. And the time that counts.
    fn information(
        &self,
        (host, binding): (&str, [u8; 16]),
        time: u64,
    ) -> Result<(Vec<u8>, u64), Error> {
        let mut information = Vec::new();
        let mut push = |kind: u16, value: &[u8]| {
            let length = u16::try_from(value.len()).map_err(|_| Error::TooLong)?;
            information.extend_from_slice(&kind.to_le_bytes());
            information.extend_from_slice(&length.to_le_bytes());
            information.extend_from_slice(value);
            Ok(())
        };
        let (mut flags, mut time) = (WITH_MIC, time);
        for (kind, value) in &self.pairs {
            match (*kind, *value) {
                (NAMES, value) if value.len() == 4 => flags |= u32_of(value),
                (NAMES | TARGET | BINDING, _) => {}
                (TIME, value) => {
                    let named = value.try_into().map_err(|_| Error::Broken)?;
                    time = u64::from_le_bytes(named);
                    push(TIME, value)?;
                }
                (kind, value) => push(kind, value)?,
            }
        }
        push(NAMES, &flags.to_le_bytes())?;
        push(BINDING, &binding)?;
        push(TARGET, &utf16(&format!("HTTP/{host}")))?;
        push(END, &[])?;
        Ok((information, time))
    }
}

fn pairs(mut rest: &[u8]) -> Result<Vec<(u16, &[u8])>, Error> {
    let mut pairs = Vec::new();
    loop {
        let (head, after) = rest.split_at_checked(4).ok_or(Error::Broken)?;
        let (kind, length) = (u16_of(&head[..2]), u16_of(&head[2..]));
        if kind == END {
            return Ok(pairs);
        }
        let split = after.split_at_checked(usize::from(length));
        let (value, after) = split.ok_or(Error::Broken)?;
        pairs.push((kind, value));
        rest = after;
    }
}

/// A number of two bytes.
fn u16_of(bytes: &[u8]) -> u16 {
    bytes.try_into().map_or(0, u16::from_le_bytes)
}

/// A number of four bytes.
fn u32_of(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Md5>::new_from_slice(key) else {
        return [0; 16];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// In capitals as Windows makes them: one character stays one.
fn upper(text: &str) -> String {
    let one = |char: char| {
        let mut upper = char.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(only), None) => only,
            _ => char,
        }
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|char| !char.is_whitespace()).collect();
        let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
        pairs
            .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
            .collect()
    }

    /// A challenge with these pairs.
    fn challenge(flags: u32, information: &[u8]) -> Vec<u8> {
        let mut message = SIGNATURE.to_vec();
        message.extend_from_slice(&2_u32.to_le_bytes());
        message.extend_from_slice(&[0; 8]);
        message.extend_from_slice(&flags.to_le_bytes());
        message.extend_from_slice(&bytes("0123456789abcdef"));
        message.extend_from_slice(&[0; 8]);
        let length = u16::try_from(information.len()).unwrap().to_le_bytes();
        message.extend_from_slice(&[length, length].concat());
        message.extend_from_slice(&48_u32.to_le_bytes());
        [message, information.to_vec()].concat()
    }

    fn names() -> Vec<u8> {
        let pair = |kind: u16, name: &str| {
            let name = utf16(name);
            let length = u16::try_from(name.len()).unwrap();
            [&kind.to_le_bytes()[..], &length.to_le_bytes(), &name].concat()
        };
        [pair(2, "Domain"), pair(1, "Server"), vec![0; 4]].concat()
    }

    const CHANCE: Chance = Chance {
        nonce: [0xaa; 8],
        time: 0,
    };

    #[test]
    fn the_key_and_the_proof_are_those_of_the_specification() {
        // MS-NLMP §4.2.4.
        let account = Account::new("Domain\\User", "Password");
        let key = account.key();
        assert_eq!(key.to_vec(), bytes("0c868a403bfd7a93a3001ef22ef02e3f"));
        let blob = [
            bytes("0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa 00000000"),
            names(),
            vec![0; 4],
        ];
        let proof = mac(&key, &[&bytes("0123456789abcdef"), &blob.concat()]);
        assert_eq!(proof.to_vec(), bytes("68cd0ab851e51c96aabc927bebef6a1c"));
        let session = mac(&key, &[&proof]);
        assert_eq!(session.to_vec(), bytes("8de40ccadbc14a82f15cb0ad0de95ca3"));
    }

    #[test]
    fn an_answer_repeats_the_targets_names_with_binding_and_checksum() {
        let (first, second) = (negotiate(), challenge(FLAGS, &names()));
        let account = Account::new("User", "Password");
        let to = ("host.example", [7; 16]);
        let made = authenticate(&first, &second, &account, to, CHANCE).unwrap();
        let place = usize::try_from(u32_of(&made[24..28])).unwrap();
        let length = usize::from(u16_of(&made[20..22]));
        let own = pairs(&made[place + 16 + 28..place + length]).unwrap();
        let found = |kind: u16| own.iter().find(|pair| pair.0 == kind).unwrap().1.to_vec();
        assert_eq!(found(BINDING), [7; 16]);
        assert_eq!(found(NAMES), [2, 0, 0, 0]);
        assert_eq!(found(TARGET), utf16("HTTP/host.example"));
        assert_eq!(found(1), utf16("Server"));
        let mut bare = made.clone();
        bare[MIC].fill(0);
        let proof = &made[place..place + 16];
        let session = mac(&account.key(), &[proof]);
        assert_eq!(made[MIC], mac(&session, &[&first, &second, &bare]));
    }

    #[test]
    fn no_challenge_can_end_the_process() {
        let whole = challenge(FLAGS, &names());
        let account = Account::new("u", "p");
        let to = ("h", [0; 16]);
        for length in 0..whole.len() {
            let cut = &whole[..length];
            assert!(authenticate(&[], cut, &account, to, CHANCE).is_err());
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut other = whole.clone();
                other[at] = value;
                // Either is fine, as long as it comes back.
                authenticate(&[], &other, &account, to, CHANCE).ok();
            }
        }
        let old = authenticate(&[], &challenge(4, &names()), &account, to, CHANCE);
        assert!(matches!(old, Err(Error::Old)));
    }

    #[test]
    fn accounts_are_told_apart_from_their_domains() {
        for (name, user, domain) in [
            ("anna", "anna", ""),
            ("CORP\\anna", "anna", "CORP"),
            (".\\anna", "anna", ""),
            ("anna@corp.example", "anna@corp.example", ""),
        ] {
            let account = Account::new(name, "");
            assert_eq!((account.user, account.domain), (user, domain));
        }
        assert_eq!(upper("straßeé1"), "STRAßEÉ1");
    }
}
