//! The bytes that a signature signs.
//!
//! They are made from the JSON value as it was received, never from a typed view of it: what
//! is absent and what has its default value are different documents to whoever signed one.

use serde_json::{Map, Value};

use super::algorithm::Hash;

/// The largest integer that every reader of JSON takes for the same number: 2^53 - 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// The member of a playbook that holds its signatures.
const SIGNATURES: &str = "signatures";

/// The canonical form (RFC 8785) of a value.
///
/// Fails for numbers beyond 2^53 - 1: two of them can have one canonical form, and a
/// signature of one would hold for the other.
///
/// ```
/// let value = serde_json::json!({"b": [1.0, "€"], "a": 1e-7});
/// let bytes = conche_cacao::signature::canonical(&value)?;
/// assert_eq!(bytes, r#"{"a":1e-7,"b":[1,"€"]}"#.as_bytes());
/// # Ok::<(), conche_cacao::signature::NotCanonical>(())
/// ```
pub fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    if let Some(number) = inexact(value) {
        return Err(NotCanonical::Number { number });
    }
    serde_json_canonicalizer::to_vec(value).map_err(|error| NotCanonical::Writer {
        why: error.to_string(),
    })
}

/// Why a value has no canonical form.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum NotCanonical {
    /// A number is not the same to every reader.
    #[error("the number {number} is not the same to every reader (I-JSON goes to 2^53 - 1)")]
    Number {
        /// As it is written.
        number: String,
    },
    /// The canonical form could not be written.
    #[error("the canonical form could not be written: {why}")]
    Writer {
        /// In the writer's words.
        why: String,
    },
}

/// The first integer of a value that a double does not hold exactly.
fn inexact(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) if number.is_f64() => None,
        Value::Number(number) => {
            let size = number
                .as_u64()
                .or_else(|| number.as_i64().map(i64::unsigned_abs));
            (size.is_none_or(|size| size > INTEGER_MAX)).then(|| number.to_string())
        }
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Object(members) => members.values().find_map(inexact),
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// A playbook in canonical form, cut open where its signatures go: each signature is put in
/// by itself, and the playbook, which can be large, is written once for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsigned {
    /// Its members up to `signatures`, without the brace.
    before: Vec<u8>,
    /// Its members after `signatures`, without the brace.
    after: Vec<u8>,
}

/// What is signed: the lowercase hexadecimal digest of the playbook with one signature, as
/// ASCII, and the digest itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// What the specification's example signs.
    pub(super) hex: String,
    /// What the specification's text can also be read to mean.
    pub(super) digest: Vec<u8>,
}

impl Unsigned {
    /// A playbook, whatever signatures it has.
    pub(super) fn of(playbook: &Map<String, Value>) -> Result<Self, NotCanonical> {
        let members = playbook.iter().filter(|(name, _)| *name != SIGNATURES);
        let members = members.map(|(name, member)| (name.clone(), member.clone()));
        // Against a name of ASCII, the order of UTF-8 is that of UTF-16.
        let (before, after) = members.partition(|(name, _)| name.as_str() < SIGNATURES);
        let inside = |part: Map<String, Value>| -> Result<Vec<u8>, NotCanonical> {
            let mut text = canonical(&Value::Object(part))?;
            text.pop();
            text.drain(..1);
            Ok(text)
        };
        Ok(Self {
            before: inside(before)?,
            after: inside(after)?,
        })
    }

    /// The message of the last of `layers`, which are a signature, its signature, and so on.
    ///
    /// The signature that is made or verified is in it without `value` and without the
    /// signature of it; those that it signs are with theirs.
    pub(super) fn message(
        &self,
        layers: &[&Map<String, Value>],
        hash: Hash,
    ) -> Result<Message, NotCanonical> {
        let mut inner: Option<Map<String, Value>> = None;
        for layer in layers.iter().rev() {
            let own = layer.iter().filter(|(name, _)| match name.as_str() {
                "signature" => false,
                "value" => inner.is_some(),
                _ => true,
            });
            let own = own.map(|(name, member)| (name.clone(), member.clone()));
            let mut object: Map<String, Value> = own.collect();
            if let Some(inner) = inner {
                object.insert("signature".to_owned(), Value::Object(inner));
            }
            inner = Some(object);
        }
        let signature = canonical(&Value::Object(inner.unwrap_or_default()))?;
        let comma = |part: &[u8]| if part.is_empty() { "" } else { "," };
        let digest = hash.of(&[
            b"{",
            &self.before,
            comma(&self.before).as_bytes(),
            b"\"signatures\":[",
            &signature,
            b"]",
            comma(&self.after).as_bytes(),
            &self.after,
            b"}",
        ]);
        let hex = hex(&digest);
        Ok(Message { hex, digest })
    }
}

fn hex(digest: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical(value).expect("I-JSON")).expect("UTF-8")
    }

    /// RFC 8785, appendix B: the bits of a double, and how it is written.
    #[test]
    fn numbers_are_written_as_rfc_8785_writes_them() {
        for (bits, written) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(text(&json!(f64::from_bits(bits))), written, "{bits:016x}");
        }
        assert_eq!(text(&json!([10, -1, 4.50, 2e-3])), "[10,-1,4.5,0.002]");
    }

    /// RFC 8785, §3.2.2 and §3.2.4: the sample, and its canonical form.
    #[test]
    fn the_sample_of_rfc_8785_is_written_as_it_says() {
        let sample = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let sample: Value = serde_json::from_str(sample).expect("JSON");
        assert_eq!(
            text(&sample),
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
    }

    #[test]
    fn names_are_ordered_by_their_utf_16_code_units() {
        // In code points U+FB33 comes before U+1F600; in UTF-16 it comes after.
        let value = json!({
            "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7
        });
        assert_eq!(
            text(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn text_is_escaped_only_where_it_must_be() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}\u{2028}\u{8}\u{c}\t");
        assert_eq!(
            text(&value),
            "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\u{2028}\\b\\f\\t\""
        );
    }

    #[test]
    fn integers_that_a_double_does_not_hold_have_no_canonical_form() {
        for number in [json!(9_007_199_254_740_993_u64), json!(i64::MIN)] {
            let refused = canonical(&json!({"a": [number.clone()]}));
            let number = number.to_string();
            assert_eq!(refused, Err(NotCanonical::Number { number }));
        }
    }

    #[test]
    fn a_playbook_that_is_cut_open_is_the_same_playbook() {
        let signature = json!({"value": "AA", "id": "jss--1", "signature": {"value": "BB"}});
        for names in [
            &[
                "signaturez",
                "\u{1f600}",
                "\u{fb33}",
                "signature",
                "",
                "a",
                "SIGNATURES",
                "é",
            ][..],
            &["z"],
            &["a"],
            &[],
        ] {
            let named = names.iter().map(|name| ((*name).to_owned(), json!([name])));
            let mut playbook: Map<String, Value> = named.collect();
            let open = Unsigned::of(&playbook).expect("I-JSON");
            let layers = [signature.as_object().expect("an object")];
            let message = open.message(&layers, Hash::Sha512).expect("I-JSON");
            playbook.insert(SIGNATURES.to_owned(), json!([{"id": "jss--1"}]));
            let whole = canonical(&Value::Object(playbook.clone())).expect("I-JSON");
            assert_eq!(message.digest, Hash::Sha512.of(&[&whole]), "{names:?}");
            assert_eq!(Unsigned::of(&playbook), Ok(open));
        }
    }
}
