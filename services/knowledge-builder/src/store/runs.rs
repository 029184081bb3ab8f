//! Who gathers for an entity.

use diesel::{
    ExpressionMethods as _, PgConnection, QueryDsl as _, QueryResult, RunQueryDsl as _, sql_query,
    sql_types::{Integer, Text},
};
use uuid::Uuid;

use super::schema::runs;

/// Takes or renews the turn for an entity; false while another holds it.
pub(crate) fn hold(conn: &mut PgConnection, id: &str, holder: Uuid, seconds: i32) -> QueryResult<bool> {
    let rows = sql_query(
        "INSERT INTO runs (knowledge_id, holder, until) VALUES ($1, $2, now() + make_interval(secs => $3)) \
         ON CONFLICT (knowledge_id) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until \
         WHERE runs.until < now() OR runs.holder = EXCLUDED.holder",
    )
    .bind::<Text, _>(id)
    .bind::<diesel::sql_types::Uuid, _>(holder)
    .bind::<Integer, _>(seconds)
    .execute(conn)?;
    Ok(rows > 0)
}

/// Gives the turn back; false when it was lost.
pub(crate) fn release(conn: &mut PgConnection, id: &str, holder: Uuid) -> QueryResult<bool> {
    let mine = runs::table.find(id).filter(runs::holder.eq(holder));
    Ok(diesel::delete(mine).execute(conn)? > 0)
}
