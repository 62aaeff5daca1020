//! A reader of `envelope` and `body` that takes what RFC 3501 §9 allows and panics at anything else.

/// One value of the grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Nil,
    Number(u64),
    String(Vec<u8>),
    /// With whether one space stood before each but the first.
    List(Vec<(bool, Value)>),
}

/// Reads all of `octets` as one value. Lists are kept on a stack of our own.
pub fn read(octets: &[u8]) -> Value {
    let mut stack: Vec<Vec<(bool, Value)>> = Vec::new();
    let mut spaced = false;
    let mut at = 0;
    loop {
        let value = match octets[at] {
            b'(' => {
                stack.push(Vec::new());
                // The spacing of a list among its siblings is remembered as a first element.
                stack.last_mut().unwrap().push((spaced, Value::Nil));
                spaced = false;
                at += 1;
                continue;
            }
            b')' => {
                assert!(!spaced, "space before )");
                at += 1;
                let mut list = stack.pop().expect("unbalanced");
                spaced = list.remove(0).0;
                assert!(!list.is_empty(), "()");
                Value::List(list)
            }
            b' ' => {
                assert!(!spaced, "two spaces");
                assert!(stack.last().unwrap().len() > 1, "space after (");
                spaced = true;
                at += 1;
                continue;
            }
            b'"' => quoted(octets, &mut at),
            b'{' => literal(octets, &mut at),
            b'0'..=b'9' => {
                let digits: Vec<u8> = octets[at..]
                    .iter()
                    .copied()
                    .take_while(u8::is_ascii_digit)
                    .collect();
                at += digits.len();
                Value::Number(String::from_utf8(digits).unwrap().parse().unwrap())
            }
            b'N' => {
                assert!(octets[at..].starts_with(b"NIL"));
                at += 3;
                Value::Nil
            }
            other => panic!("octet {other} at {at} of {}", octets.escape_ascii()),
        };
        match stack.last_mut() {
            Some(list) => list.push((spaced, value)),
            None => {
                assert_eq!(at, octets.len(), "octets after the value");
                return value;
            }
        }
        spaced = false;
    }
}

fn quoted(octets: &[u8], at: &mut usize) -> Value {
    let mut string = Vec::new();
    *at += 1;
    loop {
        let octet = octets[*at];
        *at += 1;
        match octet {
            b'"' => return Value::String(string),
            b'\\' => {
                assert!(matches!(octets[*at], b'"' | b'\\'), "quoted-specials");
                string.push(octets[*at]);
                *at += 1;
            }
            b'\r' | b'\n' | 0 | 128.. => panic!("octet {octet} in a quoted string"),
            _ => string.push(octet),
        }
    }
}

fn literal(octets: &[u8], at: &mut usize) -> Value {
    let digits: Vec<u8> = octets[*at + 1..]
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    let length: usize = String::from_utf8(digits.clone()).unwrap().parse().unwrap();
    *at += 1 + digits.len();
    assert!(octets[*at..].starts_with(b"}\r\n"));
    *at += 3;
    let string = octets[*at..*at + length].to_vec();
    assert!(!string.contains(&0), "NUL in a literal");
    *at += length;
    Value::String(string)
}

/// The elements of a list of which all but the first have a space before them.
fn spaced(value: &Value) -> Vec<&Value> {
    let Value::List(list) = value else {
        panic!("not a list: {value:?}")
    };
    assert!(
        list.iter().skip(1).all(|(spaced, _)| *spaced),
        "a space is missing"
    );
    list.iter().map(|(_, value)| value).collect()
}

fn string(value: &Value) -> &[u8] {
    let Value::String(string) = value else {
        panic!("not a string: {value:?}")
    };
    string
}

fn nstring(value: &Value) {
    assert!(
        matches!(value, Value::Nil | Value::String(_)),
        "not an nstring: {value:?}"
    );
}

fn number(value: &Value) {
    assert!(matches!(value, Value::Number(_)), "not a number: {value:?}");
}

/// `envelope`.
pub fn check_envelope(octets: &[u8]) {
    envelope(&read(octets));
}

fn envelope(value: &Value) {
    let fields = spaced(value);
    assert_eq!(fields.len(), 10, "{value:?}");
    for text in [0, 1, 8, 9] {
        nstring(fields[text]);
    }
    for list in &fields[2..8] {
        addresses(list);
    }
}

fn addresses(value: &Value) {
    let list = match value {
        Value::Nil => return,
        Value::List(list) => list,
        other => panic!("not an address list: {other:?}"),
    };
    let mut in_group = false;
    for (space, address) in list {
        assert!(!space, "a space between addresses");
        let fields = spaced(address);
        assert_eq!(fields.len(), 4);
        fields.iter().copied().for_each(nstring);
        match (fields[2], fields[3]) {
            (Value::Nil, Value::Nil) => {
                assert!(in_group, "a group ends that did not begin");
                in_group = false;
            }
            (Value::Nil, _) => panic!("a host without a mailbox"),
            (_, Value::Nil) => {
                assert!(!in_group, "a group in a group");
                in_group = true;
            }
            _ => {}
        }
    }
    assert!(!in_group, "a group without its end");
}

/// `body`, with all its extension data or with none.
pub fn check_body(octets: &[u8], extended: bool) {
    body(&read(octets), extended);
}

fn body(value: &Value, extended: bool) {
    let Value::List(list) = value else {
        panic!("not a body: {value:?}")
    };
    if matches!(list[0].1, Value::List(_)) {
        let parts = list
            .iter()
            .take_while(|(_, value)| matches!(value, Value::List(_)))
            .count();
        for (space, part) in &list[..parts] {
            assert!(!space, "a space between parts");
            body(part, extended);
        }
        let rest: Vec<&Value> = list[parts..].iter().map(|(_, value)| value).collect();
        assert!(list[parts..].iter().all(|(space, _)| *space));
        string(rest[0]);
        assert_eq!(rest.len(), if extended { 5 } else { 1 });
        if extended {
            parameters(rest[1]);
            extension(&rest[2..]);
        }
        return;
    }
    let fields = spaced(value);
    let (media_type, media_subtype) = (string(fields[0]), string(fields[1]));
    parameters(fields[2]);
    nstring(fields[3]);
    nstring(fields[4]);
    string(fields[5]);
    number(fields[6]);
    let mut next = 7;
    if media_type.eq_ignore_ascii_case(b"text") {
        number(fields[7]);
        next = 8;
    } else if media_type.eq_ignore_ascii_case(b"message")
        && media_subtype.eq_ignore_ascii_case(b"rfc822")
    {
        envelope(fields[7]);
        body(fields[8], extended);
        number(fields[9]);
        next = 10;
    }
    assert_eq!(
        fields.len(),
        next + if extended { 4 } else { 0 },
        "{value:?}"
    );
    if extended {
        nstring(fields[next]);
        extension(&fields[next + 1..]);
    }
}

fn parameters(value: &Value) {
    if *value != Value::Nil {
        let list = spaced(value);
        assert_eq!(list.len() % 2, 0);
        list.into_iter().for_each(|value| _ = string(value));
    }
}

/// Disposition, language, location.
fn extension(values: &[&Value]) {
    assert_eq!(values.len(), 3);
    if *values[0] != Value::Nil {
        let disposition = spaced(values[0]);
        assert_eq!(disposition.len(), 2);
        string(disposition[0]);
        parameters(disposition[1]);
    }
    match values[1] {
        Value::List(_) => spaced(values[1])
            .into_iter()
            .for_each(|value| _ = string(value)),
        other => nstring(other),
    }
    nstring(values[2]);
}
