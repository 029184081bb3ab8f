//! Lists: paging, filters and sorting, asked for in the query string and done in SQL.

mod parse;
mod sql;

pub use sql::{Scope, page};

use chrono::{DateTime, Utc};

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Whole numbers.
    Number,
    Time,
}

/// A field that a list can be filtered and sorted by.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// The SQL expression behind it, e.g. a column.
    pub column: &'static str,
    pub kind: Kind,
}

/// What can be asked of a list.
#[derive(Debug, Clone, Copy)]
pub struct ListSpec {
    pub fields: &'static [Field],
    /// The column that makes the order total, e.g. the primary key.
    pub id_column: &'static str,
}

/// What was asked: checked, typed, ready for [`page`].
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    pub page: i64,
    pub per_page: i64,
    pub(crate) filters: Vec<Filter>,
    pub(crate) sort: Vec<Sort>,
    pub(crate) id_column: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    pub(crate) column: &'static str,
    pub(crate) op: Op,
    pub(crate) value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Contains,
}

/// The values on the right of an operator; more than one only for `in`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Vec<String>),
    Number(Vec<f64>),
    Time(Vec<DateTime<Utc>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: &'static str,
    pub(crate) kind: Kind,
    pub(crate) descending: bool,
}
