//! Reading and writing the members of a JSON object, so that each fault names the member it is in.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::EventError;

/// The members of an object that are still to be read: each is taken once, and what is left was not understood.
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// The members of the object `value`, which stands at `key` in the event.
    pub(crate) fn of(value: Value, key: &'static str) -> Result<Self, EventError> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(EventError::Invalid(key)),
        }
    }

    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Self>, EventError> {
        self.0
            .remove(key)
            .map(|value| Self::of(value, key))
            .transpose()
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, EventError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(EventError::Invalid(key)),
        }
    }

    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, EventError> {
        self.text_as(key, |text| text.parse().ok())
    }

    pub(crate) fn text_as<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EventError> {
        match self.text(key)? {
            None => Ok(None),
            Some(text) => read(&text).map(Some).ok_or(EventError::Invalid(key)),
        }
    }

    pub(crate) fn number(&mut self, key: &'static str) -> Result<Option<u64>, EventError> {
        match self.0.remove(key) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(EventError::Invalid(key)),
        }
    }

    pub(crate) fn number_u32(&mut self, key: &'static str) -> Result<Option<u32>, EventError> {
        let number = self.number(key)?;
        number
            .map(|number| u32::try_from(number).map_err(|_| EventError::Invalid(key)))
            .transpose()
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, EventError> {
        match self.0.remove(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(EventError::Invalid(key)),
                })
                .collect(),
            Some(_) => Err(EventError::Invalid(key)),
        }
    }

    /// Holds an object that has no details to exactly its own members.
    pub(crate) fn nothing_left(&self, key: &'static str) -> Result<(), EventError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(EventError::Invalid(key))
        }
    }
}

/// Writes the member `key` when there is a value: an absent value has no member.
pub(crate) fn put<T: Into<Value>>(members: &mut Map<String, Value>, key: &str, value: Option<T>) {
    if let Some(value) = value {
        members.insert(key.to_owned(), value.into());
    }
}

/// As [`put`], in the value's own text.
pub(crate) fn put_text<T: Display>(members: &mut Map<String, Value>, key: &str, value: Option<T>) {
    put(members, key, value.map(|value| value.to_string()));
}
