//! Statements written as SQL that Postgres prepares once for each connection.
//!
//! `diesel::sql_query` has every statement parsed and planned anew each time, which for a short one is most of its cost.

use std::{borrow::Cow, fmt, marker::PhantomData};

use diesel::{
    QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::Error,
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

/// A statement whose text is the program's own: a fixed one, or one of a few variants of it.
#[must_use = "a statement does nothing until it is executed"]
pub fn sql<'a>(text: impl Into<Cow<'a, str>>) -> Statement<'a> {
    Statement { text: text.into(), binds: Vec::new() }
}

/// See [`sql`].
pub struct Statement<'a> {
    text: Cow<'a, str>,
    /// Of `$1` and so on.
    binds: Vec<Box<dyn Bind + Send + 'a>>,
}

impl<'a> Statement<'a> {
    /// The value of the next parameter.
    #[must_use = "a statement does nothing until it is executed"]
    pub fn bind<ST: 'a + Send, U>(mut self, value: U) -> Self
    where
        Pg: HasSqlType<ST>,
        U: ToSql<ST, Pg> + Send + 'a,
    {
        self.binds.push(Box::new(Bound::<ST, U> { value, sql_type: PhantomData }));
        self
    }
}

impl fmt::Debug for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Statement").field(&self.text).finish()
    }
}

trait Bind {
    fn push<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

struct Bound<ST, U> {
    value: U,
    sql_type: PhantomData<ST>,
}

impl<ST, U: ToSql<ST, Pg>> Bind for Bound<ST, U>
where
    Pg: HasSqlType<ST>,
{
    fn push<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<ST, U>(&self.value)
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    /// A parameter that is used twice is sent twice: diesel numbers parameters in the order in which they appear.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut parts = self.text.split('$');
        out.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            let bind = number.parse::<usize>().ok().and_then(|number| self.binds.get(number.checked_sub(1)?));
            bind.ok_or_else(|| Error::QueryBuilderError("a parameter without a value".into()))?.push(out.reborrow())?;
            out.push_sql(rest);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<Conn> RunQueryDsl<Conn> for Statement<'_> {}
