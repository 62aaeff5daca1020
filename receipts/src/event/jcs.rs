//! Canonical JSON (RFC 8785, JCS) of the values evidence may hold: no fractions, no unsafe integers.

use serde_json::{Map, Number, Value};

use super::EventError;

/// The largest integer that every JSON reader keeps exactly (RFC 7493 §2.2): 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Objects and arrays within each other, at most: evidence is flat, and the writer below recurses.
pub const DEPTH_MAX: usize = 16;

/// The canonical octets of `value`: members sorted by the UTF-16 code units of their names, no white space, the one
/// escape for each character.
///
/// # Errors
/// A number that is not an integer within ±([`INTEGER_MAX`]), or nesting beyond [`DEPTH_MAX`].
pub fn jcs(value: &Value) -> Result<Vec<u8>, EventError> {
    let mut out = Vec::with_capacity(1024);
    write_value(value, 0, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), EventError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_integer(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => write_array(items, deeper(depth)?, out)?,
        Value::Object(members) => write_object(members, deeper(depth)?, out)?,
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, EventError> {
    if depth < DEPTH_MAX {
        Ok(depth + 1)
    } else {
        Err(EventError::TooDeep)
    }
}

fn write_array(items: &[Value], depth: usize, out: &mut Vec<u8>) -> Result<(), EventError> {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_value(item, depth, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object(
    members: &Map<String, Value>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    // RFC 8785 §3.2.3: UTF-16 code units, which is not the order of UTF-8 octets beyond the BMP.
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_integer(number: &Number, out: &mut Vec<u8>) -> Result<(), EventError> {
    let magnitude = match (number.as_u64(), number.as_i64()) {
        (Some(positive), _) => positive,
        (None, Some(negative)) => negative.unsigned_abs(),
        (None, None) => return Err(EventError::NotAnInteger),
    };
    if magnitude > INTEGER_MAX {
        return Err(EventError::NotAnInteger);
    }
    // Within that range ECMAScript prints plain digits (RFC 8785 §3.2.2.3), and so does this.
    out.extend_from_slice(number.to_string().as_bytes());
    Ok(())
}

/// RFC 8785 §3.2.2.2.
fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            0x00..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(json: &str) -> String {
        String::from_utf8(jcs(&serde_json::from_str(json).unwrap()).unwrap()).unwrap()
    }

    /// Any value evidence may hold.
    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let max = i64::try_from(INTEGER_MAX).unwrap();
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-max..=max).prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn members_sort_by_utf_16() {
        // The example of RFC 8785 §3.2.3.
        let json = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let text = canonical(json);
        let order = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn strings_have_one_form() {
        let json = r#"["\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","\b\f\r\t\u001f\u007f"]"#;
        // RFC 8785 §3.2.2.2's own example, then the short escapes and the first character that needs none.
        assert_eq!(
            canonical(json),
            "[\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\",\"\\b\\f\\r\\t\\u001f\u{7f}\"]"
        );
        assert_eq!(
            canonical(" { \"b\" : [ ] , \"a\" : { } } "),
            "{\"a\":{},\"b\":[]}"
        );
    }

    #[test]
    fn only_safe_integers() {
        for good in ["0", "-1", "9007199254740991", "-9007199254740991"] {
            assert_eq!(canonical(good), good);
        }
        for bad in [
            "0.5",
            "1.0",
            "1e3",
            "-0",
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
        ] {
            let value = serde_json::from_str(bad).unwrap();
            assert!(
                matches!(jcs(&value), Err(EventError::NotAnInteger)),
                "{bad}"
            );
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(jcs(&nested(DEPTH_MAX)).is_ok());
        assert!(matches!(
            jcs(&nested(DEPTH_MAX + 1)),
            Err(EventError::TooDeep)
        ));
    }

    proptest! {
        #[test]
        fn says_what_it_was_given(value in value()) {
            let octets = jcs(&value).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<Value>(&octets).unwrap(), &value);
            prop_assert_eq!(jcs(&serde_json::from_slice(&octets).unwrap()).unwrap(), octets);
        }
    }
}
