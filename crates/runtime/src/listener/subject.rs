//! The common name within a client certificate, for people to see.
//!
//! It is read only after rustls has verified the certificate. Who is let in by it is one of
//! those whom the authorities of that listener have named.
//! What is not read here in the form that is expected has no name: then the fingerprint
//! stands for it.

/// A piece of DER: its tag and what is in it.
struct Piece<'a> {
    tag: u8,
    value: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// `[0]`, the version of the certificate, absent in those of version 1.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const NAME_BYTES_MAX: usize = 128;

/// The last common name of the subject of a certificate in DER.
pub(super) fn common_name(certificate: &[u8]) -> Option<&str> {
    let mut outer = take(&mut { certificate }, SEQUENCE)?;
    let mut signed = take(&mut outer, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        next(&mut signed)?;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        next(&mut signed)?;
    }
    let mut subject = take(&mut signed, SEQUENCE)?;
    let mut found = None;
    while !subject.is_empty() {
        let mut set = take(&mut subject, SET)?;
        while !set.is_empty() {
            let mut attribute = take(&mut set, SEQUENCE)?;
            let kind = take(&mut attribute, OBJECT_ID)?;
            if kind == COMMON_NAME {
                found = Some(text(&next(&mut attribute)?)?);
            }
        }
    }
    found
}

fn text<'a>(piece: &Piece<'a>) -> Option<&'a str> {
    let is_text = matches!(piece.tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
    let text = std::str::from_utf8(piece.value).ok()?;
    let is_name = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    (is_text && is_name).then_some(text)
}

/// The content of the next piece, which must have this tag.
fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let piece = next(rest)?;
    (piece.tag == tag).then_some(piece.value)
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Piece<'a>> {
    let (&tag, after) = rest.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, after) = match first {
        0..=0x7f => (usize::from(first), after),
        0x81..=0x83 => {
            let (digits, after) = after.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, after)
        }
        _ => return None,
    };
    let (value, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(Piece { tag, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_found_among_others() {
        let long = "n".repeat(NAME_BYTES_MAX);
        for name in ["ann", "Änn O'Hara", &long] {
            let der = certificate(&[
                (DnType::OrganizationName, "Acme"),
                (DnType::CommonName, name),
                (DnType::CountryName, "CH"),
            ]);
            assert_eq!(common_name(&der), Some(name));
        }
    }

    #[test]
    fn what_has_no_proper_name_has_none() {
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        for names in [
            vec![],
            vec![(DnType::OrganizationName, "Acme")],
            vec![(DnType::CommonName, "a\u{1b}[2J")],
            vec![(DnType::CommonName, "")],
            vec![(DnType::CommonName, &*long)],
        ] {
            assert_eq!(common_name(&certificate(&names)), None);
        }
    }

    #[test]
    fn no_piece_of_a_certificate_is_more_than_it() {
        let der = certificate(&[(DnType::CommonName, "ann")]);
        for end in 0..der.len() {
            assert_eq!(common_name(&der[..end]), None);
        }
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] ^= 0xff;
            // Any answer will do, but it must come.
            let _answer = common_name(&changed);
        }
    }
}
