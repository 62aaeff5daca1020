//! Rows of any table as values, read a page at a time by key, compared and written without knowing what they mean.

use std::collections::BTreeMap;

use mail::digest::{Digest, Hasher};

use super::tables::{Kind, OWN_SETTINGS, Table, row_value};
use crate::StoreError;
use crate::sql::{Param, Row, Sql};

/// Parameters of one INSERT, at most: SQLite takes 32 766, PostgreSQL 65 535; a statement of some hundreds is parsed once
/// and saves most round trips.
const INSERT_PARAMS_MAX: usize = 700;

/// One column's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Octets.
    Blob(Vec<u8>),
}

impl Value {
    fn read(row: &dyn Row, column: usize, kind: Kind) -> Result<Self, StoreError> {
        if row.is_null(column)? {
            return Ok(Self::Null);
        }
        Ok(match kind {
            Kind::Int | Kind::Own => Self::Int(row.int(column)?),
            Kind::Text => Self::Text(row.string(column)?),
            Kind::Blob => Self::Blob(row.blob(column)?.to_vec()),
        })
    }

    /// As a parameter.
    pub fn param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(value) => Param::Int(*value),
            Self::Text(value) => Param::Text(value),
            Self::Blob(value) => Param::Blob(value),
        }
    }

    /// As an integer, where it must be one.
    pub fn int(&self) -> Result<i64, StoreError> {
        match self {
            Self::Int(value) => Ok(*value),
            _ => Err(StoreError::damaged("a column that must be an integer")),
        }
    }

    fn hash_into(&self, hasher: &mut Hasher) {
        let (tag, octets): (u8, &[u8]) = match self {
            Self::Null => (0, &[]),
            Self::Int(value) => {
                hasher.update(&[1]);
                hasher.update(&value.to_be_bytes());
                return;
            }
            Self::Text(value) => (2, value.as_bytes()),
            Self::Blob(value) => (3, value),
        };
        hasher.update(&[tag]);
        hasher.update(&(octets.len() as u64).to_be_bytes());
        hasher.update(octets);
    }
}

/// One row, its columns in the order of the table's list.
pub type Values = Vec<Value>;

/// Rows of one page by their key; rows that share a key are sorted.
pub type Groups = BTreeMap<Values, Vec<Values>>;

/// Which rows: those with a key above `after`, up to and including `upto`.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// The last key of the page before; `None`: from the beginning.
    pub after: Option<Values>,
    /// The last key of this page; `None`: to the end.
    pub upto: Option<Values>,
}

impl Span {
    fn condition(&self, table: &Table) -> (String, Vec<Param<'_>>) {
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut params = Vec::new();
        if table.name == "setting" {
            let own: Vec<String> = OWN_SETTINGS
                .iter()
                .map(|name| format!("'{name}'"))
                .collect();
            conditions.push(format!("name NOT IN ({})", own.join(", ")));
            // How far the search index has come: it is not moved.
            conditions.push("name NOT LIKE 'search_done%'".to_owned());
        }
        for (bound, sign) in [(&self.after, ">"), (&self.upto, "<=")] {
            let Some(values) = bound else { continue };
            let first = params.len() + 1;
            let places = (first..first + values.len()).map(|number| format!("${number}"));
            let places = row_value(places);
            conditions.push(format!("{} {sign} {places}", table.key_list()));
            params.extend(values.iter().map(Value::param));
        }
        (conditions.join(" AND "), params)
    }

    /// The span that begins where `after` ends and holds about a page of the rows in `sql`.
    ///
    /// # Errors
    /// The engine's.
    pub fn next(
        sql: &mut dyn Sql,
        table: &Table,
        after: Option<Values>,
    ) -> Result<Self, StoreError> {
        let mut span = Self { after, upto: None };
        if table.key.is_empty() {
            return Ok(span);
        }
        let (condition, params) = span.condition(table);
        let columns = table.key.join(", ");
        let query = format!(
            "SELECT {columns} FROM {} WHERE {condition} ORDER BY {columns} LIMIT 1 OFFSET {}",
            table.name,
            table.page_rows - 1
        );
        let last = sql.first(&query, &params, |row| {
            let keys = (0..).zip(table.key);
            keys.map(|(at, name)| Value::read(row, at, kind_of(table, name)))
                .collect::<Result<Values, _>>()
        })?;
        span.upto = last;
        Ok(span)
    }

