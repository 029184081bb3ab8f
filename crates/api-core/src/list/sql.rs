//! A typed query as SQL: one statement for the rows, one for their number.

use api_types::envelope::Pagination;
use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_query,
    sql_types::{Array, BigInt, Bool, Double, Text, Timestamptz},
};

use super::{Filter, Kind, ListQuery, Op, Value};

/// A condition that every row of the list meets, whatever was asked: `column = value`. `column` may name several, e.g.
/// `"owner, maker"`: one of them must be the value then.
#[derive(Debug, Clone)]
pub struct Scope {
    pub column: &'static str,
    pub value: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Loads a page. `columns` and `from` are SQL of ours, e.g. `"agent_id, status"` and `"agents"`.
///
/// Equal rows are ordered by `created_at`, then by the id, so every table listed has a `created_at`.
///
/// # Errors
/// Those of the database.
pub fn page<R>(
    conn: &mut PgConnection,
    (columns, from): (&str, &str),
    scope: &[Scope],
    query: &ListQuery,
) -> QueryResult<(Vec<R>, Pagination)>
where
    R: QueryableByName<Pg> + 'static,
{
    let condition = condition(scope, query);
    let count = format!("SELECT count(*) AS count FROM {from}{condition}");
    let total = bind_all(&count, scope, query).get_result::<Count>(conn)?.count;
    let ListQuery { offset, limit, .. } = *query;
    let pagination = Pagination::at(offset, limit, total);
    let pagination = if query.says_window { pagination } else { pagination.in_pages() };
    if offset >= total {
        return Ok((Vec::new(), pagination));
    }
    let order = order(query);
    let rows = format!("SELECT {columns} FROM {from}{condition} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
    let rows = bind_all(&rows, scope, query).load(conn)?;
    Ok((rows, pagination))
}

/// Loads the rows in another order than a page has them, and only as many as `tail` says: SQL of ours, e.g.
/// `"ORDER BY seq LIMIT 100"`.
///
/// # Errors
/// Those of the database.
pub fn select<R>(
    conn: &mut PgConnection,
    (columns, from, tail): (&str, &str, &str),
    scope: &[Scope],
    query: &ListQuery,
) -> QueryResult<Vec<R>>
where
    R: QueryableByName<Pg> + 'static,
{
    let condition = condition(scope, query);
    bind_all(&format!("SELECT {columns} FROM {from}{condition} {tail}"), scope, query).load(conn)
}

fn condition(scope: &[Scope], query: &ListQuery) -> String {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let mut conditions: Vec<String> = scope.iter().map(|scope| format!("${} IN ({})", next(), scope.column)).collect();
    conditions.extend(query.filters.iter().map(|filter| any_of(filter, next())));
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

fn any_of(filter: &Filter, number: usize) -> String {
    let each: Vec<String> = filter.columns.iter().map(|column| comparison(column, filter, number)).collect();
    if let [one] = each.as_slice() { one.clone() } else { format!("({})", each.join(" OR ")) }
}

fn comparison(column: &str, filter: &Filter, number: usize) -> String {
    let left = match filter.value {
        // Bytes, not a locale's rules: what is greater must not depend on the server.
        Value::Text(_) if !matches!(filter.op, Op::Eq | Op::Ne | Op::Begins) => format!("{column} COLLATE \"C\""),
        _ => column.to_owned(),
    };
    match filter.op {
        Op::Eq => format!("{left} = ${number}"),
        Op::Ne => format!("{left} IS DISTINCT FROM ${number}"),
        Op::Gt => format!("{left} > ${number}"),
        Op::Gte => format!("{left} >= ${number}"),
        Op::Lt => format!("{left} < ${number}"),
        Op::Lte => format!("{left} <= ${number}"),
        Op::In => format!("{column} = ANY(${number})"),
        // By the database's own rules: those of "C" know the case of ASCII letters alone.
        Op::Contains => format!("strpos(lower({column} COLLATE \"default\"), lower(${number})) > 0"),
        Op::Tag => format!("${number} = ANY({column})"),
        Op::Begins => format!("{left} ^@ ${number}"),
    }
}

fn bind_all(sql: &str, scope: &[Scope], query: &ListQuery) -> BoxedSqlQuery<'static, Pg, SqlQuery> {
    let mut bound = sql_query(sql).into_boxed::<Pg>();
    for scope in scope {
        bound = bound.bind::<Text, _>(scope.value.clone());
    }
    for filter in &query.filters {
        let many = filter.op == Op::In;
        bound = match &filter.value {
            Value::Text(values) if many => bound.bind::<Array<Text>, _>(values.clone()),
            Value::Number(values) if many => bound.bind::<Array<Double>, _>(values.clone()),
            Value::Time(values) if many => bound.bind::<Array<Timestamptz>, _>(values.clone()),
            Value::Text(values) => bound.bind::<Text, _>(values.first().cloned().unwrap_or_default()),
            Value::Number(values) => bound.bind::<Double, _>(values.first().copied().unwrap_or_default()),
            Value::Time(values) => bound.bind::<Timestamptz, _>(values.first().copied().unwrap_or_default()),
            Value::Boolean(value) => bound.bind::<Bool, _>(*value),
        };
    }
    bound
}

/// Absent values come last ascending and first descending, which is what Postgres does by itself.
fn order(query: &ListQuery) -> String {
    let mut parts: Vec<String> = query
        .sort
        .iter()
        .map(|sort| {
            let collation =
                if matches!(sort.kind, Kind::Text | Kind::Choice(_) | Kind::Rising(_)) { " COLLATE \"C\"" } else { "" };
            let direction = if sort.descending { " DESC" } else { "" };
            format!("{}{collation}{direction}", sort.column)
        })
        .collect();
    let direction = if query.newest_first && query.sort.is_empty() { " DESC" } else { "" };
    parts.push(format!("created_at{direction}"));
    parts.push(format!("{} COLLATE \"C\"{direction}", query.id_column));
    parts.join(", ")
}
