//! Reading the log as its readers see it: corrections are added to the rows that they correct.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Bool, Nullable, Text, Timestamptz},
};
use serde_json::Value;

use super::rows::{COLUMNS, Stored};
use crate::domain::audit::{Filter, Row};

/// `$1` to `$5` of [`bound`].
const MATCHES: &str = "corrects IS NULL AND ($1::text IS NULL OR client_id = $1) AND ($2::text IS NULL OR event_type = $2) \
                       AND ($3::bool IS NULL OR success = $3) AND ($4::timestamptz IS NULL OR created_at >= $4) \
                       AND ($5::timestamptz IS NULL OR created_at <= $5)";

/// What the log counts beyond the row itself: in corrections, and in what it has not said yet. In one statement with the row, since
/// the one becomes the other meanwhile.
const MORE: &str = "(SELECT coalesce(sum((c.details ->> 'count')::bigint), 0)::bigint FROM audit_log c WHERE c.corrects = l.seq) \
                    + (SELECT coalesce(sum(u.count - u.logged), 0)::bigint FROM audit_uses u WHERE u.seq = l.seq) AS more";

#[derive(QueryableByName)]
struct Found {
    #[diesel(embed)]
    stored: Stored,
    #[diesel(sql_type = BigInt)]
    more: i64,
}

impl Found {
    fn row(self) -> Row {
        let mut row = Row::from(self.stored);
        if self.more != 0
            && let Ok(Value::Object(mut details)) = serde_json::from_str(&row.details)
        {
            let count = details.get("count").and_then(Value::as_i64).unwrap_or_default();
            details.insert("count".to_owned(), count.saturating_add(self.more).into());
            row.details = Value::Object(details).to_string();
        }
        row
    }
}

macro_rules! bound {
    ($query:expr, $filter:expr) => {
        $query
            .bind::<Nullable<Text>, _>($filter.client_id.as_deref())
            .bind::<Nullable<Text>, _>($filter.event_type.as_deref())
            .bind::<Nullable<Bool>, _>($filter.success)
            .bind::<Nullable<Timestamptz>, _>($filter.from)
            .bind::<Nullable<Timestamptz>, _>($filter.until)
    };
}

/// A page of the rows that match, the newest first, and how many match in all.
pub(crate) fn page(conn: &mut PgConnection, filter: &Filter, limit: i64, offset: i64) -> QueryResult<(Vec<Row>, i64)> {
    #[derive(QueryableByName)]
    struct Total {
        #[diesel(sql_type = BigInt)]
        total: i64,
    }
    let found = sql_query(format!(
        "SELECT {COLUMNS}, {MORE} FROM audit_log l WHERE {MATCHES} ORDER BY created_at DESC, seq DESC LIMIT $6 OFFSET $7"
    ));
    let found: Vec<Found> = bound!(found, filter).bind::<BigInt, _>(limit).bind::<BigInt, _>(offset).load(conn)?;
    let total = sql_query(format!("SELECT count(*) AS total FROM audit_log WHERE {MATCHES}"));
    let total: Total = bound!(total, filter).get_result(conn)?;
    Ok((found.into_iter().map(Found::row).collect(), total.total))
}

/// The next rows that match, in the order in which they were written, after one and up to one.
pub(crate) fn next(
    conn: &mut PgConnection,
    filter: &Filter,
    (after, upto): (i64, i64),
    limit: i64,
) -> QueryResult<Vec<Row>> {
    let found = sql_query(format!(
        "SELECT {COLUMNS}, {MORE} FROM audit_log l WHERE {MATCHES} AND seq > $6 AND seq <= $7 ORDER BY seq LIMIT $8"
    ));
    let found: Vec<Found> =
        bound!(found, filter).bind::<BigInt, _>(after).bind::<BigInt, _>(upto).bind::<BigInt, _>(limit).load(conn)?;
    Ok(found.into_iter().map(Found::row).collect())
}
