//! The tables `sessions`, `refresh_tokens` and `ended_sessions`.

use api_types::users::{EndedSession, SessionId, UserId};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, PgConnection, QueryDsl as _,
    QueryResult, RunQueryDsl as _,
    dsl::exists,
    select, sql_query,
    sql_types::{BigInt, Timestamptz},
};

use super::schema::{ended_sessions, last_ended_session, refresh_tokens, sessions};
use crate::domain::users::sessions::{FreshSession, Presented, Which};

/// Begins a session, with its first refresh token.
pub(crate) fn begin(conn: &mut PgConnection, fresh: &FreshSession, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(&fresh.session),
            sessions::user_id.eq(&fresh.user),
            sessions::created_at.eq(now),
            sessions::expires_at.eq(fresh.expires_at),
        ))
        .execute(conn)?;
    add_token(conn, fresh)
}

/// Goes on with a session, with its next refresh token.
pub(crate) fn go_on(conn: &mut PgConnection, fresh: &FreshSession) -> QueryResult<()> {
    diesel::update(sessions::table.find(&fresh.session))
        .set(sessions::expires_at.eq(fresh.expires_at))
        .execute(conn)?;
    add_token(conn, fresh)
}

fn add_token(conn: &mut PgConnection, fresh: &FreshSession) -> QueryResult<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::token_sha256.eq(&fresh.token_sha256),
            refresh_tokens::session_id.eq(&fresh.session),
            refresh_tokens::expires_at.eq(fresh.expires_at),
        ))
        .execute(conn)
        .map(drop)
}

/// A refresh token and its session. Locks the token until the transaction ends, so that of several uses one is the first.
pub(crate) fn presented(conn: &mut PgConnection, token_sha256: &str) -> QueryResult<Option<Presented>> {
    type Token = (SessionId, DateTime<Utc>, Option<DateTime<Utc>>);
    let token: Option<Token> = refresh_tokens::table
        .find(token_sha256)
        .select((refresh_tokens::session_id, refresh_tokens::expires_at, refresh_tokens::used_at))
        .for_no_key_update()
        .first(conn)
        .optional()?;
    let Some((session, expires_at, used_at)) = token else { return Ok(None) };
    let (user, ended_at) =
        sessions::table.find(&session).select((sessions::user_id, sessions::ended_at)).first(conn)?;
    Ok(Some(Presented { session, user, expires_at, used_at, ended_at }))
}

/// Notes that a refresh token was used.
pub(crate) fn use_token(conn: &mut PgConnection, token_sha256: &str, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(refresh_tokens::table.find(token_sha256))
        .set(refresh_tokens::used_at.eq(Some(now)))
        .execute(conn)
        .map(drop)
}

/// The user of a session, whatever its state.
pub(crate) fn user_of(conn: &mut PgConnection, session: &SessionId) -> QueryResult<Option<UserId>> {
    sessions::table.find(session).select(sessions::user_id).first(conn).optional()
}

/// Ends those that are live; returns them. `until` is when their tokens have expired by themselves.
///
/// Who ends several locks their user first: two that end the same ones must not meet halfway.
pub(crate) fn end(
    conn: &mut PgConnection,
    which: &Which,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> QueryResult<Vec<EndedSession>> {
    let live = diesel::update(sessions::table)
        .filter(sessions::ended_at.is_null().and(sessions::expires_at.gt(now)))
        .set(sessions::ended_at.eq(Some(now)));
    let ended: Vec<SessionId> = match which {
        Which::One(id) => live.filter(sessions::id.eq(id)).returning(sessions::id).get_results(conn)?,
        Which::All(user) => live.filter(sessions::user_id.eq(user)).returning(sessions::id).get_results(conn)?,
        Which::AllBut(user, kept) => live
            .filter(sessions::user_id.eq(user).and(sessions::id.ne(kept)))
            .returning(sessions::id)
            .get_results(conn)?,
    };
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(ended.len()).unwrap_or(i64::MAX);
    let last: i64 = diesel::update(last_ended_session::table)
        .set(last_ended_session::seq.eq(last_ended_session::seq + count))
        .returning(last_ended_session::seq)
        .get_result(conn)?;
    let row =
        |(seq, id)| (ended_sessions::seq.eq(seq), ended_sessions::session_id.eq(id), ended_sessions::until.eq(until));
    // Three parameters each, of which a statement takes 65535.
    let numbered: Vec<(i64, &SessionId)> = (last - count + 1..).zip(&ended).collect();
    for part in numbered.chunks(10_000) {
        let rows: Vec<_> = part.iter().copied().map(row).collect();
        diesel::insert_into(ended_sessions::table).values(rows).execute(conn)?;
    }
    Ok(ended.into_iter().map(|id| EndedSession { id, until }).collect())
}

/// At most `limit` sessions that ended after the one numbered `after` and whose tokens have not expired by `now`, with their
/// numbers; and the number of the last one of all.
pub(crate) fn ended_after(
    conn: &mut PgConnection,
    (after, limit): (i64, i64),
    now: DateTime<Utc>,
) -> QueryResult<(Vec<(i64, EndedSession)>, i64)> {
    // First the last number: what ends in between comes with the next answer.
    let last = last_ended_session::table.select(last_ended_session::seq).first(conn)?;
    let rows: Vec<(i64, SessionId, DateTime<Utc>)> = ended_sessions::table
        .filter(ended_sessions::seq.gt(after).and(ended_sessions::seq.le(last)).and(ended_sessions::until.gt(now)))
        .order(ended_sessions::seq)
        .limit(limit)
        .select((ended_sessions::seq, ended_sessions::session_id, ended_sessions::until))
        .load(conn)?;
    Ok((rows.into_iter().map(|(seq, id, until)| (seq, EndedSession { id, until })).collect(), last))
}

pub(crate) fn has_ended(conn: &mut PgConnection, id: &SessionId) -> QueryResult<bool> {
    select(exists(ended_sessions::table.filter(ended_sessions::session_id.eq(id)))).get_result(conn)
}

/// Deletes at most `limit` of each: entries of the list whose tokens have expired by `now`, and refresh tokens and sessions
/// that expired before `before`. Returns how many.
pub(crate) fn purge(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    limit: i64,
) -> QueryResult<usize> {
    let mut gone = 0;
    for (sql, time) in [
        ("DELETE FROM ended_sessions WHERE seq IN (SELECT seq FROM ended_sessions WHERE until <= $1 LIMIT $2)", now),
        (
            "DELETE FROM refresh_tokens WHERE token_sha256 IN \
             (SELECT token_sha256 FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)",
            before,
        ),
        ("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT $2)", before),
    ] {
        gone += sql_query(sql).bind::<Timestamptz, _>(time).bind::<BigInt, _>(limit).execute(conn)?;
    }
    Ok(gone)
}
