//! Values on their way to the server and back: integers are 64-bit whatever the server made of them.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::StoreError;
use crate::sql::{Param, Row};

/// A parameter with its own octets: what is sent without waiting outlives its caller.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Value {
    /// A copy; refuses what PostgreSQL cannot hold.
    ///
    /// # Errors
    /// A text with NUL in it, which no column of PostgreSQL takes: whoever lets one come so far has a fault.
    pub(super) fn of(param: &Param<'_>) -> Result<Self, StoreError> {
        Ok(match *param {
            Param::Null => Self::Null,
            Param::Int(value) => Self::Int(value),
            Param::Text(text) if text.contains('\0') => {
                return Err(StoreError::Invalid(
                    "a text with a NUL character cannot be stored".into(),
                ));
            }
            Param::Text(text) => Self::Text(text.to_owned()),
            Param::Blob(octets) => Self::Blob(octets.to_vec()),
        })
    }

    /// The type that a statement is prepared with: never inferred from the place where the parameter stands, so that
    /// an integer is 64-bit everywhere. NULL takes whatever type its place has.
    pub(super) fn type_(&self) -> Type {
        match self {
            Self::Null => Type::UNKNOWN,
            Self::Int(_) => Type::INT8,
            Self::Text(_) => Type::TEXT,
            Self::Blob(_) => Type::BYTEA,
        }
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(value) => match *ty {
                Type::INT4 => out.put_i32(i32::try_from(*value)?),
                Type::INT2 => out.put_i16(i16::try_from(*value)?),
                Type::BOOL => out.put_u8(u8::from(*value != 0)),
                _ => out.put_i64(*value),
            },
            Self::Text(text) => out.put_slice(text.as_bytes()),
            Self::Blob(octets) => out.put_slice(octets),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true // A value that does not fit its place is the server's to refuse.
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

/// A column's octets as they came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, octets: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(octets))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A row as it came.
pub(super) struct Found(pub(super) tokio_postgres::Row);

impl Found {
    fn octets(&self, column: usize) -> Result<Option<&[u8]>, StoreError> {
        self.0
            .try_get::<_, Option<Raw<'_>>>(column)
            .map(|found| found.map(|raw| raw.0))
            .map_err(|_| mistyped(column, "there"))
    }

    fn of_type(&self, column: usize, types: &[Type], what: &str) -> Result<&[u8], StoreError> {
        let found = self.octets(column)?;
        let fits = self
            .0
            .columns()
            .get(column)
            .is_some_and(|column| types.contains(column.type_()));
        found.filter(|_| fits).ok_or_else(|| mistyped(column, what))
    }
}

impl Row for Found {
    fn int(&self, column: usize) -> Result<i64, StoreError> {
        let types = [
            Type::INT8,
            Type::INT4,
            Type::INT2,
            Type::BOOL,
            Type::NUMERIC,
        ];
        let octets = self.of_type(column, &types, "an integer")?;
        let number = match (octets, self.0.columns().get(column).map(|c| c.type_())) {
            (octets, Some(&Type::NUMERIC)) => whole_number(octets),
            ([octet], _) => Some(i64::from(*octet)),
            ([a, b], _) => Some(i64::from(i16::from_be_bytes([*a, *b]))),
            ([a, b, c, d], _) => Some(i64::from(i32::from_be_bytes([*a, *b, *c, *d]))),
            (octets, _) => octets.try_into().ok().map(i64::from_be_bytes),
        };
        number.ok_or_else(|| mistyped(column, "an integer"))
    }

    fn text(&self, column: usize) -> Result<&str, StoreError> {
        let octets = self.of_type(column, &[Type::TEXT, Type::VARCHAR, Type::NAME], "text")?;
        str::from_utf8(octets).map_err(|_| mistyped(column, "text"))
    }

    fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        self.of_type(column, &[Type::BYTEA], "octets")
    }

    fn is_null(&self, column: usize) -> Result<bool, StoreError> {
        Ok(self.octets(column)?.is_none())
    }
}

fn mistyped(column: usize, wanted: &str) -> StoreError {
    StoreError::damaged(format!("column {column} is not {wanted}"))
}

/// A `numeric` that is a whole number, as SUM of 64-bit integers gives it: digits to the base 10 000, the first of which
/// stands for that base to the power `weight`.
fn whole_number(octets: &[u8]) -> Option<i64> {
    const NEGATIVE: i64 = 0x4000;
    let mut words = octets
        .chunks_exact(2)
        .map(|word| i64::from(u16::from_be_bytes([word[0], word[1]]))); // Invariant: chunks of exactly two.
    let (digits, weight) = (words.next()?, words.next()? as u16 as i16);
    let (sign, _scale) = (words.next()?, words.next()?);
    let mut number = 0_i64;
    for place in 0..digits.max(i64::from(weight) + 1) {
        let digit = words.next().unwrap_or(0);
        if place > i64::from(weight) {
            if digit != 0 {
                return None; // Not whole.
            }
            continue;
        }
        number = number.checked_mul(10_000)?.checked_add(digit)?;
    }
    match sign {
        0 => Some(number),
        NEGATIVE => Some(-number),
        _ => None, // NaN and the infinities.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let mut octets = (digits.len() as u16).to_be_bytes().to_vec();
        octets.extend(weight.to_be_bytes());
        octets.extend(sign.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        octets
    }

    #[test]
    fn sums_are_whole_numbers() {
        for (octets, expected) in [
            (numeric(0, 0, &[]), Some(0)),
            (numeric(0, 0, &[7]), Some(7)),
            (numeric(1, 0, &[1]), Some(10_000)),
            (numeric(1, 0, &[12, 3456]), Some(123_456)),
            (numeric(2, 0x4000, &[1, 0, 1]), Some(-100_000_001)),
            (numeric(0, 0, &[1, 5000]), None),
            (numeric(0, 0xc000, &[]), None),
            (numeric(9, 0, &[1]), None),
            (vec![0, 1], None),
        ] {
            assert_eq!(whole_number(&octets), expected, "{octets:?}");
        }
    }

    #[test]
    fn a_text_with_nul_is_refused_before_it_is_sent() {
        assert!(matches!(
            Value::of(&Param::Text("a\0b")),
            Err(StoreError::Invalid(_))
        ));
    }
}
