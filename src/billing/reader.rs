//! A statement read as it streams by: head, lines, sums, in this order, whatever its spacing. Unknown members are refused: what
//! is not checked must not be there.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::statement::{Head, Line, Sink, Sums};
use crate::failure::{Failure, Outcome};

/// Hands a statement to `sink` as it is read.
///
/// # Errors
/// What the sink says, or what is no statement.
pub fn read(input: impl Read, sink: &mut dyn Sink) -> Outcome {
    let mut failed = None;
    let mut json = serde_json::Deserializer::from_reader(input);
    let whole = Whole {
        sink,
        failed: &mut failed,
    };
    let done = whole.deserialize(&mut json).and_then(|()| json.end());
    match (failed, done) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::doing("not a statement", &error)),
        (None, Ok(())) => Ok(()),
    }
}

struct Whole<'a> {
    sink: &'a mut dyn Sink,
    failed: &'a mut Option<Failure>,
}

/// What the sink refuses ends the reading; its own words are kept aside.
fn take<E: Error>(failed: &mut Option<Failure>, done: Outcome) -> Result<(), E> {
    done.map_err(|failure| {
        *failed = Some(failure);
        E::custom("refused")
    })
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut head = Some(Map::new());
        let mut ended = false;
        while let Some(key) = map.next_key::<String>()? {
            match (key.as_str(), head.as_mut()) {
                ("lines", Some(_)) => {
                    let whole = head.take().map(Value::Object).unwrap_or_default();
                    let head: Head = serde_json::from_value(whole).map_err(A::Error::custom)?;
                    take(self.failed, self.sink.head(&head))?;
                    map.next_value_seed(Lines {
                        sink: self.sink,
                        failed: self.failed,
                    })?;
                }
                ("sums", None) if !ended => {
                    let sums: Sums = map.next_value()?;
                    take(self.failed, self.sink.sums(&sums))?;
                    ended = true;
                }
                (_, Some(members)) if key != "sums" => {
                    if members.insert(key.clone(), map.next_value()?).is_some() {
                        return Err(A::Error::custom(format!("two members {key:?}")));
                    }
                }
                _ => return Err(A::Error::custom(format!("{key:?} is out of place"))),
            }
        }
        match ended {
            true => Ok(()),
            false => Err(A::Error::custom("it has no sums")),
        }
    }
}

struct Lines<'a> {
    sink: &'a mut dyn Sink,
    failed: &'a mut Option<Failure>,
}

impl<'de> DeserializeSeed<'de> for Lines<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Lines<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lines of a statement")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<(), A::Error> {
        while let Some(line) = lines.next_element::<Line>()? {
            take(self.failed, self.sink.line(&line))?;
        }
        Ok(())
    }
}