    /// Its rows.
    ///
    /// # Errors
    /// The engine's, and a column of another type than it should be.
    pub fn rows(&self, sql: &mut dyn Sql, table: &Table) -> Result<Groups, StoreError> {
        let (condition, params) = self.condition(table);
        let query = format!(
            "SELECT {} FROM {} WHERE {condition}",
            table.column_list(),
            table.name
        );
        let keys: Vec<usize> = table
            .key
            .iter()
            .filter_map(|name| table.column(name))
            .collect();
        let mut groups = Groups::new();
        let rows = sql.all(&query, &params, |row| {
            let columns = (0..).zip(table.columns);
            columns
                .map(|(at, (_, kind))| Value::read(row, at, *kind))
                .collect::<Result<Values, _>>()
        })?;
        for row in rows {
            let key = keys.iter().filter_map(|at| row.get(*at).cloned()).collect();
            groups.entry(key).or_default().push(row);
        }
        for rows in groups.values_mut() {
            rows.sort();
        }
        Ok(groups)
    }
}

fn kind_of(table: &Table, name: &str) -> Kind {
    let column = table.column(name).and_then(|at| table.columns.get(at));
    column.map_or(Kind::Int, |(_, kind)| *kind)
}

/// Whether two groups say the same; what each side has for itself does not count.
pub fn alike(table: &Table, one: &[Values], other: &[Values]) -> bool {
    let same = |(a, b): (&Values, &Values)| {
        let columns = table.columns.iter().zip(a.iter().zip(b));
        columns
            .filter(|((_, kind), _)| *kind != Kind::Own)
            .all(|(_, (a, b))| a == b)
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// Removes every row with this key; of a table without one, all rows that are moved.
///
/// # Errors
/// The engine's.
pub fn delete(sql: &mut dyn Sql, table: &Table, key: &[Value]) -> Result<(), StoreError> {
    let mut conditions: Vec<String> = (1..)
        .zip(table.key)
        .map(|(number, name)| format!("{name} = ${number}"))
        .collect();
    if table.key.is_empty() {
        conditions.push(Span::default().condition(table).0);
    }
    let params: Vec<Param<'_>> = key.iter().map(Value::param).collect();
    let condition = conditions.join(" AND ");
    sql.run(
        &format!("DELETE FROM {} WHERE {condition}", table.name),
        &params,
    )
    .map(drop)
}

/// Adds rows, several in one statement.
///
/// # Errors
/// The engine's.
pub fn insert(sql: &mut dyn Sql, table: &Table, rows: &[Values]) -> Result<(), StoreError> {
    let width = table.columns.len();
    for batch in rows.chunks((INSERT_PARAMS_MAX / width).max(1)) {
        let tuples = (0..batch.len()).map(|row| {
            let places: Vec<String> = (1..=width)
                .map(|column| format!("${}", row * width + column))
                .collect();
            format!("({})", places.join(", "))
        });
        let tuples: Vec<String> = tuples.collect();
        let params: Vec<Param<'_>> = batch.iter().flatten().map(Value::param).collect();
        let columns = table.column_list();
        sql.run(
            &format!(
                "INSERT INTO {} ({columns}) VALUES {}",
                table.name,
                tuples.join(", ")
            ),
            &params,
        )?;
    }
    Ok(())
}

/// How many rows a table has, and a digest of them that does not depend on their order: the sum, lane by lane, of their
/// SHA-256. What each side has for itself does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Rows.
    pub rows: u64,
    lanes: [u64; 4],
}

impl Fingerprint {
    /// Adds a row.
    pub fn add(&mut self, table: &Table, row: &[Value]) {
        let mut hasher = Hasher::new();
        for ((_, kind), value) in table.columns.iter().zip(row) {
            if *kind != Kind::Own {
                value.hash_into(&mut hasher);
            }
        }
        self.add_digest(&hasher.finish());
    }

    /// Adds what stands for a row.
    pub fn add_digest(&mut self, digest: &Digest) {
        let lanes = digest.as_bytes().as_chunks::<8>().0;
        for (lane, octets) in self.lanes.iter_mut().zip(lanes) {
            *lane = lane.wrapping_add(u64::from_be_bytes(*octets));
        }
        self.rows += 1;
    }

    /// The digest in hexadecimal.
    pub fn hex(&self) -> String {
        self.lanes
            .iter()
            .map(|lane| format!("{lane:016x}"))
            .collect()
    }
}
