//! Lists: paging, filters and sorting, asked for in the query string and done in SQL.

mod matching;
mod parse;
mod sql;

pub use matching::Datum;
pub use sql::{Scope, page, select};

use chrono::{DateTime, Utc};

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Whole numbers.
    Number,
    Time,
    /// `true` or `false`.
    Boolean,
    /// One of a closed list of texts.
    Choice(&'static [&'static str]),
    /// One of a closed list of texts, each more than those before it: asked for one, the list has that and more.
    Rising(&'static [&'static str]),
    /// A name in parts, such as `agent.ready`: `agent.*` asks for all that begin with `agent.`. Its column has the
    /// collation "C".
    Dotted,
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

/// What a list can be asked for by plain query parameters, beside what its [`ListSpec`] says.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    /// Fields of the spec: `status=active` is `filter[status]=active`. An empty value counts as absent.
    pub filters: &'static [&'static str],
    /// The columns in which `search` (1–200 characters) finds a text, case ignored; none: there is no `search`.
    pub search: &'static [&'static str],
    /// A column of the type `text[]` that carries what `tag` names.
    pub tag: Option<&'static str>,
    /// The column that lies between `since` and `until`, both included.
    pub time: Option<&'static str>,
    /// Whether the newest comes first where nothing else is asked for.
    pub newest_first: bool,
}

impl Plain {
    /// Nothing beside the list's spec.
    pub const NONE: Self = Self { filters: &[], search: &[], tag: None, time: None, newest_first: false };

    fn is_none(&self) -> bool {
        let Self { filters, search, tag, time, newest_first } = self;
        filters.is_empty() && search.is_empty() && tag.is_none() && time.is_none() && !newest_first
    }
}

/// What was asked: checked, typed, ready for [`page`].
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Rows to leave out at the beginning.
    pub offset: i64,
    /// Rows to answer at the most, 1–100.
    pub limit: i64,
    /// Whether the answer says `offset` and `limit`: the lists of the builders' contract have pages, and say no more of them.
    pub(crate) says_window: bool,
    pub(crate) filters: Vec<Filter>,
    pub(crate) sort: Vec<Sort>,
    pub(crate) newest_first: bool,
    pub(crate) id_column: &'static str,
}

impl ListSpec {
    /// The first page of everything.
    #[must_use]
    pub fn everything(&self) -> ListQuery {
        let (filters, sort) = (Vec::new(), Vec::new());
        ListQuery {
            offset: 0,
            limit: 100,
            says_window: true,
            filters,
            sort,
            newest_first: false,
            id_column: self.id_column,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    /// One, except where a text is searched for in several.
    pub(crate) columns: &'static [&'static str],
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
    /// The column is a list that holds the text.
    Tag,
    /// The column begins with the text.
    Begins,
}

/// The values on the right of an operator; more than one only for `in`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(Vec<String>),
    Number(Vec<f64>),
    Time(Vec<DateTime<Utc>>),
    Boolean(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: &'static str,
    pub(crate) kind: Kind,
    pub(crate) descending: bool,
}
